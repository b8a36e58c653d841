/*
 * What configurations with gated DeltaNet layers share: the names of its sizes, and which
 * layers are of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_ARCH_GDN_H
#define ENGINE_MODEL_ARCH_GDN_H

#include "engine/mixer/gdn.h"
#include "engine/model/arch.h"

#define ARCH_GDN_KEY(name, owner, field)                                                 \
    {                                                                                    \
        name, HP_INT, offsetof(struct owner, field), 1, 1 << 16, NULL, false             \
    }

/* Rows of the architecture's table of keys; spec is its struct gdn_spec. */
#define ARCH_GDN_KEYS(owner, spec)                                                       \
    ARCH_GDN_KEY("linear_num_key_heads", owner, spec.n_key_heads),                       \
        ARCH_GDN_KEY("linear_num_value_heads", owner, spec.n_value_heads),               \
        ARCH_GDN_KEY("linear_key_head_dim", owner, spec.key_dim),                        \
        ARCH_GDN_KEY("linear_value_head_dim", owner, spec.value_dim),                    \
        ARCH_GDN_KEY("linear_conv_kernel_dim", owner, spec.n_taps)

/* ERR_FORMAT for sizes that do not fit each other, or nothing. */
int arch_gdn_check(const struct gdn_spec *s, struct err *err);

enum arch_gdn_layer { LAYER_GDN, LAYER_ATTN };

/* Reads layer_types into kinds; absent, they stay as they are. */
int arch_gdn_layers(const struct hparams *hp, uint8_t *kinds, struct err *err);

#endif
