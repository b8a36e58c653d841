/* Paths are written from the outermost step inwards.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/body_path.h"

#include "api/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 200, MAX_KEY = 48 };

static const char cut[] = "\xe2\x80\xa6";

struct body_path body_path_member(const struct body_path *outer, const char *name)
{
    return (struct body_path){.outer = outer, .name = name};
}

struct body_path body_path_key(const struct body_path *outer, const struct value *key)
{
    return (struct body_path){.outer = outer, .key = key};
}

struct body_path body_path_element(const struct body_path *outer, size_t index)
{
    return (struct body_path){.outer = outer, .index = index};
}

static bool is_plain(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~' || *s == '`' || *s == '"')
            return false;
    return true;
}

/* One step as text. A client's name that is long or strange is not repeated. */
static void step_text(const struct body_path *at, char *text, size_t cap)
{
    const char *dot = at->outer ? "." : "";
    char key[MAX_KEY];
    if (at->name)
        snprintf(text, cap, "%s%s", dot, at->name);
    else if (!at->key)
        snprintf(text, cap, "[%zu]", at->index);
    else if (value_peek(at->key, key, sizeof key) + 1 < sizeof key && is_plain(key))
        snprintf(text, cap, "%s%s", dot, key);
    else
        snprintf(text, cap, "[?]");
}

static size_t depth_of(const struct body_path *at)
{
    size_t n = 0;
    for (; at; at = at->outer)
        n++;
    return n;
}

static const struct body_path *step_at(const struct body_path *at, size_t inwards)
{
    for (size_t n = depth_of(at) - 1; n > inwards; n--)
        at = at->outer;
    return at;
}

void body_path_text(const struct body_path *at, char *text, size_t cap)
{
    size_t len = 0, depth = depth_of(at);
    text[0] = '\0';
    for (size_t i = 0; i < depth; i++) {
        char step[MAX_KEY + 8];
        step_text(step_at(at, i), step, sizeof step);
        size_t n = strlen(step);
        size_t more = i + 1 < depth ? sizeof cut - 1 : 0;
        if (len + n + more >= cap) {
            snprintf(text + len, cap - len, "%s", len + sizeof cut <= cap ? cut : "");
            return;
        }
        memcpy(text + len, step, n + 1);
        len += n;
    }
}

int body_path_error(struct err *err, enum err_code code, const struct body_path *at,
                    const char *fmt, ...)
{
    char path[MAX_TEXT], param[sizeof err->param], message[sizeof err->text];
    body_path_text(at, path, sizeof path);
    body_path_text(at, param, sizeof param);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return err_param(err, code, param, "`%s` %s", path, message);
}

int body_path_wrong(struct err *err, const struct body_path *at, const char *expected,
                    const struct value *v)
{
    char found[FIELDS_SHOWN];
    if (value_kind(v) == VALUE_ABSENT)
        return body_path_error(err, ERR_ARGUMENT, at, "is missing: it must be %s",
                               expected);
    fields_show(v, found);
    return body_path_error(err, ERR_ARGUMENT, at, "must be %s, not %s", expected, found);
}

/* What a client spelt wrong, in quotes. False: too long, or not plain. */
static bool quote(const struct value *v, char text[FIELDS_SHOWN])
{
    char word[FIELDS_SHOWN - 2];
    if (value_kind(v) != VALUE_STRING || value_text_len(v) >= sizeof word)
        return false;
    size_t len = value_peek(v, word, sizeof word);
    for (size_t i = 0; i < len; i++)
        if (word[i] <= ' ' || word[i] > '~' || word[i] == '"' || word[i] == '`')
            return false;
    snprintf(text, FIELDS_SHOWN, "\"%.*s\"", (int)len, word);
    return true;
}

int body_path_word(struct err *err, enum err_code code, const struct body_path *at,
                   const struct value *v, const char *expected, const char *why)
{
    char found[FIELDS_SHOWN];
    if (value_kind(v) == VALUE_ABSENT)
        return body_path_wrong(err, at, expected, v);
    if (!quote(v, found))
        fields_show(v, found);
    return body_path_error(err, code, at, "must be %s, not %s%s%s", expected, found,
                           why ? ": " : "", why ? why : "");
}
