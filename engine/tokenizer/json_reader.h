/*
 * Strict reading of one JSON object. Every error names the path, what was expected and
 * what was found. A view: it owns nothing and lives on the caller's stack. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TOKENIZER_JSON_READER_H
#define ENGINE_TOKENIZER_JSON_READER_H

#include "engine/base/err.h"
#include "engine/base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_reader {
    const struct json *j; /* borrows the document */
    char path[128];       /* "model", "pre_tokenizer.pretokenizers[1]"; "" = the root */
};

/* A bounded string with its length; s is NULL when the field is absent or null. */
struct json_text {
    const char *s; /* borrows the document */
    size_t len;
};

/* j must be an object, else ERR_FORMAT. The path is formatted. */
int json_reader_open(struct json_reader *f, const struct json *j, struct err *err,
                     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Every key must be in the NULL-ended list. */
int json_reader_only(const struct json_reader *f, const char *const *keys,
                     struct err *err);

/* Absent = fallback; any other kind of value is an error. */
int json_reader_bool(const struct json_reader *f, const char *key, bool fallback,
                     bool *out, struct err *err);

/* Required, 0 .. max. */
int json_reader_count(const struct json_reader *f, const char *key, int64_t max,
                      int32_t *out, struct err *err);

/* Optional: absent or null sets out->s to NULL. */
int json_reader_text(const struct json_reader *f, const char *key, struct json_text *out,
                     struct err *err);

/* As json_reader_text, but required. */
int json_reader_need_text(const struct json_reader *f, const char *key,
                          struct json_text *out, struct err *err);

/* Returns the index of a required text in the NULL-ended list, or -ERR_FORMAT with an
 * error that lists the names. */
int json_reader_choice(const struct json_reader *f, const char *key,
                       const char *const *names, struct err *err);

/* ERR_FORMAT: "path.key: expected what, found <kind or text>". */
int json_reader_wrong(const struct json_reader *f, const char *key, const char *what,
                      struct err *err);

bool json_reader_text_is(const struct json_text *t, const char *s);

#endif
