/*
 * A model is data: hyper-parameters and an array of blocks between an embedding and a
 * head.
 *
 * model_open makes it from a folder; constant afterwards, read by any thread. Nothing
 * here depends on an architecture: arch_*.c fill it in. The forward pass runs on the
 * engine thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_MODEL_H
#define ENGINE_MODEL_MODEL_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/load/generation_config.h"
#include "engine/load/hparams.h"
#include "engine/load/quant.h"
#include "engine/load/weights.h"
#include "engine/mixer/norm.h"
#include "engine/mixer/rope.h"
#include "engine/model/block.h"

struct embedding {
    struct table table; /* [V][D]; a tied head shares its panels when it is quantised */
    float scale;        /* 1: none */
};

/* The types of matrices in memory, and bytes by type. */
struct holding {
    /* Bit per dtype that a matrix has. Matrices that are never quantised count only where
     * there is no other. */
    unsigned types;
    size_t bytes[DTYPE_N]; /* of weights, codes with their scales */
};

struct model {
    struct arena arena;     /* owns everything but the mapping */
    struct weights weights; /* owns the mapping */
    struct hparams hp;
    struct generation_config generation;
    int context;         /* positions served */
    bool rope_by_length; /* a rotary table differs with them */
    bool blas;
    bool sizes; /* matrices have no values: the model is for its figures alone */
    enum engine_weights weights_ask;
    enum engine_kv kv;
    struct embedding embed;
    struct block *blocks; /* [hp.n_layers] */
    struct norm final_norm;
    struct matrix head;
    float logit_scale; /* of logits, multiplied into the head's input; 1: none */
    bool tied;         /* the head is the embedding's */
    /* A slot: recurrent states, the last row before the head, rings of K/V from rings_at
     * on. */
    size_t slot_bytes, rings_at, ring_bytes;
    size_t page_bytes; /* K/V of PAGE_TOKENS tokens; 0 without attention */
    int64_t n_params;
    uint64_t hash;          /* over config.json and all weights */
    unsigned type_mask;     /* bit per dtype that matrices have: holding.types */
    struct bind_list bound; /* every matrix, in the arena */
    int quant_in;           /* most inputs of a quantised matrix; 0: none is */
};

struct model_options {
    const char *dir;   /* folder with config.json and weights; or */
    const char *shape; /* a file with the keys of config.json: random weights */
    int context;       /* 0 = max_position_embeddings */
    bool blas;
    bool sizes; /* of a file's bytes read headers and vectors only, and pack nothing */
    enum engine_weights weights; /* 0 = each tensor's own type */
    enum engine_kv kv;           /* 0 = f32 */
    struct pool *pool;           /* packs weights; borrowed for the call; NULL: none */
};

/* ERR_IO, ERR_FORMAT, ERR_MEMORY; nothing is kept then. */
int model_open(struct model *m, const struct model_options *o, struct err *err);
void model_close(struct model *m); /* accepts a zeroed struct */

/* The weights' types and bytes in memory, the mapping's included; of a model of sizes what
 * they would be. */
void model_holding(const struct model *m, struct holding *out);
size_t model_weights_bytes(const struct model *m);

/* For arch files. The embedding, and the head: tied to it (a head tensor in the file must
 * then be identical) or a matrix of its own. Names are without ".weight". */
int model_bind_embed(struct model *m, const struct bind *b, const char *name,
                     struct err *err);
int model_bind_head(struct model *m, const struct bind *b, const char *name,
                    struct err *err);
/* A rotary table of this width by these parameters (hp.rope, or those of a layer type), in
 * the model's arena. ERR_FORMAT or ERR_MEMORY. */
int model_rope(struct model *m, const struct rope **out, const struct rope_params *p,
               int dim, bool plain_length, struct err *err);

/* Makes a slot of a sequence of `depth` tokens depend on these alone: rings may hold rows
 * that were taken back. */
void model_forget(const struct model *m, char *slot, int depth);

/* Adds a step's bytes and operations; the head runs for n_sampled rows. */
void model_cost(const struct model *m, const struct engine_batch *s,
                struct engine_cost *sum);

/* Scratch bytes of a step of max_rows rows with max_logits head rows. */
size_t model_scratch(const struct model *m, int max_rows, int max_logits);

/* Runs ids[n_rows] through all blocks. Returns h [n_rows, D] before the final norm, in
 * scratch; the caller releases it. Advances the states of the context's spans. */
float *model_forward(const struct model *m, const struct ctx *c, const int32_t *ids);

/* logits[i, :] = head(scale · norm(h[rows[i], :])), [n, V]. The head runs for these rows only. */
void model_head(const struct model *m, const struct ctx *c, const float *h,
                const int *rows, int n, float *logits);

#endif
