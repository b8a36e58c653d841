/*
 * What can be iterated, measured and indexed: lists, tuples, views, iterators, ranges,
 * texts (by code points) and dicts (their keys). Failures are the render's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_SEQUENCE_H
#define API_TEMPLATE_JINJA_SEQUENCE_H

#include "api/template/jinja_string.h"

/* An iteration under way. An ITERATOR is read as it goes. */
struct jinja_cursor {
    struct jinja_value of;
    size_t next; /* index; of a text: byte */
};

bool jinja_sequence_iterable(struct jinja_value v);
/* Fails, and answers false, for what is not iterable. Undefined is empty. */
bool jinja_sequence_begin(struct jinja_render *r, struct jinja_value v,
                          struct jinja_cursor *c);
/* False at the end, and after a failure. */
bool jinja_sequence_next(struct jinja_render *r, struct jinja_cursor *c,
                         struct jinja_value *out);

/* Whether v has a length, which is then *n. */
bool jinja_sequence_len(struct jinja_render *r, struct jinja_value v, size_t *n);

/* A new list of what v iterates. */
struct jinja_value jinja_sequence_list(struct jinja_render *r, struct jinja_value v);

/* Item i of a list, tuple, range or text, negative from the end. False: out of range, or
 * v has no items by number. */
bool jinja_sequence_at(struct jinja_render *r, struct jinja_value v, int64_t i,
                       struct jinja_value *out);

/* v[from:to:step]; NULL: left out. */
struct jinja_value jinja_sequence_slice(struct jinja_render *r, struct jinja_value v,
                                        const int64_t *from, const int64_t *to,
                                        const int64_t *step);

/* A tuple of two. */
struct jinja_value jinja_sequence_pair(struct jinja_render *r, struct jinja_value a,
                                       struct jinja_value b);

/* A new list of v's items, the last one first. */
struct jinja_value jinja_sequence_reverse(struct jinja_render *r, struct jinja_value v);

#endif
