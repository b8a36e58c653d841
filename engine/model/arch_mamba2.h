/*
 * Mamba-2 layers as transformers configures them, for the architectures that have them
 * among others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_ARCH_MAMBA2_H
#define ENGINE_MODEL_ARCH_MAMBA2_H

#include "engine/mixer/mamba2.h"
#include "engine/model/arch.h"

struct mamba2_layer {
    double dt_limit[2];
    int n_heads, head_dim, n_state, n_groups, n_taps; /* head_dim 0: by expand */
    int expand;
    bool conv_bias, proj_bias;
};

/* Rows of a table of keys, of a struct mamba2_layer within the architecture's struct; and
 * what absent ones are. */
#define MAMBA2_LAYER_KEY(name, type, arch, field, lo, hi)                                \
    {                                                                                    \
        name, type, offsetof(arch, field), lo, hi, NULL, false                           \
    }
#define MAMBA2_LAYER_KEYS(arch, at)                                                      \
    MAMBA2_LAYER_KEY("mamba_n_heads", HP_INT, arch, at.n_heads, 1, 1 << 16),             \
        MAMBA2_LAYER_KEY("mamba_d_head", HP_AUTO, arch, at.head_dim, 1, 1 << 16),        \
        MAMBA2_LAYER_KEY("mamba_d_state", HP_INT, arch, at.n_state, 1, 1 << 16),         \
        MAMBA2_LAYER_KEY("mamba_n_groups", HP_INT, arch, at.n_groups, 1, 1 << 16),       \
        MAMBA2_LAYER_KEY("mamba_d_conv", HP_INT, arch, at.n_taps, 1, 1 << 10),           \
        MAMBA2_LAYER_KEY("mamba_expand", HP_INT, arch, at.expand, 1, 1 << 10),           \
        MAMBA2_LAYER_KEY("mamba_conv_bias", HP_BOOL, arch, at.conv_bias, 0, 0),          \
        MAMBA2_LAYER_KEY("mamba_proj_bias", HP_BOOL, arch, at.proj_bias, 0, 0),          \
        MAMBA2_LAYER_KEY("time_step_limit", HP_REALS_2, arch, at.dt_limit, 0, INFINITY)
#define MAMBA2_LAYER_DEFAULTS                                                            \
    {                                                                                    \
        .dt_limit = {0, INFINITY}, .n_heads = 128, .n_state = 256, .n_groups = 1,        \
        .n_taps = 4, .expand = 2, .conv_bias = true                                      \
    }

/* Sets head_dim where it is open; ERR_FORMAT under `key` (of expand) when the heads do
 * not make up expand * hidden_size. */
int arch_mamba2_heads(struct mamba2_layer *p, int hidden_size, const char *key,
                      struct err *err);

/* What the mixer is told: of the keys, and a norm over its whole width after the gate, which
 * an architecture may change. */
struct mamba2_spec arch_mamba2_spec(const struct mamba2_layer *p, double eps);

/* A stage of input_layernorm and of such a mixer from mamba.*, both under b. */
int arch_mamba2_stage(struct block *blk, const struct mamba2_layer *p, double eps,
                      const struct bind *b, struct err *err);

#endif
