/*
 * The engine's only door: a synchronous library that turns token ids into token ids.
 *
 * No socket, no clock, no thread but the kernel pool. One verb drives it: engine_step
 * admits waiting requests, plans a batch, runs it, samples, and emits events. Time enters
 * as an argument. Threads: what changes the engine belongs to one thread (the engine
 * thread), and so does engine_stats; all else that takes a const engine may be called from
 * any thread while the engine is open.
 *
 * The promise: the same request gives the same bytes, whatever else runs beside it.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/history.h"
#include "engine/base/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENGINE_MAX_TOP = 20, ENGINE_MAX_STOPS = 4 };

struct engine; /* owned by whoever opened it */
struct event;

enum engine_math { ENGINE_MATH_EXACT, ENGINE_MATH_BLAS };

/* What matrices are held as, and what attention's pages hold. */
enum engine_weights {
    ENGINE_WEIGHTS_OWN, /* as the file has them */
    ENGINE_WEIGHTS_F32,
    ENGINE_WEIGHTS_BF16,
    ENGINE_WEIGHTS_Q8,
    ENGINE_WEIGHTS_Q4
};
enum engine_kv { ENGINE_KV_F32, ENGINE_KV_F16, ENGINE_KV_Q8 };

/* Whether decoding runs proposed tokens too, taken from what was said before; answers are
 * the same. AUTO does while they prove true and steps are small. */
enum engine_speculate {
    ENGINE_SPECULATE_OFF,
    ENGINE_SPECULATE_AUTO,
    ENGINE_SPECULATE_ON
};

/* Called inside engine_step, engine_cancel and engine_lease_release, on the engine thread. The
 * event and all it points to are borrowed until the call returns. Must not call back into
 * the engine. */
typedef void engine_emit_fn(void *arg, const struct event *ev);

struct engine_options {
    const char *model_dir; /* folder with config.json and weights; or */
    const char *shape; /* a file with the keys of config.json: random weights, no text */
    const char *cpu;   /* a kernel set's name; NULL = the best this machine has */
    enum engine_math math;
    enum engine_weights weights;
    enum engine_kv kv;
    int n_threads;      /* 0 = what affinity and cgroup allow */
    bool pin;           /* bind each thread to a processor of its own */
    int context_tokens; /* 0 = max_position_embeddings */
    /* Budget of slots + pages, stored prefixes included; 0 = enough for max_seqs full
     * contexts, at most half of what the machine or cgroup has free. */
    size_t memory_bytes;
    int max_seqs;      /* sequences that run together; 0 = 64 */
    bool prefix_cache; /* keep the states of prefixes in what is free of the budget */
    size_t checkpoint_bytes; /* they take no more, and have as much; 0 = choose */
    int checkpoint_interval; /* one every so many tokens of a long prompt; 0 = none */
    int step_rows;           /* row budget of a step; 0 = 256 */
    enum engine_speculate speculate;
    bool no_tokenizer;    /* do not load tokenizer.json; encode and decode then fail */
    engine_emit_fn *emit; /* may be NULL when nothing is submitted */
    void *emit_arg;
};

struct engine_format {
    const char *name; /* "q8" */
    size_t bytes;
};
enum { ENGINE_MAX_FORMATS = 5 };

/* Constant after open. Strings are owned by the engine. */
struct engine_info {
    const char *arch;       /* config.json: model_type */
    const char *cpu;        /* kernel set in use */
    const char *weights;    /* "f32", "bf16", "f16", "q8", "q4" or "mixed" */
    const char *kv;         /* "f32", "f16" or "q8" */
    const char *model_hash; /* 16 hex digits over configuration and weights */
    uint64_t object_kind;   /* a hash of all that decides which state objects fit */
    int n_threads, max_seqs, step_rows;
    int vocab_size, context_tokens, page_tokens;
    int longest_tokens; /* longest context that the memory plan holds */
    int32_t bos_id;     /* -1: none */
    int n_layers, hidden_size;
    int64_t n_params;
    size_t weights_bytes; /* as held in memory */
    /* The same by what they are held as, matrices' types and f32 for the rest. */
    struct engine_format formats[ENGINE_MAX_FORMATS];
    int n_formats;
    size_t slot_bytes, page_bytes, scratch_bytes;
    int n_slots, n_pages; /* slots of sequences */
    int n_checkpoints;    /* slots that sequences never use */
    bool has_tokenizer;
};

