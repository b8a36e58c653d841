/* What is asked of a tree, and the files that trees are read from. Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/json.h"

#include "engine/base/file.h"
#include "engine/base/json_parse.h"

#include <stdio.h>
#include <string.h>

int json_parse(struct json **out, const char *text, size_t len, struct err *err)
{
    return json_parse_tree(out, text, len, false, err);
}

int json_parse_reals(struct json **out, const char *text, size_t len, struct err *err)
{
    return json_parse_tree(out, text, len, true, err);
}

static int parse_file(struct json **out, const char *path, const struct buf *text,
                      struct err *err)
{
    int rc = json_parse(out, text->data ? text->data : "", text->len, err);
    return rc ? err_prefix(err, "%.300s", path) : 0;
}

int json_load(struct json **out, const char *path, size_t max_bytes, struct err *err)
{
    struct buf text = {0};
    int rc = file_read(&text, path, max_bytes, err);
    if (rc == 0)
        rc = parse_file(out, path, &text, err);
    buf_free(&text);
    return rc;
}

/* The length of a bare float word at s, which ends at end; 0: there is none. */
static size_t float_word(const char *s, const char *end)
{
    static const char *const words[] = {"Infinity", "-Infinity", "NaN"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - s) >= n && memcmp(s, words[i], n) == 0)
            return n;
    }
    return 0;
}

/* Copies JSON with every bare float word as an object. */
static void quote_floats(struct buf *out, const char *s, const char *end)
{
    bool in_string = false;
    while (s < end) {
        size_t n = in_string ? 0 : float_word(s, end);
        if (n) {
            buf_printf(out, "{\"__float__\":\"%.*s\"}", (int)n, s);
            s += n;
            continue;
        }
        if (in_string && *s == '\\' && s + 1 < end)
            buf_putc(out, *s++);
        else if (*s == '"')
            in_string = !in_string;
        buf_putc(out, *s++);
    }
}

int json_load_python(struct json **out, const char *path, size_t max_bytes,
                     struct err *err)
{
    struct buf raw = {0}, text = {0};
    int rc = file_read(&raw, path, max_bytes, err);
    if (rc == 0) {
        quote_floats(&text, raw.data, raw.data + raw.len);
        rc = text.failed ? err_set(err, ERR_MEMORY, "%.300s: out of memory", path)
                         : parse_file(out, path, &text, err);
    }
    buf_free(&raw);
    buf_free(&text);
    return rc;
}

void json_free(struct json *j)
{
    json_parse_free(j);
}

enum json_kind json_kind(const struct json *j)
{
    return j ? (enum json_kind)j->kind : JK_ABSENT;
}

const char *json_kind_name(const struct json *j)
{
    static const char *const names[] = {"nothing",    "null",          "a boolean",
                                        "an integer", "a real number", "a string",
                                        "an array",   "an object"};
    return names[json_kind(j)];
}

const char *json_shown(const struct json *j, char out[JSON_SHOWN])
{
    if (json_kind(j) == JK_BOOL)
        return json_as_bool(j) ? "true" : "false";
    if (json_kind(j) == JK_STRING)
        snprintf(out, JSON_SHOWN, "\"%.60s\"", json_as_string(j, NULL));
    else if (json_numeric(j))
        snprintf(out, JSON_SHOWN, "%.17g", json_as_number(j));
    else
        return json_kind_name(j);
    return out;
}

bool json_numeric(const struct json *j)
{
    return json_kind(j) == JK_INT || json_kind(j) == JK_REAL;
}

bool json_as_bool(const struct json *j)
{
    return json_kind(j) == JK_BOOL && j->as.truth;
}

int64_t json_as_int(const struct json *j)
{
    return json_kind(j) == JK_INT ? j->as.whole : 0;
}

double json_as_number(const struct json *j)
{
    if (json_kind(j) == JK_INT)
        return (double)j->as.whole;
    return json_kind(j) == JK_REAL ? j->as.real : 0;
}

const char *json_as_string(const struct json *j, size_t *len)
{
    bool is = json_kind(j) == JK_STRING;
    if (len)
        *len = is ? j->n : 0;
    return is ? j->as.text : NULL;
}

static bool equal_items(const struct json *a, const struct json *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (!json_equal_values(&a->as.items[i], &b->as.items[i]))
            return false;
    return true;
}

static bool equal_members(const struct json *a, const struct json *b)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct json_member *m = &a->as.pairs[i];
        if (!json_equal_values(&m->v, json_parse_find(b, m->key, m->key_len)))
            return false;
    }
    return true;
}

bool json_equal_values(const struct json *a, const struct json *b)
{
    if (json_kind(a) != json_kind(b))
        return false;
    switch (json_kind(a)) {
    case JK_ABSENT:
    case JK_NULL:
        return true;
    case JK_BOOL:
        return a->as.truth == b->as.truth;
    case JK_INT:
        return a->as.whole == b->as.whole;
    case JK_REAL:
        return a->as.real == b->as.real;
    case JK_STRING:
        return a->n == b->n && memcmp(a->as.text, b->as.text, a->n) == 0;
    case JK_ARRAY:
        return a->n == b->n && equal_items(a, b);
    case JK_OBJECT:
        return a->n == b->n && equal_members(a, b);
    }
    return false;
}

size_t json_len(const struct json *j)
{
    return json_kind(j) == JK_ARRAY || json_kind(j) == JK_OBJECT ? j->n : 0;
}

const struct json *json_at(const struct json *array, size_t i)
{
    return json_kind(array) == JK_ARRAY && i < array->n ? &array->as.items[i] : NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return json_kind(object) == JK_OBJECT ? json_parse_find(object, key, strlen(key))
                                          : NULL;
}

int json_each(const struct json *object, json_member_fn *fn, void *arg)
{
    size_t n = json_kind(object) == JK_OBJECT ? object->n : 0;
    for (size_t i = 0; i < n; i++) {
        const struct json_member *m = &object->as.pairs[i];
        int rc = fn(arg, m->key, m->key_len, &m->v);
        if (rc)
            return rc;
    }
    return 0;
}
