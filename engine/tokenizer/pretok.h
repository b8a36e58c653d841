/* Runs a pipeline's pre-tokenizer: splits a normalised segment into pieces; merges
 * never cross their bounds. A struct serves one call at a time and owns its memory; the
 * pipeline is shared.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_PRETOK_H
#define ENGINE_TOKENIZER_PRETOK_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/tokenizer/pipeline.h"

#include <stdbool.h>
#include <stddef.h>

struct pretok_piece {
    size_t begin, end; /* in pretok.text; begin < end */
};

struct pretok_list {
    struct pretok_piece *data; /* owns */
    size_t n, cap;
};

struct pretok {
    struct buf text;         /* owns; the segment as the steps left it */
    struct pretok_list list; /* owns; its pieces in order */
    struct buf spare;        /* owns; private */
    struct pretok_list next; /* owns; private */
    struct regex_scan scan;  /* owns; private */
};

bool pretok_init(struct pretok *t); /* false: out of memory; must still be freed */
void pretok_free(struct pretok *t);

/* Fills text and list from a segment of valid UTF-8. first: the segment begins the whole
 * text. ERR_MEMORY, or ERR_ARGUMENT when a pattern exceeds its match limits. */
int pretok_run(struct pretok *t, const struct pipeline *p, const struct buf *segment,
               bool first, struct err *err);

#endif
