/*
 * What a request for an answer in a conversation asks for, of whichever endpoint, and the
 * parser of POST /v1/chat/completions. Any thread.
 *
 * An endpoint's parser calls chat_request_init, walks its fields (and sampling.h's) and
 * ends with chat_request_finish. Fields are checked as in completion_request.h; errors
 * name the place in the body, `messages[2].content[0].type`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_REQUEST_H
#define API_CHAT_REQUEST_H

#include "api/api.h"
#include "api/chat.h"
#include "api/sampling.h"
#include "api/states.h"
#include "engine/base/arena.h"
#include "engine/types.h"

enum { CHAT_REQUEST_NAME_BYTES = 512 };

struct chat_request {
    struct arena arena; /* owns everything below */
    struct chat chat;
    struct gen_params gen; /* max_tokens -1: not given; the server decides */
    bool has_seed;
    bool stream, include_usage;
    bool return_token_ids;
    int logprobs; /* as asked for: top_logprobs, 0 without; -1: none in the answer */
    const char *model, *user, *cache_salt; /* NULL = left out; at most 512 bytes */
    const char *prompt_cache_key;          /* the same; for the log */
    const char *effort;                    /* of reasoning; NULL = left out */
    struct states_request state;
    size_t n_unknown_fields;
};

/* As completion_request_parse. */
int chat_request_parse(struct chat_request *req, const struct api_limits *limits,
                       const char *body, size_t len, struct err *err);
void chat_request_free(struct chat_request *req); /* accepts a zeroed struct */

/* An empty conversation and what holds where nothing is given. */
void chat_request_init(struct chat_request *req);

/* Readers of fields: a `const char *` at f->at, one of reasoning's efforts; a dict for
 * the template at f->at (struct jinja_value), without the names that the server sets. */
int chat_request_effort(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err);
int chat_request_kwargs(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err);

/* Sets a variable of the template unless the client has. False: out of memory. */
bool chat_request_variable(struct chat_request *req, const char *name,
                           struct jinja_value v);

/* Readers of fields without effect here; modalities other than ["text"] are refused. */
int chat_request_modalities(struct fields_ctx *ctx, const struct field *f,
                            const struct value *v, void *into, struct err *err);
int chat_request_nothing(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err);

/* After the walk: takes what it found of sampling (max_tokens -1: not given), turns the
 * effort into variables, drops tools that must not be called, and checks the model, the
 * state and the worst case. `limit` is the field that max_tokens came from. ERR_ARGUMENT,
 * ERR_CONTEXT, ERR_BUDGET, ERR_MODEL, ERR_UNSUPPORTED, ERR_MEMORY. */
int chat_request_finish(struct chat_request *req, const struct sampling *s,
                        const struct api_limits *limits, const char *limit,
                        struct err *err);

#endif
