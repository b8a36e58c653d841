/* Splits a text at its added tokens. A cursor over a text; any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_SEGMENT_H
#define ENGINE_TOKENIZER_SEGMENT_H

#include "engine/tokenizer/marks.h"
#include "engine/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>

struct segment_cursor {
    const struct vocab *vocab; /* shared */
    const struct trie *tokens; /* vocab's raw or normalized; NULL = find none */
    const char *s;             /* borrows; valid UTF-8 */
    const char *marks;         /* borrows, [len] of enum mark; NULL: no content */
    size_t len;
    size_t done; /* everything before was returned */
    size_t from; /* where the search continues */
    bool queued; /* a token that follows the text just returned */
    int32_t queued_id;
    size_t queued_end;
};

struct segment {
    int32_t id;            /* an added token, or -1: a text */
    const char *s, *marks; /* marks: NULL without the cursor's */
    size_t len;
};

/* Sets *out to the next segment, in order; texts are never empty. False: the end. */
bool segment_next(struct segment_cursor *c, struct segment *out);

#endif
