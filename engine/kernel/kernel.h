/*
 * The table of kernels of one instruction set, and the definition of each.
 *
 * Every set (C, AVX2, AVX-VNNI, AVX-512, AVX-512 with VNNI, NEON) computes the same bits,
 * by these rules:
 *
 *  - A sum over k is one chain of fmaf in ascending k, starting at 0, per output
 *    (linear), or 16 partial sums (element i goes to partial i mod 16, fmaf or add in
 *    ascending i) joined as s[i] += s[i+8] (i<8), s[i] += s[i+4], s[i] += s[i+2],
 *    s[0] + s[1] (reductions).
 *  - A fused multiply-add is explicit, the same in every set; compilers contract nothing.
 *  - exp, sigmoid, silu, softplus, gelu, gelu_tanh are our own polynomials (math_c.c
 *    defines them, poly.h holds their numbers), no libm but fmaf, sqrtf and rintf; no
 *    reciprocal estimates.
 *
 * Kernels allocate nothing, log nothing and access only their arguments. Pointers are
 * float-aligned unless stated; x and y may be equal only where "in place" is stated. NaN
 * and infinity propagate; no -ffast-math.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_KERNEL_H
#define ENGINE_KERNEL_KERNEL_H

#include "engine/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PANEL = 32, PAGE_TOKENS = 16, LANES = 16, ATTN_BLOCK = 64 };
enum { QUANT_GROUP = 32, QUANT_BLOCK = 32 };

/* Types of a matrix: floats, then the quantised ones. */
enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_FLOATS,
    DTYPE_Q8 = DTYPE_FLOATS,
    DTYPE_Q4,
    DTYPE_N
};

static inline bool dtype_quantised(enum dtype type)
{
    return type >= DTYPE_FLOATS;
}

/* The size of a value of a float type. */
static inline size_t dtype_bytes(enum dtype type)
{
    return type == DTYPE_F32 ? 4 : 2;
}

/* Rows of x are quantised in groups of 32 along k, the last one padded with zeros:
 * m = max |x|; scale = m / 127, q = x * (127 / m) rounded to the nearest even integer. A
 * group whose m is below 1e-30 is scale 0 and zeros; one with a NaN or an infinity is
 * scale NaN and zeros, so that it reaches the sampler's check. offset = -128 Σ q: the
 * start of a sum over weights that are stored as 128 + w.
 *
 * Quantised rows lie in blocks of 32 (the last may have fewer), a block as [group][row of
 * the block], so that a group of all its rows is one contiguous read. */
struct quant_group {
    int8_t q[QUANT_GROUP];
    float scale;
    int32_t offset;
};

/* Quantised weights. Outputs in panels of 32, inputs in groups of 32 along k, the last
 * ones padded; w = scale * q.
 *   q8 codes [panel][group][8][32][4] of uint8: byte (j, o, i) is 128 + q of output
 *      32p + o at k = 32g + 4j + i, q from -127 to 127
 *   q4 codes [panel][group][4][32][4] of uint8: byte (j, o, i) holds two codes of output
 *      32p + o: the low nibble of k = 32g + 4j + i, the high one of k = 32g + 16 + 4j +
 *      i; q = quant_levels[code]
 *   scales [panel][group][32] of f16
 * Codes and scales are 64-byte aligned. Absent outputs have scale 0; an absent k meets an
 * x of 0, so its code has no effect (it is 128, or 0 as a nibble). */
extern const int8_t quant_levels[16];

/* y[r, o] = bias[o] + Σ_k x[r, k] w[o, k] for outputs of panels [panel0, panel1); rows 1
 * … any; y row stride ldy (floats). Outputs >= n_out are not written.
 *
 * Floats: panel p holds outputs 32p … 32p+31 as [n_in][32] of the dtype, 64-byte aligned,
 * absent outputs zero. One fmaf chain over k from 0, bias added last. x row stride ldx.
 *
 * q8 and q4: codes in panels, scales beside; the quantised rows at q. y = Σ_g in
 * ascending g of one fmaf chain from 0: fmaf((float)s, w_scale * x_scale, y) with s = Σ_k
 * q_w q_x, exact in int32 in every set; bias added last. */
