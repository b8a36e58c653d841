/*
 * A JSON body: one pass checks the whole text, counts its values and builds those of the
 * top-level members that the endpoint knows. Any thread; no state beyond the arguments.
 *
 * Strict (RFC 8259): names that occur twice in one object, at any depth, invalid UTF-8,
 * surrogates without their pair, control characters in strings, U+0000 in names, text
 * behind the value and nesting deeper than 2048 are errors. A number of any size is
 * valid. The subtle point: what is built needs no more nodes than half the text's bytes,
 * so all memory is taken at once, untouched, and what a body weighs is known by its length.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/value.h"
#include "engine/base/err.h"

/* Values and names in one body. Contexts of 524,288 token ids are in use. */
enum { BODY_MAX_NODES = 1000000 };

struct body {
    struct value *values; /* owns; the first is the object */
    size_t n_unknown;     /* top-level members that were not built */
};

/* Whether a top-level member is to be built. */
typedef bool body_known_fn(const void *arg, const struct value *name);

/* Parses len bytes that must be an object. On success the caller owns out until
 * body_free; its strings borrow from text. Else nothing is to be freed: ERR_ARGUMENT with
 * line and column, ERR_COMPLEX with the number of nodes, ERR_MEMORY. */
int body_parse(struct body *out, const char *text, size_t len, body_known_fn *known,
               const void *arg, struct err *err);

void body_free(struct body *b); /* accepts a zeroed struct */

/* The most that parsing len bytes takes. */
size_t body_bytes(size_t len);

#endif
