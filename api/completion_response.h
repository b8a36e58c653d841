/*
 * One answer to POST /v1/completions: events -> bytes, whole or as server-sent events.
 *
 * One owner, no thread of its own. A streamed answer writes each event's chunk at once;
 * any other gathers text until completion_response_close writes the object. The subtle points: an
 * echoed prompt is the first chunk of each of its choices; of best_of candidates the n
 * with the best mean log-probability per token are answered, so nothing of them is
 * written before the end. Where a state is saved, a choice says with its finish_reason what the
 * state contains beyond the answer: `stop_token_id` and `pending`.
 *
 * Running out of memory is sticky: the `out` of the next call comes back with
 * out->failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_COMPLETION_RESPONSE_H
#define API_COMPLETION_RESPONSE_H

#include "api/completion_request.h"
#include "engine/base/buf.h"
#include "engine/types.h"

struct completion_response; /* one answer; owned by whoever opened it */

struct completion_response_head {
    const char *id;      /* "cmpl-…" */
    int64_t created;     /* unix seconds */
    const char *model;   /* the served name */
    api_piece_fn *piece; /* engine_piece, or a test's own */
    void *piece_arg;
};

/* req and the strings of head are borrowed until completion_response_free; head itself is copied.
 * req->gen.seed is final: the answer contains it. ERR_MEMORY; ERR_ARGUMENT for more than
 * API_MAX_N choices of a prompt. */
int completion_response_open(struct completion_response **out,
                             const struct completion_request *req,
                             const struct completion_response_head *head,
                             struct err *err);
void completion_response_free(struct completion_response *c); /* accepts NULL */

/* Tells the ids of a prompt; once for each prompt, before its first event. Borrowed until
 * it returns. */
void completion_response_prompt(struct completion_response *c, size_t prompt,
                                const int32_t *ids, size_t n);

/* Takes one event, whose choice is prompt * gen.n + i. Streamed: appends what it causes
 * to out (nothing, one chunk or two). Events after a failure or of unknown choices are
 * ignored. */
void completion_response_event(struct completion_response *c, const struct event *ev,
                               struct buf *out);

/* What no client is shown of the one answer whose state is saved: text and last tokens,
 * borrowed until it returns; before the choice's last event. */
void completion_response_pending(struct completion_response *c, const struct buf *text,
                                 const int32_t *ids, size_t n);

/* What became of the states that the request named; before completion_response_close. The
 * names are borrowed until then. */
void completion_response_states(struct completion_response *c,
                                const struct states_result *states);

/* The end of a finished answer: the JSON object, or, streamed, the usage chunk when asked
 * for and [DONE]. What became of states stands beside `usage`, in a stream without that
 * in a chunk of its own, like it without choices. */
void completion_response_close(struct completion_response *c, struct buf *out);

/* The end of a failed stream: one {"error":…} event, without [DONE]. Later events are
 * ignored. */
void completion_response_error(struct completion_response *c, const struct err *err,
                               struct buf *out);

#endif
