/*
 * The request of POST /v1/messages: bytes -> the same struct chat as chat completions
 * have, so that both give the same prompt. Any thread.
 *
 * Stateless. Tools of other types than the client's own are skipped, and counted as
 * unknown fields. A last message of the assistant is refused: no answer continues one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_MESSAGES_REQUEST_H
#define API_MESSAGES_REQUEST_H

#include "api/chat_request.h"

struct messages_request {
    struct chat_request chat; /* first; its arena owns everything */
    bool omit_thinking;       /* `thinking.display`: reasoning without its text */
};

/* As completion_request_parse. */
int messages_request_parse(struct messages_request *req, const struct api_limits *limits,
                           const char *body, size_t len, struct err *err);

/* The same for what is only counted, which needs no `max_tokens`. */
int messages_request_parse_count(struct messages_request *req,
                                 const struct api_limits *limits, const char *body,
                                 size_t len, struct err *err);

void messages_request_free(struct messages_request *req); /* accepts a zeroed struct */

#endif
