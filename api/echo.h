/*
 * The prompt as an answer repeats it: its text, and its tokens' log-probabilities with
 * the places in the text where they begin. One owner.
 *
 * A text is echoed as it came, ids as the bytes of their tokens. The subtle point: the
 * tokens of a text need not spell it. A token put before it (BOS) has no bytes there, and
 * a normalised text differs from its tokens, which then are stepped over by characters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_ECHO_H
#define API_ECHO_H

#include "api/logprobs.h"
#include "api/prompt.h"

struct echo {
    const char *text; /* borrows from the prompt or from decoded; never NULL once open */
    size_t len, n_chars;
    struct buf decoded;    /* owns; the text of ids */
    struct logprobs probs; /* owns */
    size_t at;             /* bytes that the tokens put so far have spelt */
    size_t edge,
        n_before; /* the last edge of a character up to there; characters before it */
};

/* Fills a zeroed struct. The prompt is borrowed until echo_free, ids until it returns. */
void echo_open(struct echo *e, const struct prompt *p, const int32_t *ids, size_t n,
               api_piece_fn *piece, void *arg);
void echo_free(struct echo *e);

/* Takes the next EVENT_PROMPT. */
void echo_put(struct echo *e, const struct event *ev, api_piece_fn *piece, void *arg);

bool echo_no_memory(const struct echo *e);

#endif
