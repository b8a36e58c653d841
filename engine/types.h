/*
 * What passes through the engine's doors: limits, formats, requests, events, and the
 * types of the calls that carry them. Types only, no function, so that every room of
 * the engine and the API can name them without seeing engine.h.
 *
 * The subtle point: an event and what it points to are the engine's until its call
 * returns, a request's arrays the caller's until engine_submit has returned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TYPES_H
#define ENGINE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENGINE_MAX_TOP = 20,
    ENGINE_MAX_STOPS = 4,
    ENGINE_MAX_FORMATS = 5,
    ENGINE_MAX_LAYER_KINDS = 8
};

struct engine;        /* engine.h */
struct engine_lease;  /* objects.h: a sequence's slot and pages, leased to one thread */
struct engine_upload; /* objects.h: a state object that arrives in pieces */
struct event;
struct answer_end; /* engine/base/history.h */

/* ---- formats ---------------------------------------------------------------- */

enum engine_math { ENGINE_MATH_EXACT, ENGINE_MATH_BLAS };

/* What matrices are held as. */
enum engine_weights {
    ENGINE_WEIGHTS_OWN, /* as the file has them, quantised ones included */
    ENGINE_WEIGHTS_F32,
    ENGINE_WEIGHTS_BF16,
    ENGINE_WEIGHTS_Q8,
    ENGINE_WEIGHTS_Q4
};

/* What attention's pages hold: floats, halves, or bytes with an f16 scale for every token
 * and 32 values of a head. State objects store these numbers. */
enum engine_kv { ENGINE_KV_F32, ENGINE_KV_F16, ENGINE_KV_Q8, ENGINE_KV_N };

/* Layers that are alike. */
struct engine_layer_kind {
    int n;                          /* layers of this kind */
    char mixers[100];               /* "attention, feed-forward" */
    size_t state_bytes, page_bytes; /* of one of them: for a sequence, for a page */
};

/* Whether decoding also runs proposed tokens, taken from the text so far; answers are the
 * same. AUTO does while proposals are accepted and steps are small. */
enum engine_speculate {
    ENGINE_SPECULATE_OFF,
    ENGINE_SPECULATE_AUTO,
    ENGINE_SPECULATE_ON
};

/* A checkpoint_interval: the depth at which a checkpoint costs what the K/V since the last
 * one costs, 256 to 4096 tokens; none of a model of attention alone. */
enum { ENGINE_INTERVAL_AUTO = -1 };

/* A range of a text that a client's content put there: added tokens whose text overlaps it
 * are not recognised, or, with `added`, those that are special are not. */
struct text_mark {
    size_t begin, end; /* bytes */
    bool added;
};

/* A text, with such ranges ascending and apart. */
struct engine_text {
    const char *text;
    size_t len;
    const struct text_mark *marks; /* [n_marks] */
    size_t n_marks;
};

/* Flags of engine_encode. */
enum {
    ENCODE_SPECIAL = 1, /* added tokens inside the text are recognised as their ids */
    ENCODE_BOS = 2,     /* the post-processor's tokens (BOS) are added */
    ENCODE_MORE = 4     /* the text continues another one: no space is put before it */
};

/* ---- requests --------------------------------------------------------------- */

struct logit_bias {
    int32_t id;
    float bias;
};

struct gen_params {
    int max_tokens;                /* per choice; 0: the prompt is evaluated, no more */
    int min_tokens;                /* before an end token or stop id; a stop string that
                                    * appears earlier still ends the text */
    float temperature;             /* 0 = greedy */
    float top_p, min_p, typical_p; /* 1, 0, 1 = off */
    int top_k;                     /* 0 = off */
    float repetition_penalty;      /* 1 = off; prompt and answer */
    float presence_penalty, frequency_penalty; /* 0 = off; answer only */
    uint64_t seed;
    int n;                /* choices; all share the prompt */
    int first_choice;     /* added to the choice in events; the generator's key is
                           * the choice within this request, so that a list of
                           * prompts gives what each prompt gives alone */
    int logprobs;         /* -1 off; k: chosen token's logprob + k best, k <= 20 */
    bool prompt_logprobs; /* an EVENT_PROMPT for every prompt token */
    bool ignore_eos;
    bool keep_stop; /* leave a matched stop string in the text */
    /* Arrays are borrowed until submit returns. */
    const struct logit_bias *bias;
    size_t n_bias;
    const char *const *stops;
    const size_t *stop_lens;
    size_t n_stops;
    const int32_t *stop_ids;
    size_t n_stop_ids;
    int priority; /* smaller is admitted first, whoever asks; equal ones take turns */
};

/* Values of sampling fields that a model's folder gives; NAN, and -1 for top_k: none. */
struct gen_defaults {
    float temperature, top_p, min_p, typical_p;
    float repetition_penalty, presence_penalty, frequency_penalty;
    int top_k;
};

