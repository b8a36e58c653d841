/*
 * Reads a template's source: line breaks become '\n', one at the end is cut, as jinja2
 * does. Runs on the thread that compiles; refuses what is no UTF-8 or too large.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_source.h"

#include "engine/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fail_memory(struct jinja_source *s)
{
    if (!s->failed)
        err_set(s->err, ERR_MEMORY, "out of memory while a template is compiled");
    s->failed = true;
}

void jinja_source_fail(struct jinja_source *s, uint32_t line, const char *fmt, ...)
{
    char text[400];
    if (s->failed)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->failed = true;
    err_set(s->err, ERR_TEMPLATE, "line %u: %s", line, text);
}

void *jinja_source_alloc(struct jinja_source *s, size_t size)
{
    void *p = s->failed ? NULL : arena_zalloc(s->arena, 1, size);
    if (!p)
        fail_memory(s);
    return p;
}

void *jinja_source_grow(struct jinja_source *s, void *array, size_t n, size_t *cap,
                        size_t size)
{
    if (n < *cap)
        return array;
    size_t want = *cap ? 2 * *cap : 8;
    void *p = jinja_source_alloc(s, want * size);
    if (!p)
        return NULL;
    if (n > 0)
        memcpy(p, array, n * size);
    *cap = want;
    return p;
}

static size_t normalise(char *out, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool pair = text[i] == '\r' && i + 1 < len && text[i + 1] == '\n';
        if (!pair)
            out[n++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (n > 0 && out[n - 1] == '\n')
        n--;
    out[n] = '\0';
    return n;
}

void jinja_source_open(struct jinja_source *s, struct arena *arena, const char *text,
                       size_t len, struct err *err)
{
    *s = (struct jinja_source){.arena = arena, .err = err};
    if (len > JINJA_SOURCE_MOST)
        jinja_source_fail(s, 1, "a template of %zu bytes, at most %d", len,
                          JINJA_SOURCE_MOST);
    else if (!utf8_valid(text, len))
        jinja_source_fail(s, 1, "the template is not UTF-8");
    char *copy = s->failed ? NULL : jinja_source_alloc(s, len + 1);
    if (!copy)
        return;
    s->len = normalise(copy, text, len);
    s->text = copy;
}
