/*
 * Reading the JSON of files; json.c alone includes jansson.h. (Request bodies are read by
 * api/body.h, writing is in buf.h.)
 *
 * A document is a tree owned by its root: json_parse makes it, json_free ends it, every
 * other pointer borrows from it. Strict: duplicate keys, invalid UTF-8, lone surrogates,
 * trailing bytes, numbers outside int64 or double are errors; U+0000 in strings is
 * allowed. Depth is limited by the library to 2048. A tree may be read by several
 * threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_JSON_H
#define ENGINE_BASE_JSON_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;

enum json_kind {
    JK_ABSENT, /* of a NULL pointer */
    JK_NULL,
    JK_BOOL,
    JK_INT,
    JK_REAL,
    JK_STRING,
    JK_ARRAY,
    JK_OBJECT
};

/* Parses len bytes. On failure ERR_FORMAT with line and column, or ERR_MEMORY; nothing to
 * free. */
int json_parse(struct json **out, const char *text, size_t len, struct err *err);

/* The same for files that hold integers beyond 64 bits: every integer becomes a real. */
int json_parse_reals(struct json **out, const char *text, size_t len, struct err *err);

/* Reads and parses a file of at most max_bytes; errors name the file. */
int json_load(struct json **out, const char *path, size_t max_bytes, struct err *err);

/* The same for a file that Python wrote: bare Infinity, -Infinity and NaN, which are no
 * JSON, become {"__float__": "Infinity"} and the like. */
int json_load_python(struct json **out, const char *path, size_t max_bytes,
                     struct err *err);

void json_free(struct json *j); /* the root; accepts NULL */

/* Every reader below accepts NULL (absent) and answers absent / zero. */
enum json_kind json_kind(const struct json *j);
const char *json_kind_name(const struct json *j); /* "string", "number", "absent", … */
/* What an error says it found: a short text in quotes, a number, true, false, or the kind.
 * Answers out, or a name that is constant. */
enum { JSON_SHOWN = 72 };
const char *json_shown(const struct json *j, char out[JSON_SHOWN]);
bool json_numeric(const struct json *j); /* int or real */
bool json_as_bool(const struct json *j);
int64_t json_as_int(const struct json *j);
double json_as_number(const struct json *j); /* int or real, as double */
const char *json_as_string(const struct json *j,
                           size_t *len); /* NUL-terminated; len may be NULL */

bool json_equal_values(const struct json *a, const struct json *b); /* deep */
size_t json_len(const struct json *j); /* elements or members */
const struct json *json_at(const struct json *array, size_t i);
const struct json *json_get(const struct json *object, const char *key);

/* Calls fn for each member, in the document's order, until fn answers non-zero; returns
 * that. The key is NUL-terminated and key_len bytes long. */
typedef int json_member_fn(void *arg, const char *key, size_t key_len,
                           const struct json *v);
int json_each(const struct json *object, json_member_fn *fn, void *arg);

#endif
