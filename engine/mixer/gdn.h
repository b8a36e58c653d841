/*
 * Gated DeltaNet (arXiv 2412.06464, as Qwen3-Next and its successors build it). Hk key
 * heads of dk, Hv value heads of dv; value head j reads key head ⌊j Hk / Hv⌋:
 *
 *   q ‖ k ‖ v = silu(conv([w_q; w_k; w_v]·x))        causal, depthwise, J taps
 *   q ← q / √(Σq² + 1e-6) / √dk,  k ← k / √(Σk² + 1e-6)   each head
 *   β = beta_scale · σ(w_b·x),  α = exp(-exp(A_log) · softplus(w_a·x + dt_bias))
 *   S ← α S;  u = β (v - Sᵀk);  S ← S + k uᵀ;  o = Sᵀq     each value head
 *   out = w_o·(rms(o) ⊙ silu(w_z·x))                  rms over dv, one weight for all heads
 *
 * State: Hv·dk·dv floats, dv rounded up to 16, and the last J - 1 rows of the
 * convolution's input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_GDN_H
#define ENGINE_MIXER_GDN_H

struct gdn_spec {
    /* Matrices, without ".weight". qkv is one, the rows of q, k and v in that order, or
     * three ([1] not NULL). */
    const char *qkv[3], *z, *b, *a, *out;
    /* Likewise without it: [2·Hk·dk + Hv·dv, 1, J], or three pieces of that, wherever it
     * is cut. */
    const char *conv[3];
    const char *a_log, *dt_bias; /* [Hv] */
    const char *norm;            /* [dv], the whole name */
    int n_key_heads, n_value_heads, key_dim, value_dim, n_taps;
    double norm_eps;
    float beta_scale;
};

#endif
