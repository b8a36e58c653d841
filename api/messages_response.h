/*
 * One answer to POST /v1/messages: events -> bytes, whole or as a stream of typed events;
 * and the answer of its count_tokens.
 *
 * One owner, no thread of its own. The answer is a list of blocks, one open at a time:
 * thinking, text, tool_use. The subtle point: `input_tokens` are those that were not
 * cached, and a stream tells them when it begins, so its first event comes with START.
 *
 * Running out of memory is sticky: the `out` of the next call comes back with
 * out->failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_MESSAGES_RESPONSE_H
#define API_MESSAGES_RESPONSE_H

#include "api/chat_answer.h"
#include "api/messages_request.h"
#include "engine/base/buf.h"

struct messages_response; /* one answer; owned by whoever opened it */

/* req is borrowed until messages_response_free; the seed is final: the answer contains
 * it. ERR_MEMORY. */
int messages_response_open(struct messages_response **out,
                           const struct messages_request *req,
                           const struct chat_answer_head *head, struct err *err);
void messages_response_free(struct messages_response *c); /* accepts NULL */

/* Tells the ids of the prompt, before the first event. Borrowed until it returns. */
void messages_response_prompt(struct messages_response *c, const int32_t *ids, size_t n);

/* Takes one event. Streamed: appends what it causes to out, with the first one
 * message_start. Events of other choices than the first are ignored. */
void messages_response_event(struct messages_response *c, const struct event *ev,
                             struct buf *out);

/* The end of an answer: the JSON object, or, streamed, message_delta and message_stop. Of
 * one that was cut short `stop_reason` is null; its stream ends by an `error`. */
void messages_response_close(struct messages_response *c, struct buf *out);

/* The end of a failed stream: one `error` event. Later events are ignored. */
void messages_response_error(struct messages_response *c, const struct err *err,
                             struct buf *out);

/* For metrics. */
const struct chat_answer *messages_response_answer(const struct messages_response *c);

/* The answer of POST /v1/messages/count_tokens. */
void messages_response_count(size_t n_tokens, struct buf *out);

#endif
