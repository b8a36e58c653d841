/*
 * Strict reading of one JSON object: every error names the path, what was expected, what
 * was found. A view; it owns nothing and lives on the caller's stack. Any thread.
 */
#ifndef ENGINE_TOKENIZER_MEMBERS_H
#define ENGINE_TOKENIZER_MEMBERS_H

#include "engine/base/err.h"
#include "engine/base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct members {
    const struct json *j; /* borrows the document */
    char path[128];       /* "model", "pre_tokenizer.pretokenizers[1]"; "" = the root */
};

/* A bounded string with its length; s is NULL when the field is absent or null. */
struct text {
    const char *s; /* borrows the document */
    size_t len;
};

/* j must be an object, else ERR_FORMAT. The path is formatted. */
int members_open(struct members *f, const struct json *j, struct err *err,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Every key must be in the NULL-ended list. */
int members_only(const struct members *f, const char *const *keys, struct err *err);

/* Absent = fallback; any other kind of value is an error. */
int members_bool(const struct members *f, const char *key, bool fallback, bool *out,
                 struct err *err);

/* Required, 0 .. max. */
int members_count(const struct members *f, const char *key, int64_t max, int32_t *out,
                  struct err *err);

/* Absent or null gives s = NULL. */
int members_text(const struct members *f, const char *key, struct text *out,
                 struct err *err);

/* As members_text, and it must be there. */
int members_need_text(const struct members *f, const char *key, struct text *out,
                      struct err *err);

/* The index of the text of a required field in a NULL-ended list; -ERR_FORMAT with the
 * list of what is honoured. */
int members_choice(const struct members *f, const char *key, const char *const *names,
                   struct err *err);

/* ERR_FORMAT: "path.key: expected what, found <kind or text>". */
int members_wrong(const struct members *f, const char *key, const char *what,
                  struct err *err);

bool members_text_is(const struct text *t, const char *s);

#endif
