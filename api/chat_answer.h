/*
 * One choice of an answer in a conversation: the engine's events become reasoning,
 * content and tool calls, counted. What the three endpoints' writers share. One owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_ANSWER_H
#define API_CHAT_ANSWER_H

#include "api/api.h"
#include "api/tools/answer_parser.h"
#include "engine/types.h"

enum { CHAT_CALL_ID_BYTES = 10 }; /* nine letters and digits, and a NUL */

struct chat_answer {
    struct answer_parser *parser; /* owns */
    api_piece_fn *piece;
    void *piece_arg;
    size_t n_generated, n_reasoning; /* tokens */
    size_t n_prompt, n_cached;
    size_t n_calls; /* passed on so far */
    bool done;
    enum finish_reason reason;
};

/* o->sink gets the parts inside chat_answer_event. ERR_MEMORY. */
int chat_answer_open(struct chat_answer *a, const struct answer_options *o,
                     api_piece_fn *piece, void *piece_arg, struct err *err);
void chat_answer_free(struct chat_answer *a); /* accepts a zeroed struct */

/* Takes one event of the choice: TOKEN or FINISH; others are ignored. */
void chat_answer_event(struct chat_answer *a, const struct event *ev);

/* The id of the choice's index-th call: a hash of the prompt's ids, choice and index
 * (Mistral's templates take nine letters and digits only). */
void chat_answer_call_id(const int32_t *ids, size_t n_ids, size_t choice, size_t index,
                         char out[CHAT_CALL_ID_BYTES]);

/* "stop", "length", "tool_calls" (a stop after calls) or "abort". */
const char *chat_answer_finish(const struct chat_answer *a);

#endif
