/* Byte-pair merging of one piece: the adjacent pair of lowest rank is merged, the
 * leftmost among equals, until no pair has a merge. One owner.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_BPE_MERGE_H
#define ENGINE_TOKENIZER_BPE_MERGE_H

#include "engine/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpe_merge_symbol {
    int32_t id;         /* -1: merged into an earlier symbol */
    int32_t rank;       /* of the pair with the next symbol; INT32_MAX: no merge */
    int32_t prev, next; /* long pieces: neighbours, -1 = none */
};

struct bpe_merge { /* memory reused for every piece of a call */
    struct bpe_merge_symbol
        *symbols; /* owns; [n] filled by the caller through bpe_merge_add */
    size_t n, cap;
    uint64_t *heap; /* owns; rank << 32 | place */
    size_t n_heap, heap_cap;
    bool no_special; /* a merge that gives a special token is none */
};

void bpe_merge_free(struct bpe_merge *m);
bool bpe_merge_add(struct bpe_merge *m, int32_t id); /* false: out of memory */

/* Merges the n symbols in place and sets n to the number that remain. O(n log n).
 * False: out of memory. */
bool bpe_merge_run(struct bpe_merge *m, const struct vocab *v);

#endif
