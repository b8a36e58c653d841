/*
 * One answer to POST /v1/responses: events -> bytes, whole or as a stream of typed events.
 *
 * One owner, no thread of its own. The answer is a list of items, one open at a time:
 * reasoning, message, function_call. An item's JSON is kept once it has ended, so the
 * response that ends a stream is the one that a whole answer is. The subtle point: a fault
 * behind the first event is no HTTP error but an answer that has failed, and what it has
 * said so far is in it, marked incomplete.
 *
 * Running out of memory is sticky: the `out` of the next call comes back with
 * out->failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_RESPONSES_RESPONSE_H
#define API_RESPONSES_RESPONSE_H

#include "api/chat_answer.h"
#include "api/responses_request.h"

struct responses_response; /* one answer; owned by whoever opened it */

/* req is borrowed until responses_response_free; the seed is final: the answer contains
 * it. ERR_MEMORY. */
int responses_response_open(struct responses_response **out,
                            const struct responses_request *req,
                            const struct chat_answer_head *head, struct err *err);
void responses_response_free(struct responses_response *c); /* accepts NULL */

/* Tells the ids of the prompt, before the first event. Borrowed until it returns. */
void responses_response_prompt(struct responses_response *c, const int32_t *ids,
                               size_t n);

/* Takes one event. Streamed: appends what it causes to out, with the first one the
 * beginning of the stream. Events of other choices than the first are ignored. */
void responses_response_event(struct responses_response *c, const struct event *ev,
                              struct buf *out);

/* The end of an answer: the JSON object, or, streamed, what is open ends and the whole
 * response comes as .completed, .incomplete (the limit of tokens) or .failed (it was cut
 * short). */
void responses_response_close(struct responses_response *c, struct buf *out);

/* The end of a failed stream: the same, as .failed. */
void responses_response_error(struct responses_response *c, const struct err *err,
                              struct buf *out);

/* For metrics. */
const struct chat_answer *responses_response_answer(const struct responses_response *c);

#endif
