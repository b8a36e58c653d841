/*
 * Hugging Face's Llama layout, for the architectures that put layers of another kind
 * among its own, and for those whose layers differ by what struct llama_layer says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_ARCH_LLAMA_H
#define ENGINE_MODEL_ARCH_LLAMA_H

#include "engine/mixer/ffn.h"
#include "engine/model/arch.h"
#include "engine/model/frame.h"

struct llama_layer {
    bool attention_bias, mlp_bias;
    bool qkv_bias;           /* of q, k and v alone */
    bool head_norms;         /* self_attn.q_norm, k_norm, of each head; */
    bool whole_norms;        /* the same over all heads */
    bool gated;              /* attention has an output gate */
    bool one_plus;           /* every norm by 1 + weight */
    bool sandwich;           /* norms before and behind both mixers, named as Gemma's */
    enum ffn_kind ffn;       /* with a gate */
    const struct rope *rope; /* of width head_dim; borrows for the model's life */
    double k_scale;          /* of keys; 0: none */
    double score_scale;      /* 0: 1 / sqrt(head_dim) */
    int window;              /* 0: none */
};

/* Adds a branch of self_attn.*, or of mlp.*, to a stage; norms are the caller's. */
int arch_llama_attn_mixer(struct stage *st, const struct hparams *hp,
                          const struct llama_layer *p, const struct bind *b,
                          struct err *err);
int arch_llama_ffn_mixer(struct stage *st, const struct hparams *hp,
                         const struct llama_layer *p, const struct bind *b,
                         struct err *err);

/* Binds one stage of a layer: input_layernorm and self_attn.*, or
 * post_attention_layernorm and mlp.*; and the layer of both. */
int arch_llama_attn(struct block *blk, const struct hparams *hp,
                    const struct llama_layer *p, const struct bind *b, struct err *err);
int arch_llama_ffn(struct block *blk, const struct hparams *hp,
                   const struct llama_layer *p, const struct bind *b, struct err *err);
int arch_llama_layer(struct block *blk, const struct hparams *hp,
                     const struct llama_layer *p, const struct bind *b, struct err *err);

/* The frame of these models: model.embed_tokens, model.layers.i., model.norm. */
#define ARCH_LLAMA_FRAME .root = "model.", .embed = "embed_tokens", .norm = "norm"

#endif
