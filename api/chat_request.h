/*
 * What a request for an answer in a conversation asks for, of whichever endpoint, and the
 * parser of POST /v1/chat/completions. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_REQUEST_H
#define API_CHAT_REQUEST_H

#include "api/api.h"
#include "api/chat.h"
#include "api/states.h"
#include "engine/base/arena.h"
#include "engine/types.h"

struct chat_request {
    struct arena arena; /* owns everything below */
    struct chat chat;
    struct gen_params gen; /* max_tokens -1: not given; the server decides */
    bool has_seed;
    bool stream, include_usage;
    bool return_token_ids;
    int logprobs; /* as asked for: top_logprobs, 0 without; -1: none in the answer */
    const char *model, *user, *cache_salt; /* NULL = left out; at most 512 bytes */
    struct states_request state;
    size_t n_unknown_fields;
};

/* As completion_request_parse. */
int chat_request_parse(struct chat_request *req, const struct api_limits *limits,
                       const char *body, size_t len, struct err *err);
void chat_request_free(struct chat_request *req); /* accepts a zeroed struct */

#endif
