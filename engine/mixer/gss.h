/*
 * Gated state spaces of PHA (arXiv 2606.16093) in two kinds.
 *
 * "gated" (its equation 2, diagonal A; mixer_gss). State: S floats.
 *
 *   g        = σ(w_g·n + b_g)
 *   a        = exp(-exp(a_log))
 *   h_t      = g ⊙ (a ⊙ h_{t-1} + w_b·n)
 *   out      = w_o·(silu(w_f·n) ⊙ h_t)
 *
 * "dss" (arXiv 2206.13947, diagonal complex; mixer_dss). State: 2·N·C floats, C rounded
 * up to 16.
 *
 *   v        = gelu(w_v·n)                                      [F]
 *   s        = LayerNorm(gelu(w_u·n))                           [C]
 *   q_t[c,n] = exp(Λ_n) q_{t-1}[c,n] + s_t[c]
 *   y_t[c]   = Re Σ_n Ct[c,n] q_t[c,n] + d[c] s_t[c]
 *   out      = w_o·((w_c·y) ⊙ v)
 *
 * Tensor names are fixed under the binding's prefix; the specs give sizes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_GSS_H
#define ENGINE_MIXER_GSS_H

struct gss_spec {
    int n_state; /* S */
};

struct dss_spec {
    int n_gate, n_channels, n_state; /* F, C, N */
};

#endif
