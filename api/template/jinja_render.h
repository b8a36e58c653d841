/*
 * One render under way: its arena, what it may still take, and how it failed. Every part
 * of the interpreter takes one, on the thread that renders.
 *
 * A failure is remembered, the first wins; whoever sees `failed` returns at once, with any
 * value. Memory is counted before it is taken, work before it is done, so that no
 * template, however it loops, costs more than its limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_RENDER_H
#define API_TEMPLATE_JINJA_RENDER_H

#include "api/template/template.h"

struct jinja_activation;
struct jinja_builder;

struct jinja_render {
    const struct template_args *args;
    const char *source; /* of the template; NULL where there is none */
    struct arena *arena;
    size_t steps;                  /* taken so far */
    size_t nested;                 /* evaluations within evaluations */
    int calls;                     /* calls within calls */
    struct jinja_activation *here; /* the variables of the function under way */
    struct jinja_builder *out;     /* where statements write */
    struct jinja_value body;       /* of a block that filters are applied to */
    bool failed;
    bool placed; /* err names line and expression already */
    struct err err;
};

/* Of the limits' memory; uninitialised, in the arena. NULL after a failure. */
void *jinja_render_alloc(struct jinja_render *r, size_t size);

/* Counts n bytes that are read, compared or searched, and one step. False when the limit
 * is reached: the render failed. */
bool jinja_render_work(struct jinja_render *r, size_t n);

/* One level of recursion more, in evaluation or in a value; leave it if true. False when
 * it is too deep: the render failed. */
bool jinja_render_enter(struct jinja_render *r);
void jinja_render_leave(struct jinja_render *r);

/* ERR_TEMPLATE, unless it failed before. Answers UNDEFINED. */
struct jinja_value jinja_render_fail(struct jinja_render *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same with another code: ERR_MEMORY, or ERR_ARGUMENT of raise_exception. */
struct jinja_value jinja_render_fail_as(struct jinja_render *r, enum err_code code,
                                        const char *text, size_t len);

/* Puts line and text of the source in front of a failure that has no place yet. */
void jinja_render_place(struct jinja_render *r, uint32_t line, uint32_t from,
                        uint32_t to);

/* As in jinja_value.h, counted. */
struct jinja_value jinja_render_list(struct jinja_render *r);
bool jinja_render_add(struct jinja_render *r, struct jinja_list *list,
                      struct jinja_value v);
struct jinja_value jinja_render_dict(struct jinja_render *r);
/* A key that cannot be hashed fails. */
bool jinja_render_put(struct jinja_render *r, struct jinja_dict *d,
                      struct jinja_value key, struct jinja_value v);

#endif
