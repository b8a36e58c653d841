/*
 * The regular expressions of tokenizer.json, compiled by PCRE2.
 *
 * They are written for Oniguruma's Ruby syntax. The common part of both dialects is accepted
 * (literals, classes, \p, \s, \d, groups, look-around, quantifiers); what the two read
 * differently is refused, and \s is rewritten to Unicode's White_Space. A pattern that can
 * match nothing is refused. Const after compile; matching state is the caller's.
 */
#ifndef ENGINE_LOAD_REGEX_H
#define ENGINE_LOAD_REGEX_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct regex;       /* a compiled pattern */
struct regex_match; /* one thread's matching state, for any pattern */

/* ERR_FORMAT with the reason, ERR_MEMORY. */
int regex_compile(struct regex **out, const char *pattern, size_t len, struct err *err);

/* A pattern that matches the string itself; len >= 1. */
int regex_literal(struct regex **out, const char *s, size_t len, struct err *err);
void regex_free(struct regex *re); /* accepts NULL */

struct regex_match *regex_match_new(void); /* NULL: out of memory; owned by the caller */
void regex_match_free(struct regex_match *m); /* accepts NULL */

/* The leftmost match at or after from in s[0..len), which must be valid UTF-8. 1: found, with
 * its place in *begin, *end; 0: none; -ERR_ARGUMENT: the pattern's match limits exceeded;
 * -ERR_MEMORY. */
int regex_find(const struct regex *re, struct regex_match *m, const char *s, size_t len,
               size_t from, size_t *begin, size_t *end, struct err *err);

#endif
