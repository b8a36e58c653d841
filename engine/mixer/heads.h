/*
 * The heads of an attention layer between projection and pages: what is done to queries
 * and keys before they meet. Bound at open; a row's result depends on no other row.
 *
 * Norms of a head or of all together: QK-Norm (arXiv 2010.04245; by RMSNorm as in Qwen 3,
 * arXiv 2505.09388, section 2; over the whole projection in OLMo 2, arXiv 2501.00656,
 * section 3). Cosine scores: arXiv 2111.09883, equation 2. Gate: arXiv 2505.06708.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_HEADS_H
#define ENGINE_MIXER_HEADS_H

#include "engine/mixer/attn.h"
#include "engine/mixer/norm.h"

struct heads {
    int n_heads, n_kv_heads, head_dim;
    bool whole, gated;
    struct norm q_norm, k_norm; /* n 0: none */
    float k_scale;              /* 1: none */
    const struct rope *rope;    /* or NULL */
    const float *temperature;   /* [H] τ of cosine scores, or NULL */
};

/* Takes norms and temperatures by the spec's names. ERR_FORMAT, ERR_MEMORY. */
int heads_bind(struct heads *h, const struct attn_spec *s, const struct bind *b,
               struct err *err);

/* Rows [row0, row1) as projected become those that attend: qg [H][2][head_dim] a row,
 * split into q (a gated layer; else q is projected and qg NULL); q [H][head_dim] and k
 * [K][head_dim] in place. */
void heads_prepare(const struct heads *h, const struct ctx *c, const float *qg, float *q,
                   float *k, int row0, int row1);

/* out ⊙= σ(gate) of all rows; gates in qg are overwritten. */
void heads_gate(const struct heads *h, const struct ctx *c, float *qg, float *out);

#endif
