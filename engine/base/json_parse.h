/*
 * The tree behind json.h, and its parser. Only json.c includes this.
 *
 * Nodes of one array or object lie side by side; an object of more than JSON_SMALL
 * members has an index of its keys behind them. Texts are decoded once, into one block.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_JSON_PARSE_H
#define ENGINE_BASE_JSON_PARSE_H

#include "engine/base/err.h"
#include "engine/base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_SMALL = 8 };

struct json_member;

struct json {
    uint32_t kind; /* enum json_kind */
    uint32_t n;    /* bytes of a string, items of an array, members of an object */
    union {
        bool truth;
        int64_t whole;
        double real;
        const char *text;          /* [n], then a NUL */
        struct json *items;        /* [n] */
        struct json_member *pairs; /* [n], in the document's order */
    } as;
};

struct json_member {
    const char *key; /* [key_len], then a NUL */
    uint32_t key_len, hash;
    struct json v;
};

/* Parses a document; reals: every integer becomes a real. On failure ERR_FORMAT with line
 * and column, or ERR_MEMORY. */
int json_parse_tree(struct json **out, const char *text, size_t len, bool reals,
                    struct err *err);
void json_parse_free(struct json *root); /* accepts NULL */

/* The value of a key, or NULL. */
const struct json *json_parse_find(const struct json *object, const char *key,
                                   size_t len);

#endif
