/*
 * The HTTP surface as data: the table of endpoints, and the limits requests are checked
 * by.
 *
 * Everything under api/ is a pure codec: bytes become requests, events become bytes. No
 * clock, no thread, no global state, no input or output; any thread may call any
 * function, each struct has one owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_API_H
#define API_API_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Choices of one prompt: `n`, and candidates: `best_of`. */
enum { API_MAX_N = 128, API_MAX_BEST_OF = 20 };
_Static_assert(API_MAX_BEST_OF <= API_MAX_N, "candidates are choices of the engine");

/* What a request is checked against. Constant while the server runs; strings are
 * borrowed. */
struct api_limits {
    const char *served_name; /* the model's id, in answers to requests that name none */
    const char *const *other_names; /* [n_other_names]: ids that are accepted as well */
    size_t n_other_names;
    int vocab_size;                      /* ids are 0..vocab_size-1 */
    int context_tokens;                  /* prompt + max_tokens of one sequence */
    bool has_tokenizer;                  /* without one, prompts are ids */
    bool has_states;                     /* there is a directory of state objects */
    const struct gen_defaults *defaults; /* of the model, for fields left out; or NULL */
    size_t max_prompts;                  /* prompts in one request */
    size_t max_choices;                  /* prompts * max(n, best_of) */
    int64_t max_answer_tokens;           /* prompts * max(n, best_of) * max_tokens */
};

/* The bytes of one token, which need not be whole UTF-8; NULL for an id without a token.
 * They stay valid as long as what asks for them. */
typedef const char *api_piece_fn(void *arg, int32_t id, size_t *len);

enum api_kind {
    API_COMPLETIONS,    /* completion_request.h, completion_response.h */
    API_MESSAGES,       /* messages_request.h, messages_response.h */
    API_MESSAGES_COUNT, /* the same */
    API_MODELS,         /* models.h: models_list */
    API_MODEL,          /* models.h: models_one; the route's argument is the id */
    API_CHAT,           /* chat_request.h, chat_response.h */
    API_RESPONSES,      /* responses_request.h, responses_response.h */
    API_TEMPLATE,       /* chat_request.h, tokenize.h: tokenize_answer_prompt */
    API_TOKENIZE,       /* tokenize.h */
    API_DETOKENIZE,     /* tokenize.h */
    API_STATES,         /* states.h: the list; and one of them, by the route's argument */
    API_STATE_GET,
    API_STATE_PUT,
    API_STATE_DELETE,
    API_LIVEZ,
    API_READYZ, /* /readyz and /health */
    API_METRICS,
    API_KINDS
};

struct api_endpoint {
    const char *method; /* a GET endpoint answers HEAD too */
    const char *path; /* template: a final {id} stands for the rest of the path, 1+ bytes;
                       * also the endpoint's name in metrics and logs */
    enum api_kind kind;
    bool open; /* needs no key */
    bool bare; /* also found without the leading /v1, under the same name */
};

/* A path found in the table. */
struct api_route {
    const struct api_endpoint *endpoint;
    const char *arg; /* what {id} stands for; borrows from the path; NULL without {id} */
    size_t arg_len;
};

/* Finds the endpoint of a method (case-sensitive) and a path (percent-decoded, no query).
 * ERR_NOT_FOUND: no such path. ERR_METHOD: the path has other methods (see api_allow),
 * and out->endpoint names one of them. On ERR_NOT_FOUND out->endpoint is NULL. */
int api_find(struct api_route *out, const char *method, const char *path, size_t len,
             struct err *err);

/* The value of `Allow` for a path, such as "GET, HEAD, OPTIONS"; appends nothing when the
 * path is unknown. */
void api_allow(const char *path, size_t len, struct buf *out);

/* The i-th endpoint, or NULL past the last: what metrics label their series with. */
const struct api_endpoint *api_endpoint_at(size_t i);

#endif
