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

enum { BYTES_A_STEP = 256 }; /* as costly as the evaluation of an expression */

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