struct linear_args {
    const void *panels;
    const uint16_t *scales;      /* q8, q4 */
    const float *bias;           /* [n_out] or NULL */
    const float *x;              /* floats */
    const struct quant_group *q; /* q8, q4 */
    float *y;
    size_t ldx, ldy;
    int n_in, n_out, n_rows;
    int panel0, panel1;
};

/* K/V pages of 16 tokens. In page t, at pages + table[t]*page_bytes, K of one K/V head
 * lies at k_offset and its V at v_offset, both 64-byte aligned:
 *   f32  K floats [head_dim][16], the token along the lanes; V floats [16][head_dim]
 *   f16  the same in halves, rounded to the nearest, ties to even
 *   q8   K int8 [head_dim][16], then f16 scales [G][16]; V int8 [16][head_dim], then f16
 *        scales [G][16]: a scale for every token and group of 32 values, G = ceil(
 *        head_dim / 32). m = max |x| of the group; scale = m / 127 as half; q = x / scale
 *        clamped to ±127, then rounded to the nearest even integer; all 0 when the scale
 *        is 0. A group with a NaN or an infinity, or whose scale is beyond the halves, is
 *        scale NaN and zeros, so that it reaches the sampler's check.
 *
 * Storing: rows i < n_rows of k and v (stride ld floats, [head_dim]) become the tokens at
 * positions pos + i. Nothing else of a page is written. */
struct kv_args {
    char *pages;
    const int32_t *table; /* by position / 16 */
    size_t page_bytes, k_offset, v_offset;
    const float *k, *v;
    size_t ld;
    int pos, n_rows, head_dim;
};

/* Attention of the query heads that share one K/V head, for n_rows tokens of a sequence:
 * row r sees the first n_keys + r keys, of these the last `window` (0: all). A query's bits depend on no other query. Scores
 * are one fmaf chain from 0 over head_dim (q8: over the codes of each group of 32, joined
 * by one more chain from 0, s = fmaf(group's chain, scale, s)), times scale. Online
 * softmax over blocks of 64 keys at absolute positions (0–63, 64–127, …): m' = max(m,
 * block max), c = exp(m - m'), l = fmaf(l, c, reduce(p)) with p_j = exp(s_j - m') and
 * reduce the 16-partial sum over the 64 places (absent keys 0), o = o*c then o =
 * fmaf(p_j, v_j, o) in ascending j (q8: fmaf(p_j * scale, code, o)); out = o / l. A block
 * without a visible key is left out. Memory of keys that are not visible has no effect, not
 * even multiplied by 0, but pages of a block that has a visible one may be read. */
struct attn_args {
    const char *pages;
    const int32_t *table; /* [ceil((n_keys + n_rows - 1) / 16)] */
    size_t page_bytes, k_offset, v_offset;
    const float *q; /* row stride ld, [group][head_dim] */
    float *out;     /* likewise */
    size_t ld;
    float scale;
    int n_keys, n_rows, group, head_dim, window;
};

/* SSD recurrence of one head over n_rows tokens (TransXSSM; arXiv 2506.09507), in place:
 *   S[n][p] = fmaf(B[n], dt*x[p], a*S[n][p]);  y[p] = Σ_n S[n][p] C[n]
 * the sum in 4 chains of fmaf by n mod 4, joined (s0+s1)+(s2+s3). a is the decay
 * after exp. */
struct ssd_args {
    float *state;        /* [n_state][n_head], p along the lanes */
    const float *x;      /* row stride ld_x, [n_head] */
    const float *b, *c;  /* row stride ld_bc, [n_state] */
    const float *a, *dt; /* one value a row, stride ld_t */
    float *y;            /* row stride ld_y, [n_head] */
    size_t ld_x, ld_bc, ld_t, ld_y;
    int n_rows, n_head, n_state;
};

