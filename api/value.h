/*
 * The values of a parsed JSON body: an array of nodes of 16 bytes each, in the order of
 * the document (body.h makes it). Any thread; readers change nothing.
 *
 * A value is followed by what it holds, so the next one beside it is `span` further. A
 * string keeps its place in the body's text and is decoded when it is copied. Every
 * reader accepts NULL, which is absent, and answers absent or zero.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_VALUE_H
#define API_VALUE_H

#include "engine/base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_kind {
    VALUE_ABSENT, /* of a NULL pointer */
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,    /* of 64 bits */
    VALUE_REAL,   /* finite */
    VALUE_BEYOND, /* a number that is neither */
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_OBJECT
};

struct value {
    union {
        int64_t integer; /* of a boolean, too */
        double real;
        const char *text; /* of a string: borrows from the body, escapes as written */
    };
    uint32_t len; /* bytes of text; elements; members */
    unsigned kind : 4;
    unsigned escaped : 1; /* text holds a backslash */
    unsigned span : 27;   /* values from this one on to its end, itself included */
};

enum value_kind value_kind(const struct value *v);
const char *value_kind_name(const struct value *v); /* "a string", "nothing", … */
bool value_numeric(const struct value *v);          /* an integer or a finite real */
bool value_bool(const struct value *v);
int64_t value_int(const struct value *v);
double value_number(const struct value *v); /* int or real, as double */
size_t value_len(const struct value *v);    /* elements or members */

/* The first element of an array or the first name of an object; NULL of anything else
 * and of what is empty. value_next: the element or name behind one that is not the last.
 * value_of: what a name stands for. */
const struct value *value_first(const struct value *v);
const struct value *value_next(const struct value *v);
const struct value *value_of(const struct value *name);

/* The member of that name, or NULL. */
const struct value *value_get(const struct value *object, const char *name);

/* Strings by their decoded bytes: how many, whether they are those of `text`, and a copy
 * with a NUL behind it, or NULL when memory ran out. */
size_t value_text_len(const struct value *v);
bool value_is(const struct value *v, const char *text);
char *value_text(const struct value *v, struct arena *arena);

/* Copies a string's first cap - 1 decoded bytes, and a NUL; answers how many. */
size_t value_peek(const struct value *v, char *text, size_t cap);

/* Orders two strings by their decoded bytes: below, equal to or above 0. */
int value_compare(const struct value *a, const struct value *b);

/* Decodes what stands behind a backslash at *at and moves *at past it. False, without a
 * move, when it is no escape of JSON or leaves a surrogate alone. */
bool value_unescape(const char **at, const char *end, uint32_t *c);

#endif
