/*
 * The regular expressions of tokenizer.json, compiled by PCRE2.
 *
 * They are written in Oniguruma's Ruby syntax. Literals, classes, \p, \s, \d, groups,
 * look-around and quantifiers are accepted; constructs to which PCRE2 gives another
 * meaning are translated or refused (onig_to_pcre.h), and so is a pattern that matches
 * the empty string. Const after compile; the state of matching is the caller's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TOKENIZER_REGEX_H
#define ENGINE_TOKENIZER_REGEX_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct regex; /* a compiled pattern */

/* A search in a text. s must be valid UTF-8; begin and end are those of the last
 * match. */
struct regex_scan {
    const char *s;
    size_t len;
    size_t begin, end;
    void *state; /* owns; from regex_scan_init, good for any pattern and text */
};

/* Sets *out, which the caller frees. ERR_FORMAT with the reason, ERR_MEMORY. */
int regex_compile(struct regex **out, const char *pattern, size_t len, struct err *err);

/* A pattern that matches the string itself; len >= 1. */
int regex_literal(struct regex **out, const char *s, size_t len, struct err *err);
void regex_free(struct regex *re); /* accepts NULL */

bool regex_scan_init(struct regex_scan *scan); /* false: out of memory */
void regex_scan_free(struct regex_scan *scan); /* accepts a zeroed scan */

/* Finds the leftmost match at or after from. 1: found, and scan's begin and end are
 * set; 0: none; -ERR_ARGUMENT: the pattern exceeds its match limits on this text;
 * -ERR_MEMORY. */
int regex_find(const struct regex *re, struct regex_scan *scan, size_t from,
               struct err *err);

#endif
