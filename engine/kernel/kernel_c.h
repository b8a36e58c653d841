/*
 * The reference set's functions, by file. Scalar, written to be read; every other set
 * computes the same bits. Contracts are in kernel.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_KERNEL_C_H
#define ENGINE_KERNEL_KERNEL_C_H

#include "engine/kernel/kernel.h"

/* math_c.c: our own functions of one float, and conversions. */
float math_c_exp(float x);
float math_c_sigmoid(float x);
float math_c_silu(float x);
float math_c_softplus(float x);
float math_c_gelu(float x);
float math_c_gelu_tanh(float x);
float math_c_relu2(float x);
float math_c_from_f16(uint16_t h);
float math_c_from_bf16(uint16_t h);
uint16_t math_c_to_f16(float x); /* to the nearest, ties to even */
enum { MATH_C_F16_INF = 0x7c00, MATH_C_F16_NAN = 0x7e00 };

/* linear_c.c */
void linear_c_f32(const struct linear_args *a);
void linear_c_f16(const struct linear_args *a);
void linear_c_bf16(const struct linear_args *a);

/* quant_c.c */
void quant_c_row(const float *x, size_t n, struct quant_group *q, size_t stride);
void quant_c_linear_q8(const struct linear_args *a);
void quant_c_linear_q4(const struct linear_args *a);

/* attn_c.c */
void attn_c_f32(const struct attn_args *a);
void attn_c_f16(const struct attn_args *a);
void attn_c_q8(const struct attn_args *a);
void attn_c_store_f32(const struct kv_args *a);
void attn_c_store_f16(const struct kv_args *a);
void attn_c_store_q8(const struct kv_args *a);

/* mix_c.c: recurrences. */
void mix_c_ssd(const struct ssd_args *a);
void mix_c_gss(const struct gss_args *a);
void mix_c_dss(const struct dss_args *a);
void mix_c_s4d(const struct s4d_args *a);

/* gdn_c.c: the gated delta rule. */
void gdn_c(const struct gdn_args *a);

/* conv_c.c */
void conv_c(const struct conv_args *a);

/* row_c.c: norms, reductions, rotary embedding. */
float row_c_join(const float s[LANES]); /* the fixed tree over 16 partial sums */
void row_c_rmsnorm(const float *x, const float *w, float eps, int n, float *y);
void row_c_layernorm(const float *x, const float *wb[2], float eps, int n, float *y);
float row_c_sum_squares(const float *x, int n);
float row_c_max(const float *x, size_t n);
float row_c_sum_exp(const float *x, float max, size_t n);
void row_c_rope(float *x, const float *cos, const float *sin, int d);

#endif
