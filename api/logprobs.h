/*
 * The `logprobs` object of text completions, built token by token as JSON. One owner.
 *
 * A token that is not whole UTF-8 is written bytes:\xe2…, an id without text token_id:7.
 * Of alternatives that share a text the better one is kept, for an object's keys are
 * unique. -inf is written -9999.0, as the field does; a logprob that does not exist is
 * null.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_LOGPROBS_H
#define API_LOGPROBS_H

#include "api/api.h"
#include "engine/base/buf.h"
#include "engine/types.h"

/* Four JSON arrays without their brackets. A zeroed struct is empty. */
struct logprobs {
    struct buf tokens, values, tops, offsets; /* own */
    size_t n;
};

void logprobs_free(struct logprobs *lp);
void logprobs_reset(struct logprobs *lp); /* empty, keeps memory */

/* Appends the token of a PROMPT or TOKEN event, which begins at `offset` code points. */
void logprobs_put(struct logprobs *lp, const struct event *ev, size_t offset,
                  api_piece_fn *piece, void *arg);

/* Appends {"tokens":[…],"token_logprobs":[…],"top_logprobs":[…],"text_offset":[…]} of a
 * followed by b; either may be NULL. */
void logprobs_write(const struct logprobs *a, const struct logprobs *b, struct buf *out);

/* Appends the name of a token as a JSON string; a log-probability. */
void logprobs_put_token(struct buf *out, int32_t id, api_piece_fn *piece, void *arg);
void logprobs_put_value(struct buf *out, float logprob);

bool logprobs_no_memory(const struct logprobs *lp);

#endif
