/* Runs a pipeline's pre-tokenizer: one normalised segment to pieces, inside which merges
 * happen. All memory belongs to the struct; one call at a time; patterns and steps are
 * shared. */
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

bool pretok_init(struct pretok *t); /* false: out of memory; free it nevertheless */
void pretok_free(struct pretok *t);

/* Fills text and list from s[0..len), valid UTF-8. first: the segment begins the whole
 * text. ERR_MEMORY, or ERR_ARGUMENT from a pattern. */
int pretok_run(struct pretok *t, const struct pipeline *p, const struct buf *segment,
               bool first, struct err *err);

#endif