struct engine_request {
    uint64_t id;        /* chosen by the caller, unique among live requests */
    const int32_t *ids; /* [n_ids], n_ids >= 1; borrowed until submit returns */
    size_t n_ids;
    /* Stored prefixes are shared by requests of the same tenant and salt. NULL = "". */
    const char *tenant, *cache_salt;
    bool no_cache; /* neither reads nor writes the prefix cache */
    /* Of the tenant's checkpoints, of which it evicts its own when they are more; 0: no limit
     * but that of all. Each request says it anew. */
    size_t checkpoint_bytes;
    /* Who asks, for turns: numbers that tell the tenant's client addresses and the
     * connections of one apart, and the tenant's share of the tokens, where 0 is 1. No
     * answer depends on them. */
    uint64_t client, connection;
    int share;
    /* Depths at which a checkpoint is worth its bytes (where turns of a chat begin),
     * ascending, each above 0 and at most n_ids; borrowed until submit returns. */
    const int32_t *turns;
    size_t n_turns;
    /* The state after the first state_tokens ids is loaded instead of computed: once slot
     * and pages are reserved, EVENT_LOAD leases them. START reports state_bytes. */
    int state_tokens;
    size_t state_bytes;
    /* Of the conversation that this state contains: where answers ended, borrowed until
     * submit returns; whether the prompt is all of it, so that the answer completes a
     * character that it ends in. */
    const struct answer_end *ends;
    size_t n_ends;
    bool resume;
    bool save_state; /* FINISH leases the state at the end of the answer; n is 1 */
    /* The same for a checkpoint that this engine computed before and persisted: it is
     * loaded if the prefix cache has none as deep; if it cannot be read, the prompt is
     * evaluated. What follows from it is cached like anything else. */
    int persisted_tokens;
    size_t persisted_bytes;
    /* For measuring at a depth: the ids begin at this position, behind a state and pages
     * of synthetic values; these tokens count as prompt. Never set for a client. */
    int synthetic_tokens;
    struct gen_params gen;
};

/* ---- events ----------------------------------------------------------------- */

enum event_kind {
    EVENT_BUSY,   /* too many wait, and this request has given way: it is gone */
    EVENT_LOAD,   /* admitted, waits for its state, which is leased to be loaded */
    EVENT_START,  /* admitted, and its state is there; once per request */
    EVENT_PROMPT, /* one prompt token with its log-probability; in order, choice 0 only */
    EVENT_TOKEN,  /* one token of the answer */
    EVENT_FINISH  /* last event of a choice */
};

enum finish_reason {
    FINISH_STOP,   /* end token, stop id or stop string */
    FINISH_LENGTH, /* max_tokens */
    FINISH_ABORT,  /* cancelled */
    FINISH_TIMEOUT,
    FINISH_ERROR, /* a logit was not finite, or an internal fault */
    FINISH_DRAIN,
    FINISH_N
};

struct top_logprob {
    int32_t id;
    float logprob;
};

struct event {
    enum event_kind kind;
    uint64_t request;
    int choice;    /* first_choice + i */
    int32_t id;    /* PROMPT, TOKEN */
    float logprob; /* of id, under the raw logits; NAN: first prompt token or off */
    int n_top;
    struct top_logprob top[ENGINE_MAX_TOP]; /* best first; ties: smaller id first */
    bool special; /* TOKEN: id is a special token, whose bytes are no text */
    /* TOKEN: text released now, whole UTF-8, may be empty; a token is emitted only when
     * no stop string can swallow it any more. FINISH: the held-back rest. */
    const char *text;
    size_t text_len;
    enum finish_reason reason; /* FINISH */
    int32_t stop_id;           /* FINISH by a stop or end token: that id, else -1 */
    int stop_string;           /* FINISH by a stop string: its index, else -1 */
    int n_prompt, n_generated; /* FINISH: tokens of this choice */
    int n_cached;              /* START, FINISH: prompt tokens that were not evaluated */
    /* START: depth of the checkpoint that was hit; more than n_cached when the prompt is
     * evaluated for its log-probabilities. */
    int n_found;
    size_t found_bytes;
    /* LOAD; FINISH by STOP or LENGTH of a request that saves, else NULL. Leased until
     * engine_lease_release. */
    struct engine_lease *state;
    /* FINISH; 0 = never reached */
    uint64_t submit_ns, admit_ns, prefill_ns, first_ns, now_ns;
};

/* Called inside engine_submit, engine_step, engine_cancel and engine_lease_release, on the
 * engine thread. The event and all it points to are borrowed until the call returns. Must not
 * call back into the engine. */
typedef void engine_emit_fn(void *arg, const struct event *ev);

/* Logits f32 [vocab_size] of the prediction after ids[0..t], borrowed for the call;
 * non-zero stops the scoring, forgets the state and is returned. */
typedef int engine_row_fn(void *arg, size_t t, const float *logits);

/* ---- objects, statistics, measuring ----------------------------------------- */

struct engine_object {
    uint64_t bytes;      /* of the whole object */
    int depth, n_tokens; /* tokens that the state holds; one more, if one is pending */
};

/* Why prompt tokens were evaluated although something like them had been before. */
enum engine_miss {
    ENGINE_MISS_NO_CHECKPOINT, /* the path is stored, but no checkpoint on it */
    ENGINE_MISS_EVICTED,       /* there was one, and it was evicted */
    ENGINE_MISS_SALT,          /* there is one under another salt of the tenant */
    ENGINE_MISS_RETOKENISED,   /* the text was stored in other tokens */
    ENGINE_MISS_N
};

/* A step to be costed: n_seqs sequences with n_rows rows each from position depth on,
 * logits for n_sampled rows. */
struct engine_batch {
    int n_seqs, n_rows, depth, n_sampled;
};

/* What a step must read, write and compute at the least. Bytes count the formats, not
 * their layout; what is left out (norms, embedding rows) is below a hundredth. */
struct engine_cost {
    double weight_bytes, state_bytes, kv_bytes;
    double int8_ops, f32_ops; /* products with quantised weights; everything else */
};

enum engine_peak {
    ENGINE_PEAK_READ, /* bytes read from a buffer larger than caches */
    ENGINE_PEAK_F32,  /* operations of fused multiply-adds in registers */
    ENGINE_PEAK_INT8, /* the same of exact int8 multiply-adds into int32 */
    ENGINE_PEAK_N
};

#endif
