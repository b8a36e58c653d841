/*
 * The request of POST /v1/responses: bytes -> the same struct chat as chat completions
 * have, so that both give the same prompt. Any thread.
 *
 * Stateless: nothing is stored, and what refers to something stored is refused. Items that
 * an assistant wrote (reasoning, message, function_call) and that stand side by side are
 * one message. Items and tools of unknown types are skipped, and counted as unknown fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_RESPONSES_REQUEST_H
#define API_RESPONSES_REQUEST_H

#include "api/chat_request.h"

struct responses_request {
    struct chat_request chat; /* first; its arena owns everything */
    bool summary;             /* `reasoning.summary` is asked for */
    bool encrypted;           /* `include` names reasoning.encrypted_content */
    const char *settings;     /* what answers repeat: JSON members, without braces */
};

/* As completion_request_parse. */
int responses_request_parse(struct responses_request *req,
                            const struct api_limits *limits, const char *body, size_t len,
                            struct err *err);
void responses_request_free(struct responses_request *req); /* accepts a zeroed struct */

#endif
