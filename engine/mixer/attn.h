/*
 * Causal attention with grouped queries over K/V pages: query head h reads K/V head
 * floor(h * K / H). State: head_dim * 2 * K values a token, in pages of PAGE_TOKENS
 * tokens of the binding's kv type; those of a short sliding window are a ring of constant
 * size (ring.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_ATTN_H
#define ENGINE_MIXER_ATTN_H

#include "engine/mixer/rope.h"

/* What q and k go through, in this order: bias, k_scale, norms, RoPE, cosine scores. */
struct attn_spec {
    const char *q, *k, *v, *o; /* tensor names without ".weight" */
    const char *qkv; /* all three as one matrix, rows of q, of k, of v; or NULL */
    int n_heads, n_kv_heads, head_dim;
    bool bias, o_bias; /* of q, k and v; of o */
    /* q has 2 * head_dim rows a head, the query's and then the gate's:
     * y = o · (attention ⊙ σ(gate)). */
    bool gated;
    double k_scale;              /* multiplies keys; 0: none */
    const char *q_norm, *k_norm; /* tensor names of RMS norms, or NULL */
    double norm_eps;
    bool norm_whole;         /* over all heads, [H * head_dim] and [K * head_dim]; else
                              * over each, [head_dim] */
    bool norm_one_plus;      /* by 1 + weight */
    const struct rope *rope; /* NULL: no position code; borrows for the model's life */
    const char *logit_scale; /* [H]: cosine scores; NULL: q·k times score_scale */
    double score_scale;      /* 0: 1 / sqrt(head_dim) */
    int window;              /* keys that a query sees, its own the last; 0: all */
};

#endif
