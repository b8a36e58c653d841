/*
 * The reference set's functions, by file. Scalar, written to be read; what they compute
 * is what every other set must compute, bit for bit. Contracts are in kernel.h.
 */
#ifndef ENGINE_KERNEL_KERNEL_C_H
#define ENGINE_KERNEL_KERNEL_C_H

#include "engine/kernel/kernel.h"

/* math_c.c: our own functions of one float, and the exact widenings. */
float math_c_exp(float x);
float math_c_sigmoid(float x);
float math_c_silu(float x);
float math_c_softplus(float x);
float math_c_gelu(float x);
float math_c_gelu_tanh(float x);
float math_c_from_f16(uint16_t h);
float math_c_from_bf16(uint16_t h);

/* linear_c.c */
void linear_c_f32(const struct linear_args *a);
void linear_c_f16(const struct linear_args *a);
void linear_c_bf16(const struct linear_args *a);

/* quant_c.c */
void quant_c_row(const float *x, size_t n, struct quant_group *q);
void quant_c_linear_q8(const struct linear_args *a);
void quant_c_linear_q4(const struct linear_args *a);

/* mix_c.c: what mixes tokens. */
void mix_c_attn(const struct attn_args *a);
void mix_c_ssd(const struct ssd_args *a);
void mix_c_gss(const struct gss_args *a);
void mix_c_dss(const struct dss_args *a);

/* row_c.c: norms, reductions, rotary embedding. */
float row_c_join(const float s[LANES]); /* the fixed tree over 16 partial sums */
void row_c_rmsnorm(const float *x, const float *w, float eps, int n, float *y);
void row_c_layernorm(const float *x, const float *wb[2], float eps, int n, float *y);
float row_c_sum_squares(const float *x, int n);
float row_c_max(const float *x, size_t n);
float row_c_sum_exp(const float *x, float max, size_t n);
void row_c_rope(float *x, const float *cos, const float *sin, int d);

#endif
