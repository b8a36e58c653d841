/*
 * What is held back of an answer, and which of it are special tokens: bytes come in at
 * the end, and leave at the head in order. Offsets stay good until answer_hold_compact.
 * Private to this room; one owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_ANSWER_HOLD_H
#define API_TOOLS_ANSWER_HOLD_H

#include "api/tools/tool_literal.h"

struct answer_hold {
    struct buf text;            /* owns */
    size_t head;                /* what is before it has left */
    struct tool_span *specials; /* owns, [n_specials], ascending */
    size_t n_specials, specials_cap;
    bool failed; /* out of memory */
};

void answer_hold_free(struct answer_hold *h);
void answer_hold_put(struct answer_hold *h, const char *s, size_t len, bool special);

/* Where the first special token at or behind `at` begins; the text's length: none. */
size_t answer_hold_special(const struct answer_hold *h, size_t at);

typedef void answer_hold_fn(void *arg, const char *s, size_t len);

/* Lets the bytes before `end` leave: through fn, special tokens excepted; NULL: dropped. */
void answer_hold_leave(struct answer_hold *h, size_t end, answer_hold_fn *fn, void *arg);

/* Forgets what has left, if that is worth a copy; answers by how much offsets shrink. */
size_t answer_hold_compact(struct answer_hold *h);

#endif
