/*
 * The stages around the merges: normalizer, pre-tokenizer, post-processor, decoder.
 *
 * Each stage is a flat list of steps read from tokenizer.json; Sequences are flattened. A
 * step of an unknown type or with an unsupported option is a load error that names its
 * path. Const after load. normal.c, pretok.c and token_bytes.c run the steps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TOKENIZER_PIPELINE_H
#define ENGINE_TOKENIZER_PIPELINE_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/base/json.h"
#include "engine/tokenizer/regex.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PIPELINE_MAX_STEPS = 16, PIPELINE_MAX_TEMPLATE = 8 };

enum normal_kind {
    NORMAL_NFC,
    NORMAL_NFD,
    NORMAL_NFKC,
    NORMAL_NFKD,
    NORMAL_PREPEND, /* text before a non-empty segment */
    NORMAL_REPLACE, /* each match of pattern becomes text */
    NORMAL_STRIP,   /* white space at the left, at the right */
    NORMAL_LOWER
};

struct normal_step {
    enum normal_kind kind;
    const char *text; /* borrows arena */
    size_t text_len;
    struct regex *pattern; /* owns */
    bool left, right;
};

enum pretok_kind { PRETOK_SPLIT, PRETOK_BYTE_LEVEL, PRETOK_METASPACE };

enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
};

enum prepend_scheme { PREPEND_NEVER, PREPEND_FIRST, PREPEND_ALWAYS };

struct pretok_step {
    enum pretok_kind kind;
    struct regex *pattern; /* owns; SPLIT, and BYTE_LEVEL with use_regex; else NULL */
    enum split_behavior behavior;
    bool invert;
    enum prepend_scheme prepend; /* BYTE_LEVEL: a space; METASPACE: the replacement */
    bool split;                  /* METASPACE: split at the replacement */
    const char *text;            /* METASPACE: the replacement; borrows arena */
    size_t text_len;
};

enum decode_kind { DECODE_BYTE_LEVEL, DECODE_BYTE_FALLBACK, DECODE_REPLACE };

struct decode_step {
    enum decode_kind kind;
    const char *from, *to; /* REPLACE; borrow arena */
    size_t from_len, to_len;
};

struct pipeline {
    struct normal_step normal[PIPELINE_MAX_STEPS];
    struct pretok_step pretok[PIPELINE_MAX_STEPS];
    struct decode_step decode[PIPELINE_MAX_STEPS];
    size_t n_normal, n_pretok, n_decode;
    size_t strip_spaces; /* decode: leading spaces stripped from a whole text */
    int32_t prefix[PIPELINE_MAX_TEMPLATE],
        suffix[PIPELINE_MAX_TEMPLATE]; /* post-processor */
    size_t n_prefix, n_suffix;
};

/* Reads the four members from the root of tokenizer.json; strings are copied to `arena`.
 * ERR_FORMAT names the path, ERR_MEMORY; p must then be freed too. */
int pipeline_read(struct pipeline *p, const struct json *root, struct arena *arena,
                  struct err *err);
void pipeline_free(struct pipeline *p); /* accepts a zeroed pipeline */

#endif
