/*
 * The source of a template while it is compiled: its text, the arena of what comes of it,
 * and the first fault. One thread. Whoever sees `failed` returns at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_SOURCE_H
#define API_TEMPLATE_JINJA_SOURCE_H

#include "engine/base/arena.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { JINJA_SOURCE_MOST = 4 << 20 }; /* bytes of a template */

struct jinja_span {
    uint32_t from, to;
};

struct jinja_source {
    const char *text; /* line breaks are '\n', the last one is cut; a NUL behind it */
    size_t len;
    struct arena *arena;
    struct jinja_span *comments; /* [n_comments], ascending */
    size_t n_comments, comments_cap;
    bool failed;
    struct err *err;
};

/* Copies and normalises. ERR_TEMPLATE: too large or no UTF-8; ERR_MEMORY. */
void jinja_source_open(struct jinja_source *s, struct arena *arena, const char *text,
                       size_t len, struct err *err);

/* ERR_TEMPLATE "line N: …", unless it failed before. */
void jinja_source_fail(struct jinja_source *s, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Zeroed, of the arena; NULL after a failure. */
void *jinja_source_alloc(struct jinja_source *s, size_t size);

/* Room for one more in an array of *cap elements; the array or a larger copy, NULL after
 * a failure. */
void *jinja_source_grow(struct jinja_source *s, void *array, size_t n, size_t *cap,
                        size_t size);

#endif
