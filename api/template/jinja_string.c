/*
 * The builder of texts and cuts of them. Runs on the render's thread; memory is the
 * arena's. Capacity doubles, so that a text of n bytes costs at most 4n on its way; what
 * it outgrew stays in the arena and is counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_string.h"

#include <string.h>

enum { BUILDER_FIRST = 192 };

void jinja_string_begin(struct jinja_builder *b, struct jinja_render *r)
{
    *b = (struct jinja_builder){.render = r};
}

/* Room for `more` bytes and a NUL. */
static bool reserve(struct jinja_builder *b, size_t more)
{
    size_t most = b->render->args->limits->output_bytes;
    if (b->render->failed)
        return false;
    if (more < b->cap - b->len)
        return true;
    if (more > most || b->len > most - more) {
        jinja_render_fail(b->render, "the limit of a text (%zu bytes) is reached", most);
        return false;
    }
    size_t need = b->len + more + 1, cap = b->cap ? 2 * b->cap : BUILDER_FIRST;
    if (cap < need)
        cap = need + need / 8; /* a large piece; what follows it may be small */
    char *text = jinja_render_alloc(b->render, cap);
    uint16_t *marks = b->marks ? jinja_render_alloc(b->render, 2 * cap) : NULL;
    if (!text || (b->marks && !marks))
        return false;
    if (b->len > 0)
        memcpy(text, b->text, b->len);
    if (b->marks && b->len > 0)
        memcpy(marks, b->marks, 2 * b->len);
    b->text = text;
    b->marks = marks;
    b->cap = cap;
    return true;
}

static void fill(uint16_t *marks, size_t n, uint16_t mark)
{
    for (size_t i = 0; i < n; i++)
        marks[i] = mark;
}

/* From now on every byte has its own mark. */
static bool mix(struct jinja_builder *b)
{
    b->marks = jinja_render_alloc(b->render, 2 * b->cap);
    if (!b->marks)
        return false;
    fill(b->marks, b->len, b->mark);
    return true;
}

void jinja_string_put(struct jinja_builder *b, const char *text, size_t len,
                      uint16_t mark)
{
    if (len == 0 || !reserve(b, len))
        return;
    if (b->len == 0)
        b->mark = mark;
    if (mark != b->mark && !b->marks && !mix(b))
        return;
    if (b->marks)
        fill(b->marks + b->len, len, mark);
    memcpy(b->text + b->len, text, len);
    b->len += len;
}

void jinja_string_puts(struct jinja_builder *b, const char *text)
{
    jinja_string_put(b, text, strlen(text), 0);
}

void jinja_string_slice(struct jinja_builder *b, const struct jinja_string *s,
                        size_t from, size_t len)
{
    if (!s->marks) {
        jinja_string_put(b, s->text + from, len, s->mark);
        return;
    }
    if (len == 0 || !reserve(b, len) || (!b->marks && !mix(b)))
        return;
    memcpy(b->marks + b->len, s->marks + from, 2 * len);
    memcpy(b->text + b->len, s->text + from, len);
    b->len += len;
}

void jinja_string_join(struct jinja_builder *b, const struct jinja_string *s)
{
    jinja_string_slice(b, s, 0, s->len);
}

static struct jinja_value string_new(struct jinja_render *r, struct jinja_string from)
{
    struct jinja_string *s = jinja_render_alloc(r, sizeof *s);
    if (!s)
        return (struct jinja_value){0};
    *s = from;
    return (struct jinja_value){.kind = JINJA_STRING, .string = s};
}

struct jinja_value jinja_string_end(struct jinja_builder *b)
{
    if (!reserve(b, 0))
        return (struct jinja_value){0};
    b->text[b->len] = '\0';
    return string_new(b->render, (struct jinja_string){.text = b->text,
                                                       .len = b->len,
                                                       .marks = b->marks,
                                                       .mark = b->mark});
}

struct jinja_value jinja_string_cut(struct jinja_render *r, const struct jinja_string *s,
                                    size_t from, size_t len)
{
    return string_new(r, (struct jinja_string){.text = s->text + from,
                                               .len = len,
                                               .marks = s->marks ? s->marks + from : NULL,
                                               .mark = s->mark,
                                               .safe = s->safe});
}

struct jinja_value jinja_string_of(struct jinja_render *r, const char *text, size_t len)
{
    return string_new(r, (struct jinja_string){.text = text, .len = len});
}

struct jinja_value jinja_string_safe(struct jinja_render *r, struct jinja_value text)
{
    if (r->failed || text.string->safe)
        return text;
    struct jinja_string safe = *text.string;
    safe.safe = true;
    return string_new(r, safe);
}
