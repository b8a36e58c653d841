/* Reads keys by their tables: type, range, words. Runs at open, on the opening thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/hparams.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int hparams_wrong(struct err *err, const char *key, const char *expected,
                  const struct json *v)
{
    char found[JSON_SHOWN];
    return err_set(err, ERR_FORMAT, "%s: expected %s, found %s", key, expected,
                   json_shown(v, found));
}

bool hparams_number(const struct json *v, double *out)
{
    const struct json *text = json_kind(v) == JK_OBJECT ? json_get(v, "__float__") : NULL;
    if (json_kind(text) == JK_STRING) {
        const char *word = json_as_string(text, NULL);
        *out = strcmp(word, "Infinity") == 0    ? INFINITY
               : strcmp(word, "-Infinity") == 0 ? -INFINITY
                                                : NAN;
        return true;
    }
    *out = json_as_number(v);
    return json_numeric(v);
}

static int read_number(const struct hparam_key *k, const struct json *v, void *target,
                       struct err *err)
{
    char expected[96];
    bool whole = k->type == HP_INT || k->type == HP_AUTO;
    double x;
    snprintf(expected, sizeof expected, "%s from %g to %g",
             whole ? "an integer" : "a number", k->min, k->max);
    bool is = whole ? json_kind(v) == JK_INT : true;
    if (!hparams_number(v, &x) || !is || !(x >= k->min && x <= k->max))
        return hparams_wrong(err, k->name, expected, v);
    if (whole)
        *(int *)target = (int)json_as_int(v);
    else
        *(double *)target = x;
    return 0;
}

static int read_numbers(const struct hparam_key *k, const struct json *v, double *target,
                        struct err *err)
{
    char expected[96], found[64], name[96];
    int count = k->type == HP_REALS_2 ? 2 : 5;
    snprintf(expected, sizeof expected, "a list of %d numbers", count);
    if (json_kind(v) != JK_ARRAY)
        return hparams_wrong(err, k->name, expected, v);
    snprintf(found, sizeof found, "a list of %zu", json_len(v));
    if (json_len(v) != (size_t)count)
        return err_set(err, ERR_FORMAT, "%s: expected %s, found %s", k->name, expected,
                       found);
    for (int i = 0; i < count; i++) {
        struct hparam_key one = *k;
        snprintf(name, sizeof name, "%s[%d]", k->name, i);
        one.name = name;
        one.type = HP_REAL;
        int rc = read_number(&one, json_at(v, (size_t)i), &target[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_word(const struct hparam_key *k, const struct json *v, int *target,
                     struct err *err)
{
    char expected[128] = "one of";
    size_t used = strlen(expected);
    for (int i = 0; k->words[i]; i++) {
        if (json_kind(v) == JK_STRING &&
            strcmp(json_as_string(v, NULL), k->words[i]) == 0) {
            *target = i;
            return 0;
        }
        int n = snprintf(expected + used, sizeof expected - used, " \"%s\"", k->words[i]);
        used += n > 0 && (size_t)n < sizeof expected - used ? (size_t)n : 0;
    }
    return hparams_wrong(err, k->name, expected, v);
}

static int check_ints(const struct hparam_key *k, const struct json *v, struct err *err)
{
    static const char expected[] = "an array of integers";
    if (json_kind(v) != JK_ARRAY)
        return hparams_wrong(err, k->name, expected, v);
    for (size_t i = 0; i < json_len(v); i++)
        if (json_kind(json_at(v, i)) != JK_INT)
            return hparams_wrong(err, k->name, expected, json_at(v, i));
    return 0;
}

static int read_key(const struct hparam_key *k, const struct json *v, char *out,
                    struct err *err)
{
    void *target = out + k->offset;
    int rc = 0;
    switch (k->type) {
    case HP_AUTO:
        if (json_kind(v) == JK_STRING && strcmp(json_as_string(v, NULL), "auto") == 0) {
            *(int *)target = 0;
            return 0;
        }
        return read_number(k, v, target, err);
    case HP_INT:
    case HP_REAL:
        return read_number(k, v, target, err);
    case HP_REALS_2:
    case HP_REALS_5:
        return read_numbers(k, v, target, err);
    case HP_WORD:
        return read_word(k, v, target, err);
    case HP_BOOL:
        if (json_kind(v) != JK_BOOL)
            return hparams_wrong(err, k->name, "true or false", v);
        *(bool *)target = json_as_bool(v);
        return 0;
    case HP_INTS:
        rc = check_ints(k, v, err);
        break;
    case HP_JSON:
        break;
    }
    if (rc == 0)
        *(const struct json **)target = v;
    return rc;
}

int hparams_read(const struct hparams *h, const struct hparam_key *keys, size_t n,
                 void *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct json *v = hparams_get(h, keys[i].name);
        if (json_kind(v) == JK_ABSENT || json_kind(v) == JK_NULL) {
            if (keys[i].required)
                return hparams_wrong(err, keys[i].name, "a value", v);
            continue;
        }
        int rc = read_key(&keys[i], v, out, err);
        if (rc)
            return rc;
    }
    return 0;
}
