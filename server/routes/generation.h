/*
 * One generation: a request's prompts become jobs of the engine, and the engine's events
 * become the answer. Every endpoint that generates shares this; what it reads and writes
 * is its generation_codec. Loop thread, but for `parse`.
 *
 * The endpoint's accept makes a struct that begins with a struct generation, which is
 * conn.priv, and its row of route_ops names the functions below. A job counts in admit
 * from admission to its last event; all jobs are submitted in one go, so either all of
 * them wait in the engine or the request fails whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_GENERATION_H
#define SERVER_ROUTES_GENERATION_H

#include "api/breakpoints.h"
#include "api/prompt.h"
#include "server/routes/generation_state.h"
#include "server/routes/prompt_ids.h"
#include "server/serve/conn.h"

struct generation;

/* An endpoint's wire format. */
struct generation_codec {
    /* Fills generation.request from a body. Any thread. */
    int (*parse)(struct generation *g, const struct api_limits *limits, const char *body,
                 size_t len, struct err *err);
    /* Makes generation.request's prompts texts or ids; NULL: parse has done so. Worker. */
    int (*render)(struct generation *g, const struct server *server, struct err *err);
    /* Makes the answer; the jobs and the seed are final. */
    int (*open)(struct generation *g, const struct server *server, struct err *err);
    /* Takes one event; of a stream appends what it causes to out. */
    void (*event)(struct generation *g, const struct event *ev, struct buf *out);
    /* What no client is shown of the answer whose state is saved: text and last tokens.
     * Before its last event. */
    void (*pending)(struct generation *g, const struct buf *text, const int32_t *ids,
                    size_t n);
    /* The end of a good answer, with generation.states. */
    void (*close)(struct generation *g, struct buf *out);
    /* The end of a failed stream. */
    void (*error)(struct generation *g, const struct err *err, struct buf *out);
    /* Counts what only the answer knows, once every choice has ended; NULL: nothing. */
    void (*count)(const struct generation *g, struct metrics *m);
};

/* What a request of any endpoint asks for; borrows from the endpoint's own request. */
struct generation_request {
    const char *field; /* what the prompt came from, as errors name it: "prompt" */
    const struct prompts *prompts;
    /* For each prompt; without has_seed a seed is drawn into it. max_tokens below 0: as
     * many as default_max_tokens, the context and the memory plan hold. */
    struct gen_params *gen;
    unsigned encode;                /* ENCODE_BOS, if the server puts it before a text */
    struct breakpoints breakpoints; /* of the one prompt */
    const char *prompt_cache_key;   /* for the log; NULL: none */
    const char *cache_salt;         /* NULL: none */
    struct states_request state;
    size_t n_unknown_fields;
    size_t bytes; /* of all that it borrows */
    bool has_seed, stream;
};

/* What was cached, of all jobs that have started. */
struct generation_hit {
    uint64_t tokens, depth; /* reused; stored */
    uint64_t bytes;         /* of the stored states */
};

/* What was counted of one choice. */
struct generation_choice {
    uint64_t token_ns; /* when its last token came */
    int n_tokens;      /* counted in metrics.generated_tokens */
};

struct generation {
    const struct generation_codec *codec;
    struct generation_request request;
    struct prompt_ids *prompts;        /* owns, [n_jobs] */
    struct job *jobs;                  /* owns, [n_jobs] */
    struct generation_choice *choices; /* owns, [n_jobs * gen.n] */
    size_t n_jobs, n_submitted;
    int admitted;          /* jobs counted by admit that are not submitted yet */
    size_t rendered_bytes; /* that codec.render added to request.bytes */
    uint64_t render_ns; /* how long codec.render took; 0: there was nothing to render */
    uint64_t submit_ns;
    uint64_t submit_steps; /* of the engine until then */
    struct generation_hit hit;
    struct generation_state state;
    struct states_result states; /* for codec.close */
    bool started, cancelled;
    bool failed; /* a choice ended by a timeout or an error: `why` */
    enum finish_reason why;
};

/* Allocates an endpoint's struct of `bytes`, zeroed, as conn.priv. ERR_MEMORY; ERR_BUSY while
 * the tenant is over its rate. */
int generation_new(struct conn *c, size_t bytes, const struct generation_codec *codec,
                   struct err *err);

/* Frees what the generation holds, not the struct; nothing is pending. */
void generation_free(struct conn *c);

/* Members of struct route_ops. */
extern conn_step_fn *const generation_steps[];
ssize_t generation_read(struct conn *c, char *to, size_t max);
void generation_event(struct conn *c, struct job *j, const struct event *ev);
void generation_refused(struct conn *c, struct job *j, const struct err *err);
void generation_fail(struct conn *c, const struct err *err);
void generation_cancel(struct conn *c, enum finish_reason why);
void generation_tick(struct conn *c, uint64_t now_ns);

#endif
