/* Cuts a text at the added tokens in it. A view over a text; any thread. */
#ifndef ENGINE_TOKENIZER_SEGMENT_H
#define ENGINE_TOKENIZER_SEGMENT_H

#include "engine/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>

struct segment_cursor {
    const struct vocab *vocab; /* shared */
    const struct trie *tokens; /* vocab's raw or normalized; NULL = find none */
    const char *s;             /* borrows; valid UTF-8 */
    size_t len;
    size_t done; /* everything before is given out */
    size_t from; /* where the search goes on */
    bool queued; /* a token found behind a text, still to be given out */
    int32_t queued_id;
    size_t queued_end;
};

struct segment {
    int32_t id; /* an added token, or -1: a text */
    const char *s;
    size_t len;
};

/* The next segment, in order; texts are never empty. false: the end. */
bool segment_next(struct segment_cursor *c, struct segment *out);

#endif
