/* Reads lists of layers. Opening thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/layer_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char integers[] = "a list of layers, an array of integers";

bool layer_list_has(const struct hparams *h, const char *key)
{
    enum json_kind kind = json_kind(hparams_get(h, key));
    return kind != JK_ABSENT && kind != JK_NULL;
}

/* The array under the key, or NULL where there is none. n: its length, or any (-1). */
static int take_array(const struct json **out, const struct hparams *h, const char *key,
                      int n, struct err *err)
{
    const struct json *v = hparams_get(h, key);
    *out = NULL;
    if (!layer_list_has(h, key))
        return 0;
    if (json_kind(v) != JK_ARRAY)
        return hparams_wrong(err, key, n < 0 ? integers : "a list", v);
    if (n >= 0 && json_len(v) != (size_t)n)
        return err_set(err, ERR_FORMAT,
                       "%s: expected one entry for each of %d layers, "
                       "found %zu",
                       key, n, json_len(v));
    *out = v;
    return 0;
}

/* Says where the list is. */
static int end(const struct hparams *h, int rc, struct err *err)
{
    return rc ? err_prefix(err, "config.json (%s)", h->arch) : 0;
}

int layer_list_require(const struct hparams *h, const char *key, struct err *err)
{
    bool has = layer_list_has(h, key);
    return has ? 0 : end(h, hparams_wrong(err, key, "a value", hparams_get(h, key)), err);
}

static const struct layer_word *word_of(const struct layer_word *words, const char *word,
                                        size_t len)
{
    for (; words->word; words++)
        if (strlen(words->word) == len && memcmp(words->word, word, len) == 0)
            return words;
    return NULL;
}

static int unknown(const char *key, size_t layer, const struct layer_word *words,
                   const char *found, struct err *err)
{
    char expected[256] = "";
    size_t used = 0;
    for (int i = 0; words[i].word && used < sizeof expected; i++)
        used += (size_t)snprintf(expected + used, sizeof expected - used, "%s\"%s\"",
                                 i ? ", " : "", words[i].word);
    return err_set(err, ERR_FORMAT, "%s: layer %zu: expected one of %s, found %s", key,
                   layer, expected, found);
}

int layer_list_words(const struct hparams *h, const char *key,
                     const struct layer_word *words, uint8_t *kinds, struct err *err)
{
    const struct json *list;
    int rc = take_array(&list, h, key, h->n_layers, err);
    for (size_t i = 0; rc == 0 && list && i < json_len(list); i++) {
        size_t len = 0;
        const struct json *v = json_at(list, i);
        const char *text = json_kind(v) == JK_STRING ? json_as_string(v, &len) : "";
        const struct layer_word *word = word_of(words, text, len);
        char found[80];
        snprintf(found, sizeof found, "\"%.60s\"", text);
        if (word)
            kinds[i] = word->kind;
        else
            rc = unknown(key, i, words,
                         json_kind(v) == JK_STRING ? found : json_kind_name(v), err);
    }
    return end(h, rc, err);
}

int layer_list_letters(const struct hparams *h, const char *key,
                       const struct layer_word *words, uint8_t *kinds, struct err *err)
{
    const struct json *v = hparams_get(h, key);
    size_t len = 0;
    if (!layer_list_has(h, key))
        return 0;
    if (json_kind(v) != JK_STRING)
        return end(h, hparams_wrong(err, key, "a string", v), err);
    const char *text = json_as_string(v, &len);
    int rc = 0;
    if (len != (size_t)h->n_layers)
        rc = err_set(err, ERR_FORMAT,
                     "%s: expected one letter for each of %d layers, "
                     "found %zu",
                     key, h->n_layers, len);
    for (size_t i = 0; rc == 0 && i < len; i++) {
        const struct layer_word *word = word_of(words, text + i, 1);
        char found[8];
        snprintf(found, sizeof found, "\"%c\"", text[i] > ' ' ? text[i] : '?');
        if (word)
            kinds[i] = word->kind;
        else
            rc = unknown(key, i, words, found, err);
    }
    return end(h, rc, err);
}

/* Whether a layer may be listed: one of the model's, and not yet. */
static int check_index(const struct hparams *h, const char *key, const struct json *v,
                       const bool *seen, struct err *err)
{
    if (json_kind(v) != JK_INT)
        return hparams_wrong(err, key, integers, v);
    int64_t at = json_as_int(v);
    bool inside = at >= 0 && at < h->n_layers;
    if (inside && !seen[at])
        return 0;
    return err_set(err, ERR_FORMAT,
                   "%s: expected layers from 0 to %d, each once, found %" PRId64 "%s",
                   key, h->n_layers - 1, at, inside ? " twice" : "");
}

int layer_list_indices(const struct hparams *h, const char *key, uint8_t kind,
                       uint8_t *kinds, struct err *err)
{
    const struct json *list;
    bool seen[HPARAMS_MAX_LAYERS] = {false};
    int rc = take_array(&list, h, key, -1, err);
    for (size_t i = 0; rc == 0 && list && i < json_len(list); i++) {
        const struct json *v = json_at(list, i);
        rc = check_index(h, key, v, seen, err);
        if (rc)
            break;
        seen[json_as_int(v)] = true;
        kinds[json_as_int(v)] = kind;
    }
    return end(h, rc, err);
}

int layer_list_flags(const struct hparams *h, const char *key, uint8_t zero, uint8_t one,
                     uint8_t *kinds, struct err *err)
{
    const struct json *list;
    int rc = take_array(&list, h, key, h->n_layers, err);
    for (size_t i = 0; rc == 0 && list && i < json_len(list); i++) {
        const struct json *v = json_at(list, i);
        if (json_kind(v) != JK_INT || (json_as_int(v) != 0 && json_as_int(v) != 1))
            return end(h, hparams_wrong(err, key, "0 or 1 for every layer", v), err);
        kinds[i] = json_as_int(v) ? one : zero;
    }
    return end(h, rc, err);
}

void layer_list_every(int n_layers, int period, uint8_t kind, uint8_t *kinds)
{
    for (int i = period - 1; i < n_layers; i += period)
        kinds[i] = kind;
}
