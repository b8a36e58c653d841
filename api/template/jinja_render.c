/*
 * What a render may take, counted. Runs on the thread that renders; refuses by failing
 * the render with the limit's name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_render.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    BYTES_A_STEP = 256, /* as costly as the evaluation of an expression */
    NESTED_MOST = 2000  /* a level takes less than 1 KiB of the stack */
};

struct jinja_value jinja_render_fail(struct jinja_render *r, const char *fmt, ...)
{
    if (r->failed)
        return (struct jinja_value){0};
    r->failed = true;
    r->err = (struct err){.code = ERR_TEMPLATE};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->err.text, sizeof r->err.text, fmt, ap);
    va_end(ap);
    return (struct jinja_value){0};
}

struct jinja_value jinja_render_fail_as(struct jinja_render *r, enum err_code code,
                                        const char *text, size_t len)
{
    jinja_render_fail(r, "%.*s",
                      (int)(len < sizeof r->err.text ? len : sizeof r->err.text), text);
    r->err.code = code;
    r->placed = true;
    return (struct jinja_value){0};
}

/* The arena's pieces are of 64 bytes; `more` of them are about to be taken. */
static bool has_memory(struct jinja_render *r, size_t more)
{
    size_t most = r->args->limits->memory_bytes;
    if (r->failed)
        return false;
    if (r->arena->used_bytes <= most && more <= most - r->arena->used_bytes)
        return true;
    jinja_render_fail(r, "the limit of memory (%zu bytes) is reached", most);
    return false;
}

static bool out_of_memory(struct jinja_render *r)
{
    static const char text[] = "out of memory while a template is rendered";
    if (!r->failed)
        jinja_render_fail_as(r, ERR_MEMORY, text, sizeof text - 1);
    return false;
}

void *jinja_render_alloc(struct jinja_render *r, size_t size)
{
    if (!has_memory(r, size))
        return NULL;
    void *p = arena_alloc(r->arena, size);
    if (!p)
        out_of_memory(r);
    return p;
}

bool jinja_render_work(struct jinja_render *r, size_t n)
{
    r->steps += 1 + n / BYTES_A_STEP;
    if (r->steps <= r->args->limits->steps)
        return !r->failed;
    jinja_render_fail(r, "the limit of %zu steps is reached", r->args->limits->steps);
    return false;
}

bool jinja_render_enter(struct jinja_render *r)
{
    if (r->failed)
        return false;
    if (++r->nested <= NESTED_MOST)
        return true;
    r->nested--;
    jinja_render_fail(r, "evaluations or values are nested more than %d deep",
                      NESTED_MOST);
    return false;
}

void jinja_render_leave(struct jinja_render *r)
{
    r->nested--;
}

/* Copies source text, on one line, cut where it is too long for a message. */
static void quote(char *out, size_t cap, const char *text, size_t len)
{
    bool cut = len >= cap;
    size_t n = cut ? cap - 4 : len;
    while (cut && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = text[i] == '\n' || text[i] == '\t' ? ' ' : text[i];
    memcpy(out + n, cut ? "..." : "", cut ? 4 : 1);
}

void jinja_render_place(struct jinja_render *r, uint32_t line, uint32_t from, uint32_t to)
{
    char text[100];
    if (!r->failed || r->placed)
        return;
    r->placed = true;
    quote(text, sizeof text, r->source + from, to - from);
    if (to > from)
        err_prefix(&r->err, "line %u: %s", line, text);
    else
        err_prefix(&r->err, "line %u", line);
}

struct jinja_value jinja_render_list(struct jinja_render *r)
{
    if (!has_memory(r, sizeof(struct jinja_list)))
        return (struct jinja_value){0};
    struct jinja_value v = jinja_list(r->arena);
    if (v.kind != JINJA_LIST)
        out_of_memory(r);
    return v;
}

bool jinja_render_add(struct jinja_render *r, struct jinja_list *list,
                      struct jinja_value v)
{
    if (list->n < list->cap)
        return jinja_list_add(r->arena, list, v);
    return has_memory(r, 2 * list->cap * sizeof v) &&
           (jinja_list_add(r->arena, list, v) || out_of_memory(r));
}

struct jinja_value jinja_render_dict(struct jinja_render *r)
{
    if (!has_memory(r, sizeof(struct jinja_dict)))
        return (struct jinja_value){0};
    struct jinja_value v = jinja_dict(r->arena);
    if (v.kind != JINJA_DICT)
        out_of_memory(r);
    return v;
}

bool jinja_render_put(struct jinja_render *r, struct jinja_dict *d,
                      struct jinja_value key, struct jinja_value v)
{
    size_t more = d->n < d->cap ? 0 : 3 * d->cap * sizeof *d->entries;
    if (!jinja_hashable(key))
        jinja_render_fail(r, "a key of a dict must be text, a number, a boolean, none or "
                             "a tuple of these");
    return has_memory(r, more) &&
           (jinja_dict_put(r->arena, d, key, v) || out_of_memory(r));
}
