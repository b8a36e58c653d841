/*
 * What stands around the choices of an answer as OpenAI writes it: identity before them,
 * usage and states behind; and how such an answer ends, whole or as a stream. One owner.
 *
 * Where a state is saved, a choice says with its finish_reason what the state contains
 * beyond the answer: `stop_token_id` and `pending`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_ENVELOPE_H
#define API_ENVELOPE_H

#include "api/states.h"
#include "engine/base/buf.h"
#include "engine/types.h"

struct envelope_head {
    const char *id, *object, *model;
    int64_t created; /* unix seconds */
    uint64_t seed;
    const char *more; /* members of JSON, each with a comma behind; "": none */
    bool stream, include_usage;
};

struct envelope {
    struct buf head;             /* the object up to its choices */
    struct buf pending;          /* JSON; empty: nothing is saved */
    struct states_result states; /* borrows names and fault until envelope_close */
    bool stream, include_usage;
    bool ended; /* nothing is written any more */
};

struct envelope_usage {
    size_t prompt, cached, generated; /* tokens */
    const size_t *reasoning;          /* of those generated; NULL: not reported */
};

/* Fills a zeroed struct; the strings are copied. e->head.failed: memory ran out. */
void envelope_open(struct envelope *e, const struct envelope_head *head);
void envelope_free(struct envelope *e); /* accepts a zeroed struct */

/* What no client is shown of the one answer whose state is saved: text and last tokens,
 * borrowed until it returns. */
void envelope_pending(struct envelope *e, const struct buf *text, const int32_t *ids,
                      size_t n);

/* Appends ,"stop_token_id":…,"pending":… to a choice's end, if a state is saved. stop_id
 * below 0: null. */
void envelope_put_pending(const struct envelope *e, int32_t stop_id, struct buf *out);

/* A chunk, around what the caller writes of its choice. */
void envelope_begin_chunk(const struct envelope *e, struct buf *out);
void envelope_end_chunk(const struct envelope *e, struct buf *out);

/* A whole answer: envelope_begin, the choices with commas, envelope_close. Of a stream
 * envelope_close alone is the end: the chunk without choices, when usage is asked for or
 * there are states to report, and [DONE]. */
void envelope_begin(const struct envelope *e, struct buf *out);
void envelope_close(struct envelope *e, const struct envelope_usage *usage,
                    struct buf *out);

/* The end of a failed stream: one {"error":…} event, without [DONE]. */
void envelope_error(struct envelope *e, const struct err *err, struct buf *out);

/* "stop", "length" or "abort". */
const char *envelope_reason(enum finish_reason reason);

#endif