/* Gated state space, channels [0, n): h = g * fmaf(a, h, b) per row; y = h. In place on
 * h. */
struct gss_args {
    float *h;       /* [n] */
    const float *a; /* [n] */
    const float *g, *b;
    float *y;
    size_t ld_g, ld_b, ld_y;
    int n_rows, n;
};

/* Diagonal complex state space of 16 channels (DSS; arXiv 2206.13947), channels along
 * lanes:
 *
 *   re' = fmaf(e_re[n], re, fmaf(-e_im[n], im, s))
 *   im' = fmaf(e_re[n], im, e_im[n]*re)
 *   y = fmaf(d, s, Σ_n fmaf(-c_im, im', fmaf(c_re, re', acc)))
 *
 * the sum in 4 chains by n mod 4, joined (s0+s1)+(s2+s3). n_channels <= 16 lanes are
 * used; state and coefficients of absent channels are allocated and zero. */
struct dss_args {
    float *state;      /* [n_state][2][16]: re, im */
    const float *coef; /* [n_state][2][16]: c_re, c_im */
    const float *e;    /* [n_state][2]: e_re, e_im */
    const float *d;    /* [16] */
    const float *s;    /* row stride ld_s, [n_channels] */
    float *y;          /* row stride ld_y, [n_channels] */
    size_t ld_s, ld_y;
    int n_rows, n_state, n_channels;
};

/* Diagonal complex state space of 16 channels, each with modes of its own (S4D; arXiv
 * 2206.11893), channels along lanes:
 *
 *   re' = fmaf(a_re, re, fmaf(-a_im, im, x))
 *   im' = fmaf(a_re, im, a_im*re)
 *   y = fmaf(d, x, Σ_n fmaf(-c_im, im', fmaf(c_re, re', acc)))
 *
 * the sum in 4 chains by n mod 4, joined (s0+s1)+(s2+s3). n_channels <= 16 lanes are
 * used; state and coefficients of absent channels are allocated and zero. */
struct s4d_args {
    float *state;      /* [n_state][2][16]: re, im */
    const float *coef; /* [n_state][4][16]: a_re, a_im, c_re, c_im */
    const float *d;    /* [16] */
    const float *x;    /* row stride ld_x, [n_channels] */
    float *y;          /* row stride ld_y, [n_channels] */
    size_t ld_x, ld_y;
    int n_rows, n_state, n_channels;
};

/* Gated delta rule of one head over n_rows tokens (Gated DeltaNet; arXiv 2412.06464,
 * section 3.1), in place; for each value column p
 *
 *   r = Σ_i S[i][p] k[i]
 *   u = beta * fmaf(-decay, r, v[p])
 *   S[i][p] = fmaf(k[i], u, decay * S[i][p])
 *   y[p] = Σ_i S[i][p] q[i]
 *
 * each sum in 2 chains of fmaf by i mod 2, from 0, joined s0 + s1. Here decay is what the
 * paper calls α, after exp. The state lies in panels of 16 columns; what a last panel has
 * beyond n_value is neither read nor written. y may be v. */
struct gdn_args {
    float *state;              /* [ceil(n_value / 16)][n_key][16] */
    const float *q, *k;        /* row stride ld_qk, [n_key] */
    const float *v;            /* row stride ld_v, [n_value] */
    const float *decay, *beta; /* one value a row, stride ld_t */
    float *y;                  /* row stride ld_y, [n_value] */
    size_t ld_qk, ld_v, ld_t, ld_y;
    int n_rows, n_key, n_value;
};

/* Causal depthwise convolution of channels [0, n) with J taps (the short convolutions of
 * Mamba-2, arXiv 2405.21060, gated DeltaNet and LFM2; with many taps the shift of H3,
 * arXiv 2212.14052): y = bias + Σ_j w[j] x_{t-J+1+j}, one chain of fmaf from bias (or 0)
 * in ascending j, then silu if told. Rows before the first come from the state, which
 * afterwards holds the last J - 1 rows, the oldest first. In place allowed. */
