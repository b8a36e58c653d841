/*
 * The request of POST /v1/completions: bytes -> struct completion_request. Any thread.
 *
 * Parsing checks everything that needs no tokenizer and no engine: types, ranges, the
 * vocabulary, the model's name, fields that exclude each other, and the worst case
 * prompts * max(n, best_of) * max_tokens before anything of that size is allocated. It
 * tokenises nothing; whether a text fits the context is engine_check's to say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_COMPLETION_REQUEST_H
#define API_COMPLETION_REQUEST_H

#include "api/api.h"
#include "api/breakpoints.h"
#include "api/prompt.h"
#include "api/states.h"
#include "engine/base/arena.h"
#include "engine/types.h"

struct completion_request {
    struct arena arena; /* owns everything below */
    struct prompts prompts;
    struct gen_params gen; /* for one prompt: gen.n = best_of, gen.logprobs >= 0 if
                            * ranked; the server sets first_choice = prompt * gen.n */
    int n;                 /* choices answered for each prompt, <= gen.n */
    int best_of;           /* as given, else n */
    int logprobs;          /* as asked for; -1 = no logprobs in the answer */
    bool has_seed; /* false: draw one, 0..2^53-1, into gen.seed before submitting */
    bool stream, include_usage;
    bool echo;
    bool return_token_ids;
    const char *model;            /* NULL = left out */
    const char *user;             /* NULL = left out; at most 512 bytes */
    const char *cache_salt;       /* NULL = left out; at most 512 bytes */
    const char *prompt_cache_key; /* the same; for the log */
    struct breakpoints
        breakpoints; /* of one prompt; breakpoints_check when it is encoded */
    struct states_request state;
    size_t n_unknown_fields;
};

/* Parses a body. On success the caller owns req until completion_request_free; it does not point
 * into body. On failure nothing is to be freed; ERR_ARGUMENT, ERR_CONTEXT, ERR_BUDGET,
 * ERR_MODEL, ERR_UNSUPPORTED, ERR_MEMORY, with err->param naming the field. */
int completion_request_parse(struct completion_request *req,
                             const struct api_limits *limits, const char *body,
                             size_t len, struct err *err);

void completion_request_free(
    struct completion_request *req); /* accepts a zeroed struct */

#endif
