/* Typed access to the objects of tokenizer.json. The only defaults are those of the call,
 * and no kind is converted to another. Errors quote texts of the file shortened, with
 * control characters replaced.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/json_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 48 };

int json_reader_open(struct json_reader *f, const struct json *j, struct err *err,
                     const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->path, sizeof f->path, fmt, ap);
    va_end(ap);
    f->j = j;
    if (json_kind(j) == JK_OBJECT)
        return 0;
    return err_set(err, ERR_FORMAT, "%s: expected an object, found %s",
                   f->path[0] ? f->path : "document", json_kind_name(j));
}

static const char *dot(const struct json_reader *f)
{
    return f->path[0] ? "." : "";
}

static void shown(char out[SHOWN_BYTES + 8], const char *s, size_t len)
{
    size_t n = len < SHOWN_BYTES ? len : SHOWN_BYTES;
    while (n < len && n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7F ? '?' : s[i];
    memcpy(out + n, n < len ? "..." : "", n < len ? 4 : 1);
}

int json_reader_wrong(const struct json_reader *f, const char *key, const char *what,
                      struct err *err)
{
    const struct json *v = json_get(f->j, key);
    size_t len;
    const char *s = json_as_string(v, &len);
    if (json_kind(v) != JK_STRING)
        return err_set(err, ERR_FORMAT, "%s%s%s: expected %s, found %s", f->path, dot(f),
                       key, what, json_kind_name(v));
    char text[SHOWN_BYTES + 8];
    shown(text, s, len);
    return err_set(err, ERR_FORMAT, "%s%s%s: expected %s, found \"%s\"", f->path, dot(f),
                   key, what, text);
}

struct only {
    const struct json_reader *f;
    const char *const *keys;
    struct err *err;
};

static int known(void *arg, const char *key, size_t key_len, const struct json *v)
{
    const struct only *o = arg;
    (void)v;
    for (const char *const *k = o->keys; *k; k++)
        if (strlen(*k) == key_len && memcmp(*k, key, key_len) == 0)
            return 0;
    char text[SHOWN_BYTES + 8];
    shown(text, key, key_len);
    return err_set(o->err, ERR_FORMAT, "%s%s%s: a field that is not honoured here",
                   o->f->path, dot(o->f), text);
}

int json_reader_only(const struct json_reader *f, const char *const *keys,
                     struct err *err)
{
    struct only o = {f, keys, err};
    return json_each(f->j, known, &o);
}

int json_reader_bool(const struct json_reader *f, const char *key, bool fallback,
                     bool *out, struct err *err)
{
    const struct json *v = json_get(f->j, key);
    *out = v ? json_as_bool(v) : fallback;
    if (!v || json_kind(v) == JK_BOOL)
        return 0;
    return json_reader_wrong(f, key, "true or false", err);
}

int json_reader_count(const struct json_reader *f, const char *key, int64_t max,
                      int32_t *out, struct err *err)
{
    const struct json *v = json_get(f->j, key);
    if (json_kind(v) != JK_INT)
        return json_reader_wrong(f, key, "an integer", err);
    int64_t n = json_as_int(v);
    if (n < 0 || n > max)
        return err_set(err, ERR_FORMAT, "%s%s%s: expected 0 to %lld, found %lld", f->path,
                       dot(f), key, (long long)max, (long long)n);
    *out = (int32_t)n;
    return 0;
}

int json_reader_text(const struct json_reader *f, const char *key, struct json_text *out,
                     struct err *err)
{
    const struct json *v = json_get(f->j, key);
    *out = (struct json_text){0};
    if (!v || json_kind(v) == JK_NULL)
        return 0;
    if (json_kind(v) != JK_STRING)
        return json_reader_wrong(f, key, "a string or null", err);
    out->s = json_as_string(v, &out->len);
    return 0;
}

int json_reader_need_text(const struct json_reader *f, const char *key,
                          struct json_text *out, struct err *err)
{
    int rc = json_reader_text(f, key, out, err);
    if (rc == 0 && !out->s)
        return json_reader_wrong(f, key, "a string", err);
    return rc;
}

static void joined(char out[256], const char *const *names)
{
    size_t at = 0;
    out[0] = '\0';
    for (const char *const *n = names; *n && at < 200; n++)
        at += (size_t)snprintf(out + at, 256 - at, "%s%s", at ? ", " : "", *n);
}

int json_reader_choice(const struct json_reader *f, const char *key,
                       const char *const *names, struct err *err)
{
    struct json_text t;
    int rc = json_reader_need_text(f, key, &t, err);
    if (rc != 0)
        return rc;
    for (int i = 0; names[i]; i++)
        if (json_reader_text_is(&t, names[i]))
            return i;
    char list[256], what[288];
    joined(list, names);
    snprintf(what, sizeof what, "one of %s", list);
    return json_reader_wrong(f, key, what, err);
}

bool json_reader_text_is(const struct json_text *t, const char *s)
{
    return t->s && t->len == strlen(s) && memcmp(t->s, s, t->len) == 0;
}