struct conv_args {
    float *state;      /* [J - 1], row stride ld */
    const float *w;    /* [J], row stride ld */
    const float *bias; /* [n] or NULL */
    const float *x;    /* row stride ld_x */
    float *y;          /* row stride ld_y */
    size_t ld, ld_x, ld_y;
    int n_rows, n, n_taps;
    bool silu;
};

struct kernels {
    const char *name;
    void (*linear[DTYPE_N])(const struct linear_args *);
    /* One row of n values into ceil(n / 32) groups, `stride` groups apart. */
    void (*quantise)(const float *x, size_t n, struct quant_group *q, size_t stride);
    void (*kv_store[ENGINE_KV_N])(const struct kv_args *);
    void (*attn[ENGINE_KV_N])(const struct attn_args *);
    void (*ssd)(const struct ssd_args *);
    void (*gss)(const struct gss_args *);
    void (*dss)(const struct dss_args *);
    void (*s4d)(const struct s4d_args *);
    void (*gdn)(const struct gdn_args *);
    void (*conv)(const struct conv_args *);

    /* y = w * (x * (1 / sqrt(Σx²/n + eps))), Σ by 16 partials; in place allowed. */
    void (*rmsnorm)(const float *x, const float *w, float eps, int n, float *y);
    /* y = fmaf((x - mean) * (1 / sqrt(var + eps)), w, b); mean, then var of x - mean,
     * both by 16 partials; in place allowed. */
    void (*layernorm)(const float *x, const float *wb[2], float eps, int n, float *y);
    /* Σx², 16 partials of fmaf. */
    float (*sum_squares)(const float *x, int n);
    /* -inf for n = 0; NaN if any is NaN; a zero is +0. */
    float (*max)(const float *x, size_t n);
    /* Σ exp(x - max), 16 partials. */
    float (*sum_exp)(const float *x, float max, size_t n);

    /* Rotate-half RoPE on one head, in place: d even, cos and sin [d/2];
     * lo' = fmaf(lo, cos, -(hi*sin)), hi' = fmaf(hi, cos, lo*sin). */
    void (*rope)(float *x, const float *cos, const float *sin, int d);

    /* Elementwise, in place allowed. */
    /* y = silu(gate) * up */
    void (*silu_mul)(const float *gate, const float *up, size_t n, float *y);
    void (*gelu_tanh_mul)(const float *gate, const float *up, size_t n,
                          float *y); /* y = gelu_tanh(gate) * up */
    void (*mul)(const float *a, const float *b, size_t n, float *y);
    void (*scale)(const float *x, float s, size_t n, float *y);
    void (*add)(const float *a, const float *b, size_t n, float *y);
    void (*axpy)(float s, const float *x, size_t n, float *y); /* y = fmaf(s, x, y) */
    /* h = fmaf(r, h, z) */
    void (*residual)(const float *r, const float *z, size_t n, float *h);
    void (*exp)(const float *x, size_t n, float *y);
    void (*sigmoid)(const float *x, size_t n, float *y);
    void (*softplus)(const float *x, size_t n, float *y); /* ln(1+e^x); x above 20 */
    void (*gelu)(const float *x, size_t n, float *y);     /* exact erf form */
    void (*gelu_tanh)(const float *x, size_t n, float *y);
    void (*relu2)(const float *x, size_t n, float *y); /* max(x, 0)² */
    /* To f32, exact; x at any address. */
    void (*widen[DTYPE_FLOATS])(const void *x, size_t n, float *y);
};

extern const struct kernels kernel_c, kernel_neon, kernel_avx2, kernel_avxvnni,
    kernel_avx512, kernel_vnni;

/* Required accuracy of the polynomials, in the C set, hence in all: exp within 2 ulp over
 * the whole range (0 below -104, +inf above 88.73), others relative 4e-7 or absolute
 * 1e-7. */

#endif
