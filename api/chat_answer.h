/*
 * One choice of an answer in a conversation: the engine's events become reasoning,
 * content and tool calls, counted. What the writers of the three endpoints share. One
 * owner.
 *
 * The text of an event comes before its special token, for what is held back is older.
 * The subtle point: a token counts as reasoning when the parser is inside reasoning
 * before or after it, so that both marks count, and a stream counts what a whole answer
 * does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_ANSWER_H
#define API_CHAT_ANSWER_H

#include "api/api.h"
#include "api/tools/answer_parser.h"
#include "engine/types.h"

enum { CHAT_ANSWER_ID = 10 }; /* nine letters and digits, and a NUL */

struct chat_answer {
    struct answer_parser *parser; /* owns */
    struct answer_sink sink;      /* the writer's */
    api_piece_fn *piece;
    void *piece_arg;
    size_t n_generated, n_reasoning; /* tokens */
    size_t n_prompt, n_cached;       /* tokens, from FINISH */
    size_t n_calls;                  /* passed on so far, the one in the sink included */
    bool done;
    enum finish_reason reason;
    int32_t stop_id; /* of FINISH; -1: none */
};

/* What an answer of any endpoint is opened with. */
struct chat_answer_head {
    const char *id;      /* "chatcmpl-…", "resp_…", "msg_…" */
    int64_t created;     /* unix seconds */
    const char *model;   /* the served name */
    api_piece_fn *piece; /* engine_piece, or a test's own */
    void *piece_arg;
    struct answer_options answer; /* how it is split; the sink is the writer's to set */
};

/* Fills a zeroed struct, which then keeps its address. o->sink gets the parts, inside
 * chat_answer_event; o->specs is borrowed until chat_answer_free. ERR_MEMORY. */
int chat_answer_open(struct chat_answer *a, const struct answer_options *o,
                     api_piece_fn *piece, void *piece_arg, struct err *err);
void chat_answer_free(struct chat_answer *a); /* accepts a zeroed struct */

/* Takes one event of the choice: TOKEN or FINISH; others, and all after FINISH, are
 * ignored. */
void chat_answer_event(struct chat_answer *a, const struct event *ev);

/* "stop", "length", "tool_calls" (a stop after calls) or "abort". Once done. */
const char *chat_answer_finish(const struct chat_answer *a);

size_t chat_answer_failures(const struct chat_answer *a); /* broken or cut calls */
bool chat_answer_no_memory(const struct chat_answer *a);  /* sticky */

/* The id of a choice's index-th call: a hash of the prompt's ids, choice and index
 * (Mistral's templates take nine letters and digits only). chat_answer_prompt hashes the
 * ids, once for a prompt. */
uint64_t chat_answer_prompt(const int32_t *ids, size_t n);
void chat_answer_call_id(uint64_t prompt, size_t choice, size_t index,
                         char out[CHAT_ANSWER_ID]);

#endif
