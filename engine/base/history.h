/*
 * A conversation as a state holds it: its tokens, and where answers in it ended with
 * something that no client was shown. One owner; any thread.
 *
 * Such an end is an end token or stop id, the tokens that a stop string took away, the
 * rest of a token inside which it ended, or the first bytes of a character. A client that
 * repeats the conversation does not know these tokens, or knows only some of their text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_HISTORY_H
#define ENGINE_BASE_HISTORY_H

#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Of an answer whose last tokens, from `from` to `at`, were not shown, or not whole. */
struct answer_end {
    int32_t at;    /* tokens of prompt and answer */
    int32_t from;  /* `at`: only an incomplete character was not shown */
    int32_t shown; /* bytes of the text of token `from` that were shown */
    int32_t stop;  /* bytes of the last token's text up to the stop string's end; 0: no
                    * stop string ended the answer */
};

struct history {             /* zeroed: empty */
    int32_t *ids;            /* owns, [n_ids] */
    struct answer_end *ends; /* owns, [n_ends], ascending */
    size_t n_ids, n_ends;
};

/* Room for so many; their values are the caller's to set. ERR_MEMORY: empty. */
int history_make(struct history *h, size_t n_ids, size_t n_ends, struct err *err);

/* How many of the last tokens were not shown: those of an end that is at the end. */
size_t history_unseen(const struct history *h);

void history_free(struct history *h); /* accepts an empty one, leaves one */

#endif
