/*
 * One answer to POST /v1/chat/completions: events -> bytes, whole or as server-sent
 * events.
 *
 * One owner, no thread of its own. Every choice gathers what its events bring; a stream
 * flushes it as one chunk after each event that released any, another answer writes it
 * at the end. The subtle point: log-probabilities and ids of tokens whose text is held
 * back, as of a call, come with the chunk that releases it.
 *
 * Running out of memory is sticky: the `out` of the next call comes back with
 * out->failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_RESPONSE_H
#define API_CHAT_RESPONSE_H

#include "api/chat_answer.h"
#include "api/chat_request.h"
#include "engine/base/buf.h"
#include "engine/types.h"

struct chat_response; /* one answer; owned by whoever opened it */

/* req and the tool specs are borrowed until chat_response_free, the rest of head is
 * copied. req->gen.seed is final: the answer contains it. ERR_MEMORY; ERR_ARGUMENT for
 * more than API_MAX_N choices. */
int chat_response_open(struct chat_response **out, const struct chat_request *req,
                       const struct chat_answer_head *head, struct err *err);
void chat_response_free(struct chat_response *c); /* accepts NULL */

/* Reports the prompt's ids, before the first event. Borrowed until it returns. */
void chat_response_prompt(struct chat_response *c, const int32_t *ids, size_t n);

/* Takes one event. Streamed: appends what it causes to out (nothing, or chunks). Events
 * after a failure or of unknown choices are ignored. */
void chat_response_event(struct chat_response *c, const struct event *ev,
                         struct buf *out);

/* As completion_response_pending and completion_response_states. */
void chat_response_pending(struct chat_response *c, const struct buf *text,
                           const int32_t *ids, size_t n);
void chat_response_states(struct chat_response *c, const struct states_result *states);

/* The end of a finished answer: the JSON object, or, streamed, the usage chunk when asked
 * for and [DONE]. */
void chat_response_close(struct chat_response *c, struct buf *out);

/* The end of a failed stream: one {"error":…} event, without [DONE]. Later events are
 * ignored. */
void chat_response_error(struct chat_response *c, const struct err *err, struct buf *out);

/* Of all choices so far: tokens of reasoning, calls that were broken or cut. */
size_t chat_response_reasoning(const struct chat_response *c);
size_t chat_response_failures(const struct chat_response *c);

#endif