int engine_open(struct engine **out, const struct engine_options *o, struct err *err);
void engine_close(struct engine *e); /* accepts NULL; emits nothing */
const struct engine_info *engine_info(const struct engine *e);

/* ---- text ------------------------------------------------------------------- */

enum {
    ENCODE_SPECIAL = 1, /* added tokens inside the text are recognised as their ids */
    ENCODE_BOS = 2,     /* the post-processor's tokens (BOS) are added */
    ENCODE_MORE = 4     /* the text goes on from another: no space is put before it */
};

/* Appends the ids of text to out. Linear time. ERR_UNSUPPORTED without a tokenizer. */
int engine_encode(const struct engine *e, const char *text, size_t len, unsigned flags,
                  struct ids *out, struct err *err);

/* Appends the bytes of ids to out. With skip_special, special tokens give no bytes. */
int engine_decode(const struct engine *e, const int32_t *ids, size_t n, bool skip_special,
                  struct buf *out, struct err *err);

/* A prompt: a text, or ids where that is NULL. */
struct engine_prompt {
    const char *text;
    const int32_t *ids;
    size_t len;
};

/* 0: the prompt's first *at bytes or ids are the conversation, with or without what no
 * client was shown of it (engine/tokenizer/match.h). ERR_CONFLICT: they part at *at.
 * ERR_MEMORY; ERR_UNSUPPORTED for a text without a tokenizer. */
int engine_match(const struct engine *e, const struct history *h,
                 const struct engine_prompt *p, size_t *at, struct err *err);

/* The bytes of one token, owned by the engine; NULL for an id without a token. They need
 * not be whole UTF-8. */
const char *engine_piece(const struct engine *e, int32_t id, size_t *len);

/* ---- requests --------------------------------------------------------------- */

struct logit_bias {
    int32_t id;
    float bias;
};

struct gen_params {
    int max_tokens;                /* per choice; 0 allowed: only the prompt is read */
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
    int priority; /* smaller runs first; equal: order of arrival */
};

struct engine_request {
    uint64_t id;        /* chosen by the caller, unique among live requests */
    const int32_t *ids; /* [n_ids], n_ids >= 1; borrowed until submit returns */
    size_t n_ids;
    /* Stored prefixes are shared by requests of the same tenant and salt. NULL = "". */
    const char *tenant, *cache_salt;
    bool no_cache; /* neither begins with a stored prefix nor leaves one */
    /* Depths at which a checkpoint is worth its bytes (where turns of a chat begin),
     * ascending, each above 0 and at most n_ids; borrowed until submit returns. */
    const int32_t *turns;
    size_t n_turns;
    /* The state after the first state_tokens ids is loaded instead of computed: when slot
     * and pages are there EVENT_LOAD lends them. state_bytes is what START tells of it.
     */
    int state_tokens;
    size_t state_bytes;
    /* Of the conversation that this state contains: where answers ended, borrowed until
     * submit returns; whether the prompt is all of it, so that the answer completes a
     * character that it ends in. */
    const struct answer_end *ends;
    size_t n_ends;
    bool resume;
    bool save_state; /* FINISH lends the state at the end of the answer; n is 1 */
    /* The same for a state that this engine has computed itself, in an earlier life: it
     * is loaded where no deeper one is known; if it is not good, the prompt is read. What
     * follows from it is kept like anything else. */
    int persisted_tokens;
    size_t persisted_bytes;
    int synthetic_tokens; /* to measure at a depth: the ids begin at this position, behind a
                        * state and pages of seeded values that nobody computed; counted
                        * as prompt. Never set for a client's request. */
    struct gen_params gen;
};

/* Checks the request and queues it: 0, or ERR_ARGUMENT (id outside the vocabulary),
 * ERR_CONTEXT, ERR_BUDGET (worst case beyond the whole budget), ERR_MEMORY. */
int engine_submit(struct engine *e, const struct engine_request *r, struct err *err);

/* The same checks without submitting; any thread. ERR_CONTEXT, ERR_BUDGET, ERR_ARGUMENT.
 */
int engine_check(const struct engine *e, const struct engine_request *r, struct err *err);

enum finish_reason {
    FINISH_STOP,   /* end token, stop id or stop string */
    FINISH_LENGTH, /* max_tokens */
    FINISH_ABORT,  /* cancelled */
    FINISH_TIMEOUT,
    FINISH_ERROR, /* a logit was not finite, or an internal fault */
    FINISH_DRAIN,
    FINISH_N
};

/* Ends a request wherever it is and frees what it holds before returning; emits
 * EVENT_FINISH with `why` for every choice that still ran. Unknown ids are ignored. */
