/*
 * H3 (arXiv 2212.14052, section 3.1; heads of one channel): a shift SSM and a diagonal
 * SSM between three projections u ↦ q, k, v.
 *
 *   p_t[n] = p_{t-1}[n-1] + B[n] k_t        k'_t = Σ_n Cs[n] p_t[n] + Dk k_t      (shift)
 *   s_t[n] = Ab[n] s_{t-1}[n] + Bb[n] z_t   y_t = 2 Re Σ_n C[n] s_t[n] + D z_t    (diagonal)
 *   z = k' ⊙ v                              out = output_linear·(q ⊙ y) + bias
 *
 * each channel with its own parameters, N real states of the shift and N/2 complex modes;
 * Ab = (1 + dt·A/2)/(1 - dt·A/2), Bb = dt·B/(1 - dt·A/2), A = -exp(inv_A_real) + i·A_imag,
 * dt = exp(log_dt). Both are computed in f64 when they are bound: the shift as the filter
 * of N taps that it is, 2·C·Bb as one factor.
 *
 * State, constant: the last N-1 rows of k, and N floats a channel, channels rounded up to
 * 16. Tensor names are fixed under the binding's prefix.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_H3_H
#define ENGINE_MIXER_H3_H

struct h3_spec {
    int n_state; /* N, even */
};

#endif
