/*
 * Granite's four multipliers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_ARCH_GRANITE_H
#define ENGINE_MODEL_ARCH_GRANITE_H

#include "engine/model/arch.h"

struct granite_scales {
    double embed, attn, residual, logits; /* scores are attn * q·k; logits are divided */
};

/* Rows of a table of keys, of a struct granite_scales within the architecture's struct;
 * and what absent ones are. */
#define GRANITE_SCALE(name, arch, field)                                                 \
    {                                                                                    \
        name, HP_REAL, offsetof(arch, field), 1e-12, 1e12, NULL, false                   \
    }
#define GRANITE_SCALE_KEYS(arch, at)                                                     \
    GRANITE_SCALE("embedding_multiplier", arch, at.embed),                               \
        GRANITE_SCALE("attention_multiplier", arch, at.attn),                            \
        GRANITE_SCALE("residual_multiplier", arch, at.residual),                         \
        GRANITE_SCALE("logits_scaling", arch, at.logits)
#define GRANITE_SCALES_DEFAULTS                                                          \
    {                                                                                    \
        .embed = 1, .attn = 1, .residual = 1, .logits = 1                                \
    }

/* Sets what the scales say of the whole model, once it is bound: of the embedding, of
 * every branch, of the head. */
void arch_granite_scale(struct model *m, const struct granite_scales *s);

#endif