void engine_cancel(struct engine *e, uint64_t id, enum finish_reason why);

/* A paused request keeps its state and gets no rows until it is resumed. */
void engine_pause(struct engine *e, uint64_t id, bool paused);

/* One step. Returns the number of rows that ran; 0 = nothing could run (idle, or all
 * paused). */
int engine_step(struct engine *e, uint64_t now_ns);

/* Why prompt tokens that something like was read before were read again. */
enum engine_miss {
    ENGINE_MISS_NO_CHECKPOINT, /* the path is known, no state was kept there */
    ENGINE_MISS_EVICTED,       /* one was kept and had to go */
    ENGINE_MISS_SALT,          /* there is one under another salt of the tenant */
    ENGINE_MISS_RETOKENISED,   /* the text was stored in other tokens */
    ENGINE_MISS_N
};

struct engine_stats {
    int running, waiting; /* requests */
    int slots_used, pages_used;
    uint64_t steps;
    int last_rows; /* rows of the last step */
    int checkpoints;
    size_t checkpoint_bytes; /* theirs alone, not a sequence's */
    uint64_t checkpoints_created, checkpoints_hit, checkpoints_evicted;
    uint64_t tokens_missed[ENGINE_MISS_N];
    uint64_t tokens_proposed, tokens_accepted; /* of speculation */
};
void engine_stats(const struct engine *e, struct engine_stats *out); /* engine thread */

/* ---- scoring (the engine must be idle) -------------------------------------- */

/* Logits f32 [vocab_size] of the prediction after ids[0..t], borrowed for the call;
 * non-zero stops, forgets the state and is returned. */
typedef int engine_row_fn(void *arg, size_t t, const float *logits);

/* Runs ids[0..n) as one sequence from position 0, cut into the given chunks (they sum to
 * n; NULL = steps of step_rows), calling row for each t in ascending order. The state is
 * kept, so that engine_score_more continues after it (t goes on counting); the next
 * engine_score, engine_submit or engine_close forgets it. ERR_ARGUMENT, ERR_CONTEXT,
 * ERR_BUSY when requests are live, ERR_BUDGET when the pages end. */
int engine_score(struct engine *e, const int32_t *ids, size_t n, const int *chunks,
                 size_t n_chunks, engine_row_fn *row, void *arg, struct err *err);
int engine_score_more(struct engine *e, const int32_t *ids, size_t n, engine_row_fn *row,
                      void *arg, struct err *err);

/* ---- state objects ---------------------------------------------------------- */

/* A sequence's state as bytes: engine/state/object.h has the format. These block on the
 * disk or take long: any thread but the engine's. Whatever does not fit this engine, this
 * tenant or its own checksums is ERR_CONFLICT. */
struct engine_object {
    uint64_t bytes;      /* of the whole object */
    int depth, n_tokens; /* tokens that the state holds; one more, if one is pending */
};

/* A sequence's slot and pages on loan, for one thread at a time. */
struct engine_lease;

/* What the object of a state that is lent to be saved will say. */
void engine_object_of(const struct engine *e, const struct engine_lease *s,
                      struct engine_object *out);

/* Writes it to a file's beginning. ERR_IO, ERR_MEMORY. */
int engine_object_save(const struct engine *e, const struct engine_lease *s, int fd,
                       const char *tenant, struct err *err);

/* Reads the state out of a file, whose body's checksum is asked here. */
int engine_object_load(const struct engine *e, struct engine_lease *s, int fd,
                       const char *tenant, struct err *err);

/* Ends a loan. A request that waits for its state goes on; if the state is not good, it
 * ends by FINISH_ERROR. Engine thread. */
void engine_lease_release(struct engine *e, struct engine_lease *s, bool good);

/* Lends a copy of the kept state that is most worth being stored for a later life, each
 * once: one that was begun with; with `all`, one that may be. NULL: there is none now.
 * Engine thread. */
struct engine_lease *engine_persist_next(struct engine *e, bool all);

/* Whose state a loan is, and after which tokens; borrowed from it. */
struct engine_lease_path {
    const char *tenant, *cache_salt;
    const int32_t *tokens; /* [n_tokens] */
    int n_tokens;
};
void engine_lease_path_of(const struct engine_lease *s, struct engine_lease_path *out);

/* What no client was shown of the answer that a leased state ends with: appends its text,
 * returns the last *n tokens, borrowed from the lease. text->failed: out of memory. */
