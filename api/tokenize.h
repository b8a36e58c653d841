/*
 * POST /tokenize and /detokenize: requests and answers; the answer of /apply-template.
 * Any thread.
 *
 * Text may come as `prompt` or `content`. Added tokens in it are recognised as their ids;
 * `add_special_tokens` (default true) lets the post-processor add BOS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOKENIZE_H
#define API_TOKENIZE_H

#include "api/api.h"
#include "api/prompt.h"
#include "engine/base/arena.h"

struct tokenize_request {
    struct arena arena;   /* owns what prompt points to */
    struct prompt prompt; /* tokenize: text, may be empty; detokenize: ids, may be none */
    bool add_special_tokens;
    size_t n_unknown_fields;
};

/* As completion_request_parse: on success owned until tokenize_free, else nothing to free. */
int tokenize_parse(struct tokenize_request *req, const struct api_limits *limits,
                   const char *body, size_t len, struct err *err);
int tokenize_parse_ids(struct tokenize_request *req, const struct api_limits *limits,
                       const char *body, size_t len, struct err *err);
void tokenize_free(struct tokenize_request *req); /* accepts a zeroed struct */

/* {"tokens":[…],"count":n,"max_model_len":context} */
void tokenize_answer(const struct api_limits *limits, const int32_t *ids, size_t n,
                     struct buf *out);

/* The answer of POST /apply-template, {"prompt":text,"tokens":[…],"count":n}: the prompt
 * that a conversation becomes, and its ids. */
void tokenize_answer_prompt(const char *text, size_t len, const int32_t *ids, size_t n,
                            struct buf *out);

/* {"prompt":text,"content":text}; bytes that are not UTF-8 become U+FFFD. */
void tokenize_answer_text(const char *text, size_t len, struct buf *out);

#endif
