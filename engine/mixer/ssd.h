/*
 * State-space duality layer of TransXSSM (arXiv 2506.09507): per head
 *   S_t = exp(dt_t·A) S_{t-1} + dt_t · X_t B_tᵀ,   Y_t = S_t C_t,
 * C and B rotated by the same position code as attention's q and k. State: H·P·N floats.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_SSD_H
#define ENGINE_MIXER_SSD_H

#include "engine/mixer/rope.h"

struct ssd_spec {
    const char *c, *b, *x, *dt, *out; /* tensor names without ".weight" */
    const char *a, *dt_bias;          /* [H]; dt_bias may be absent from the file */
    int n_heads, head_dim, n_state;   /* H, P = D/H, N */
    bool bias;                        /* on every projection */
    const struct rope *rope;          /* width N, or NULL; borrows for the model's life */
};

#endif
