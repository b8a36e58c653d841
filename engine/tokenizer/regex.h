/*
 * The regular expressions of tokenizer.json, compiled by PCRE2.
 *
 * They are written for Oniguruma's Ruby syntax. The common part of both dialects is
 * accepted (literals, classes, \p, \s, \d, groups, look-around, quantifiers); what the
 * two read differently is refused, and \s is rewritten to Unicode's White_Space. A
 * pattern that can match nothing is refused. Const after compile; matching state is the
 * caller's.
 */
#ifndef ENGINE_TOKENIZER_REGEX_H
#define ENGINE_TOKENIZER_REGEX_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct regex; /* a compiled pattern */

/* A text under search. s must be valid UTF-8; begin and end are the last match's. */
struct regex_scan {
    const char *s;
    size_t len;
    size_t begin, end;
    void *state; /* owns; made by regex_scan_init, fits any pattern and text */
};

/* ERR_FORMAT with the reason, ERR_MEMORY. */
int regex_compile(struct regex **out, const char *pattern, size_t len, struct err *err);

/* A pattern that matches the string itself; len >= 1. */
int regex_literal(struct regex **out, const char *s, size_t len, struct err *err);
void regex_free(struct regex *re); /* accepts NULL */

bool regex_scan_init(struct regex_scan *scan); /* false: out of memory */
void regex_scan_free(struct regex_scan *scan); /* accepts a zeroed scan */

/* The leftmost match at or after from. 1: found, its place in scan; 0: none;
 * -ERR_ARGUMENT: the text drives the pattern over its match limits; -ERR_MEMORY. */
int regex_find(const struct regex *re, struct regex_scan *scan, size_t from,
               struct err *err);

#endif
