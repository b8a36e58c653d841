/*
 * The engine's main door: a synchronous library that turns token ids into token ids.
 *
 * No socket, no clock that a result depends on, no thread but the kernel pool. One call
 * drives it: engine_step admits waiting requests, plans a batch, runs it, samples, and
 * emits events. Time enters as an argument. Threads: what changes the engine belongs to
 * one thread (the engine thread), and so does engine_stats; everything else that takes a
 * const engine may be called from any thread while the engine is open. The other doors:
 * objects.h for states as bytes, measure.h for measurements.
 *
 * The promise: the same request gives the same bytes, whatever else runs beside it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/history.h"
#include "engine/base/ids.h"
#include "engine/types.h"

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
    size_t reserved_bytes; /* what the machine or cgroup must have free beside all this */
    int max_seqs;          /* sequences that run together; 0 = 64 */
    bool prefix_cache;     /* keep the states of prefixes in what is free of the budget */
    size_t checkpoint_bytes; /* they take no more, and have as much; 0 = choose */
    int checkpoint_interval; /* tokens of a long prompt, or AUTO; 0 = none on its way */
    int step_rows;           /* row budget of a step; 0 = 256 */
    int max_waiting; /* requests, beyond those that free sequences will take; 0 = any */
    /* How long what fits may be admitted before a request that does not yet; 0 = never. */
    uint64_t wide_wait_ns;
    enum engine_speculate speculate;
    bool model_defaults;  /* read the sampling values of the folder: info.defaults */
    bool no_tokenizer;    /* do not load tokenizer.json; encode and decode then fail */
    engine_emit_fn *emit; /* may be NULL when nothing is submitted */
    void *emit_arg;
};

struct engine_format {
    const char *name; /* "q8" */
    size_t bytes;
};
/* Bytes of an option that are too few. */
struct engine_short {
    const char *option; /* NULL: they are not */
    size_t given, needed;
};

/* Constant after open. Strings are owned by the engine. */
struct engine_info {
    const char *arch;       /* config.json: model_type */
    const char *cpu;        /* kernel set in use */
    const char *weights;    /* "f32", "bf16", "f16", "q8", "q4" or "mixed" */
    const char *tokenizer;  /* what it is made of, in words; "" without one */
    const char *kv;         /* "f32", "f16" or "q8" */
    const char *model_hash; /* 16 hex digits over configuration and weights */
    uint64_t object_kind;   /* a hash of all that decides which state objects fit */
    int n_threads, max_seqs, step_rows;
    int vocab_size, context_tokens, page_tokens;
    int longest_tokens;     /* longest context that the memory plan holds */
    int32_t bos_id;         /* -1: none */
    const int32_t *eos_ids; /* [n_eos] */
    int n_eos;
    int n_layers, hidden_size;
    int64_t n_params;
    size_t weights_bytes; /* as held in memory */
    /* The same by what they are held as, matrices' types and f32 for the rest. */
    struct engine_format formats[ENGINE_MAX_FORMATS];
    int n_formats;
    size_t slot_bytes, page_bytes, scratch_bytes;
    size_t tokenizer_bytes, index_bytes; /* index: what checkpoints are found by */
    size_t planned_bytes;                /* all of these together */
    int n_slots, n_pages;                /* slots of sequences */
    int n_checkpoints;                   /* slots that sequences never use */
    int most_checkpoints;    /* that all slots and checkpoint_bytes hold; 0: none */
    int checkpoint_interval; /* in force; 0: none on the way through a prompt */
    struct engine_short checkpoints_short; /* where n_checkpoints is 0 */
    bool has_tokenizer;
    struct gen_defaults defaults; /* all none unless options.model_defaults */
};

int engine_open(struct engine **out, const struct engine_options *o, struct err *err);
void engine_close(struct engine *e); /* accepts NULL; emits nothing */
const struct engine_info *engine_info(const struct engine *e);

/* ---- text ------------------------------------------------------------------- */

/* Appends the ids of the text to out. Linear time. ERR_UNSUPPORTED without a tokenizer. */
int engine_encode(const struct engine *e, const struct engine_text *text, unsigned flags,
                  struct ids *out, struct err *err);

/* Sets depths[i] to the number of the text's ids that end at or before byte offsets[i], n
 * of them, ascending; the ids are those of the whole text, without ENCODE_BOS. Exact where
 * tokens spell the text, else a guess; at most ids->n, ascending; 0 without a tokenizer.
 * False: out of memory. */
bool engine_depths(const struct engine *e, const struct engine_text *text,
                   const struct ids *ids, const size_t *offsets, size_t n,
                   int32_t *depths);

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

/* Checks the request and queues it: 0, or ERR_ARGUMENT (id outside the vocabulary),
 * ERR_CONTEXT, ERR_BUDGET (worst case beyond the whole budget), ERR_MEMORY. Where too many
 * wait then, one of them gives way, this one or another: EVENT_BUSY. */
int engine_submit(struct engine *e, const struct engine_request *r, struct err *err);

/* The same checks without submitting; any thread. ERR_CONTEXT, ERR_BUDGET, ERR_ARGUMENT.
 */
int engine_check(const struct engine *e, const struct engine_request *r, struct err *err);

/* Ends a request wherever it is and frees what it holds before returning; emits
 * EVENT_FINISH with `why` for every choice that still ran. Unknown ids are ignored. */
void engine_cancel(struct engine *e, uint64_t id, enum finish_reason why);

/* A paused request keeps its state and gets no rows until it is resumed. */
void engine_pause(struct engine *e, uint64_t id, bool paused);

/* One step. Returns the number of rows that ran; 0 = nothing could run (idle, or all
 * paused). */
int engine_step(struct engine *e, uint64_t now_ns);

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

/* Runs ids[0..n) as one sequence from position 0, cut into the given chunks (they sum to
 * n; NULL = steps of step_rows), calling row for each t in ascending order. The state is
 * kept, so that engine_score_more continues after it (t goes on counting); the next
 * engine_score, engine_submit or engine_close forgets it. ERR_ARGUMENT, ERR_CONTEXT,
 * ERR_BUSY when requests are live, ERR_BUDGET when the pages end. */
int engine_score(struct engine *e, const int32_t *ids, size_t n, const int *chunks,
                 size_t n_chunks, engine_row_fn *row, void *arg, struct err *err);
int engine_score_more(struct engine *e, const int32_t *ids, size_t n, engine_row_fn *row,
                      void *arg, struct err *err);

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

#endif
