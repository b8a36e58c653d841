/*
 * Causal attention with grouped queries over K/V pages: query head h reads K/V head
 * floor(h * K / H). State: head_dim * 2 * K values a token, in pages of PAGE_TOKENS
 * tokens of the binding's kv type.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_ATTN_H
#define ENGINE_MIXER_ATTN_H

#include "engine/mixer/rope.h"

struct attn_spec {
    const char *q, *k, *v, *o; /* tensor names without ".weight" */
    int n_heads, n_kv_heads, head_dim;
    bool bias;               /* on all four projections */
    const struct rope *rope; /* NULL: no position code; borrows for the model's life */
    const char *logit_scale; /* [H]: cosine scores; NULL: q·k/sqrt(head_dim) */
};

#endif
