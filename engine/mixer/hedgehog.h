/*
 * Linear attention with a learned feature map (Hedgehog, arXiv 2402.04347). Per query
 * head, after RoPE, with keys and values repeated to all query heads:
 *
 *   φ(x) = max(softmax(Wᵀx) ‖ softmax(-Wᵀx), 1e-12)                [2f]
 *   S_t  = S_{t-1} + φ(k_t) v_tᵀ      n_t = n_{t-1} + φ(k_t)
 *   o_t  = φ(q_t)ᵀ S_t / (φ(q_t)·n_t + 1e-12)
 *
 * n is one more column of S, whose value is always 1, so that one recurrence, the SSD's
 * with decay 1, carries both. State: H · 2f · (hd + 1) floats, constant.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_HEDGEHOG_H
#define ENGINE_MIXER_HEDGEHOG_H

#include "engine/mixer/rope.h"

struct hedgehog_spec {
    const char *q, *k, *v, *o;                     /* tensor names without ".weight" */
    const char *map_q, *map_k;                     /* [H][hd][f], the whole name */
    int n_heads, n_kv_heads, head_dim, n_features; /* f */
    bool bias;                                     /* on all four projections */
    const struct rope *rope;                       /* borrows for the model's life */
};

#endif