const int32_t *engine_lease_unseen(const struct engine *e, const struct engine_lease *s,
                                   size_t *n, struct buf *text);

/* Reads what is before an object's body, checks it and the file's length. *said is the
 * caller's until history_free; empty on failure. */
int engine_object_open(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct history *said, struct err *err);

/* What the head of the object in a file says; its checksums are not asked. */
int engine_object_peek(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct err *err);

/* An object that comes in pieces; it was a good one only after engine_upload_end.
 * ERR_CONFLICT as soon as it shows, ERR_MEMORY. engine_upload_object is NULL until the
 * head has come. */
struct engine_upload;
int engine_upload_open(struct engine_upload **out, const struct engine *e,
                       const char *tenant, struct err *err);
int engine_upload_put(struct engine_upload *in, const void *data, size_t len,
                      struct err *err);
int engine_upload_end(struct engine_upload *in, struct err *err);
const struct engine_object *engine_upload_object(struct engine_upload *in);
void engine_upload_close(struct engine_upload *in); /* accepts NULL */

/* ---- measuring -------------------------------------------------------------- */

/* What a step must read, write and compute at the least: n_seqs sequences with n_rows
 * rows each from position depth on, logits for n_sampled rows. Bytes count the formats,
 * not their layout; what is left out (norms, embedding rows) is below a hundredth. */
struct engine_batch {
    int n_seqs, n_rows, depth, n_sampled;
};
struct engine_cost {
    double weight_bytes, state_bytes, kv_bytes;
    double int8_ops, f32_ops; /* products with quantised weights; everything else */
};
void engine_cost(const struct engine *e, const struct engine_batch *b,
                 struct engine_cost *out);

/* The machine's own limits, as work for the engine's threads that nothing but memory or
 * the processor's multipliers can hold up. Runs a piece of it and stores its bytes or
 * operations; the caller takes the time. The first call may allocate: ERR_MEMORY. */
enum engine_peak {
    ENGINE_PEAK_READ, /* bytes read from a buffer larger than caches */
    ENGINE_PEAK_F32,  /* operations of fused multiply-adds in registers */
    ENGINE_PEAK_INT8, /* the same of exact int8 multiply-adds into int32 */
    ENGINE_PEAK_N
};
int engine_peak(struct engine *e, enum engine_peak what, double *amount, struct err *err);

/* Gives the memory of slots and pages back to the system, if nothing is in them: what is
 * resident afterwards is what later requests touch. */
void engine_trim(struct engine *e);

/* Bytes that this process may still take; 0 = unknown. */
size_t engine_available(void);

/* ---- converting ------------------------------------------------------------- */

struct engine_converted {
    int64_t n_params;
    size_t bytes; /* of the file */
};

/* Reads a model folder as engine_open would with these weights, and writes what it then
 * holds as one safetensors file at path, which must not exist; nothing is left there on
 * failure. The same folder with this file in its place computes the same logits. */
int engine_convert(const char *model_dir, enum engine_weights weights, const char *path,
                   struct engine_converted *out, struct err *err);

/* ---- events ----------------------------------------------------------------- */

enum event_kind {
    EVENT_LOAD, /* admitted, waits for its state: engine_object_load, engine_lease_release */
    EVENT_START,  /* admitted, and its state is there; once per request */
    EVENT_PROMPT, /* one prompt token with its log-probability; in order, choice 0 only */
    EVENT_TOKEN,  /* one token of the answer */
    EVENT_FINISH  /* last event of a choice */
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
    const char *text; /* TOKEN: text released now, whole UTF-8, may be empty.       */
    size_t text_len;  /* FINISH: the held-back rest. A token is emitted only when   */
                      /* no stop string can swallow it any more.                    */
    enum finish_reason reason; /* FINISH */
    int32_t stop_id;           /* FINISH by a stop or end token: that id, else -1 */
    int stop_string;           /* FINISH by a stop string: its index, else -1 */
    int n_prompt, n_generated; /* FINISH: tokens of this choice */
    int n_cached;              /* START, FINISH: prompt tokens that were not read again */
    int n_found;        /* START: depth of the stored state that was found; more than */
    size_t found_bytes; /* n_cached when the prompt is read for its log-probabilities */
    /* LOAD; FINISH by STOP or LENGTH of a request that saves, else NULL. On loan until
     * engine_lease_release. */
    struct engine_lease *state;
    uint64_t submit_ns, admit_ns, prefill_ns, first_ns,
        now_ns; /* FINISH; 0 = never reached */
};

#endif
