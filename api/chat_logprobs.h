/*
 * The `logprobs` object of chat answers, built token by token as JSON. Tokens are named
 * and values written as in logprobs.h; `bytes` is the token's raw bytes, null for an id
 * without any. top_logprobs are the best tokens asked for, no more: the token itself is
 * among them only if it is one of these.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_LOGPROBS_H
#define API_CHAT_LOGPROBS_H

#include "api/api.h"
#include "engine/base/buf.h"
#include "engine/types.h"

/* Appends the token of a TOKEN event to a list: a JSON array without its brackets. */
void chat_logprobs_add(struct buf *list, const struct event *ev, api_piece_fn *piece,
                       void *arg);

/* Appends {"content":[…],"refusal":null}. A list that failed fails out. */
void chat_logprobs_put(const struct buf *list, struct buf *out);

#endif
