/*
 * Mamba-2 (arXiv 2405.21060), as Hugging Face's models lay it out: in_proj gives z, x, B,
 * C and dt, each times its multiplier; a causal convolution with silu runs over x, B, C;
 * then per head h with the B, C of group ⌊h·G/H⌋
 *
 *   dt  = clamp(softplus(dt + dt_bias)),   A = -exp(A_log)
 *   S_t = exp(dt·A) S_{t-1} + dt · x Bᵀ,   y = S C + D·x
 *
 * and out_proj of y, gated by silu(z) and normalised. State: the convolution's, then
 * H·P·N floats.
 *
 * Refused (ERR_FORMAT): groups that do not divide the heads.
 *
 * Tensor names are fixed under the binding's prefix: in_proj, conv1d, dt_bias, A_log, D,
 * norm, out_proj.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_MAMBA2_H
#define ENGINE_MIXER_MAMBA2_H

#include <stdbool.h>

/* The mean square of the gated norm: over all of d = H·P, or over each d / G. */
enum mamba2_norm { MAMBA2_NORM_NONE, MAMBA2_NORM_WHOLE, MAMBA2_NORM_GROUPS };

/* What in_proj gives, in its order. */
enum mamba2_part { MAMBA2_Z, MAMBA2_X, MAMBA2_B, MAMBA2_C, MAMBA2_DT, MAMBA2_PARTS };

struct mamba2_spec {
    int n_heads, head_dim, n_state; /* H, P, N */
    int n_groups, n_taps;           /* G, a divisor of H; J */
    bool conv_bias, in_bias, out_bias;
    enum mamba2_norm norm;
    bool norm_before_gate; /* norm(y) ⊙ silu(z) for norm(y ⊙ silu(z)) */
    double eps;
    double dt_min, dt_max; /* the clamp; [0, infinity] has no effect */
    const double *scales;  /* [MAMBA2_PARTS]; NULL: all 1 */
};

#endif
