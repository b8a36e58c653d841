/* jansson behind our own names. `struct json` is never defined: it is a json_t.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/json.h"

#include "engine/base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static json_t *raw(const struct json *j)
{
    return (json_t *)(void *)(uintptr_t)j;
}

static const struct json *own(json_t *j)
{
    return (const struct json *)(const void *)j;
}

static int parse(struct json **out, const char *text, size_t len, size_t more,
                 struct err *err)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY;
    json_error_t e;
    json_t *j = json_loadb(text, len, flags | more, &e);
    if (!j && e.line < 0) /* it has nothing to say about the text */
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of JSON", len);
    if (!j)
        return err_set(err, ERR_FORMAT, "invalid JSON at line %d, column %d: %s", e.line,
                       e.column, e.text);
    *out = (struct json *)(void *)j;
    return 0;
}

int json_parse(struct json **out, const char *text, size_t len, struct err *err)
{
    return parse(out, text, len, 0, err);
}

int json_parse_reals(struct json **out, const char *text, size_t len, struct err *err)
{
    return parse(out, text, len, JSON_DECODE_INT_AS_REAL, err);
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
    json_decref(raw(j));
}

enum json_kind json_kind(const struct json *j)
{
    static const enum json_kind kinds[] = {
        [JSON_OBJECT] = JK_OBJECT, [JSON_ARRAY] = JK_ARRAY, [JSON_STRING] = JK_STRING,
        [JSON_INTEGER] = JK_INT,   [JSON_REAL] = JK_REAL,   [JSON_TRUE] = JK_BOOL,
        [JSON_FALSE] = JK_BOOL,    [JSON_NULL] = JK_NULL,
    };
    return j ? kinds[json_typeof(raw(j))] : JK_ABSENT;
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
    return j && json_typeof(raw(j)) >= JSON_INTEGER && json_typeof(raw(j)) <= JSON_REAL;
}

bool json_as_bool(const struct json *j)
{
    return j && json_typeof(raw(j)) == JSON_TRUE;
}

int64_t json_as_int(const struct json *j)
{
    return json_integer_value(raw(j));
}

double json_as_number(const struct json *j)
{
    return json_number_value(raw(j));
}

const char *json_as_string(const struct json *j, size_t *len)
{
    if (len)
        *len = json_string_length(raw(j));
    return json_string_value(raw(j));
}

bool json_equal_values(const struct json *a, const struct json *b)
{
    return json_equal(raw(a), raw(b));
}

size_t json_len(const struct json *j)
{
    return json_kind(j) == JK_ARRAY ? json_array_size(raw(j)) : json_object_size(raw(j));
}

const struct json *json_at(const struct json *array, size_t i)
{
    return own(json_array_get(raw(array), i));
}

const struct json *json_get(const struct json *object, const char *key)
{
    return own(json_object_get(raw(object), key));
}

int json_each(const struct json *object, json_member_fn *fn, void *arg)
{
    json_t *o = raw(object);
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        size_t key_len = json_object_iter_key_len(it);
        int rc = fn(arg, key, key_len, own(json_object_iter_value(it)));
        if (rc)
            return rc;
    }
    return 0;
}
