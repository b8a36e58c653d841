/*
 * The reference kernel set: its table, and the elementwise kernels. Any thread; no state.
 * It is not built for speed: it defines what a kernel computes, runs where no other set
 * does, and is the reference of the tests. Other files of the set: math_c.c, linear_c.c,
 * quant_c.c, attn_c.c, conv_c.c, mix_c.c, gdn_c.c and row_c.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>
#include <string.h>

static void silu_mul(const float *gate, const float *up, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = math_c_silu(gate[i]) * up[i];
}

static void gelu_tanh_mul(const float *gate, const float *up, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = math_c_gelu_tanh(gate[i]) * up[i];
}

static void mul(const float *a, const float *b, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

static void scale(const float *x, float s, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * s;
}

static void add(const float *a, const float *b, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void axpy(float s, const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf(s, x[i], y[i]);
}

static void residual(const float *r, const float *z, size_t n, float *h)
{
    for (size_t i = 0; i < n; i++)
        h[i] = fmaf(r[i], h[i], z[i]);
}

static void map(float (*f)(float), const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = f(x[i]);
}

static void exp_all(const float *x, size_t n, float *y)
{
    map(math_c_exp, x, n, y);
}

static void sigmoid(const float *x, size_t n, float *y)
{
    map(math_c_sigmoid, x, n, y);
}

static void softplus(const float *x, size_t n, float *y)
{
    map(math_c_softplus, x, n, y);
}

static void gelu(const float *x, size_t n, float *y)
{
    map(math_c_gelu, x, n, y);
}

static void gelu_tanh(const float *x, size_t n, float *y)
{
    map(math_c_gelu_tanh, x, n, y);
}

static void relu2(const float *x, size_t n, float *y)
{
    map(math_c_relu2, x, n, y);
}

static void widen_f32(const void *x, size_t n, float *y)
{
    memmove(y, x, n * sizeof *y);
}

/* memcpy: x may lie at any address. */
static uint16_t half_at(const void *x, size_t i)
{
    uint16_t h;
    memcpy(&h, (const char *)x + 2 * i, sizeof h);
    return h;
}

static void widen_f16(const void *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = math_c_from_f16(half_at(x, i));
}

static void widen_bf16(const void *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = math_c_from_bf16(half_at(x, i));
}

const struct kernels kernel_c = {
    .name = "c",
    .linear = {linear_c_f32, linear_c_f16, linear_c_bf16, quant_c_linear_q8,
               quant_c_linear_q4},
    .quantise = quant_c_row,
    .kv_store = {attn_c_store_f32, attn_c_store_f16, attn_c_store_q8},
    .attn = {attn_c_f32, attn_c_f16, attn_c_q8},
    .ssd = mix_c_ssd,
    .gss = mix_c_gss,
    .dss = mix_c_dss,
    .s4d = mix_c_s4d,
    .conv = conv_c,
    .gdn = gdn_c,
    .rmsnorm = row_c_rmsnorm,
    .layernorm = row_c_layernorm,
    .sum_squares = row_c_sum_squares,
    .max = row_c_max,
    .sum_exp = row_c_sum_exp,
    .rope = row_c_rope,
    .silu_mul = silu_mul,
    .gelu_tanh_mul = gelu_tanh_mul,
    .mul = mul,
    .scale = scale,
    .add = add,
    .axpy = axpy,
    .residual = residual,
    .exp = exp_all,
    .sigmoid = sigmoid,
    .softplus = softplus,
    .gelu = gelu,
    .gelu_tanh = gelu_tanh,
    .relu2 = relu2,
    .widen = {widen_f32, widen_f16, widen_bf16},
};
