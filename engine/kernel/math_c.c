/*
 * The reference set's functions of one float: exp, sigmoid, silu, softplus, gelu, and the
 * conversions of 16-bit floats. Any thread; no state. Nothing here calls libm but
 * fmaf. NaN stays NaN: in every clamp an unordered comparison keeps the argument.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"
#include "engine/kernel/poly.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* 2^n, -126 <= n <= 127. For other n (those of a NaN) an arbitrary float. */
static float power_of_two(int32_t n)
{
    return float_of((uint32_t)(n + 127) << 23);
}

/* Two factors make 2^n, so that p * 2^n rounds once where it is denormal and overflows to
 * infinity where it must. */
float math_c_exp(float x)
{
    x = x > EXP_HIGH ? EXP_HIGH : x;
    x = x < EXP_LOW ? EXP_LOW : x;
    float t = fmaf(x, EXP_LOG2E, EXP_ROUND);
    float n = t - EXP_ROUND;
    float r = fmaf(n, -EXP_LN2_HI, x);
    r = fmaf(n, -EXP_LN2_LO, r);
    float q = fmaf(EXP_Q4, r, EXP_Q3);
    q = fmaf(q, r, EXP_Q2);
    q = fmaf(q, r, EXP_Q1);
    q = fmaf(q, r, EXP_Q0);
    float p = fmaf(r * r, q, r) + 1.0f;
    int32_t i = (int32_t)(bits_of(t) - bits_of(EXP_ROUND));
    int32_t half = i >> 1;
    return p * power_of_two(half) * power_of_two(i - half);
}

float math_c_sigmoid(float x)
{
    return 1.0f / (1.0f + math_c_exp(-x));
}

float math_c_silu(float x)
{
    return x / (1.0f + math_c_exp(-x));
}

/* ln(1 + u), 0 <= u <= 1, relative to the result. Above √2 - 1 it is ln 2 + ln((1 + u) /
 * 2). */
static float log1p_unit(float u)
{
    float f = u > LOG_SPLIT ? fmaf(u, 0.5f, -0.5f) : u;
    float c = u > LOG_SPLIT ? LOG_LN2 : 0.0f;
    float s = f / (2.0f + f);
    float z = s * s;
    float g = fmaf(LOG_G2, z, LOG_G1);
    g = fmaf(g, z, LOG_G0);
    float odd = fmaf(s * z, g, s + s);
    return odd + c;
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|). */
float math_c_softplus(float x)
{
    float positive = x > 0.0f ? x : 0.0f;
    float y = positive + log1p_unit(math_c_exp(-fabsf(x)));
    return x > SOFTPLUS_LINEAR ? x : y;
}

/* x Φ(x). With q = Φ(-|x|), the small tail, it is x q on the left and x (1 - q) on the
 * right, so that nothing cancels. */
float math_c_gelu(float x)
{
    float t = fabsf(x);
    t = t > ERFC_MAX ? ERFC_MAX : t;
    float inverse = 1.0f / (t + ERFC_K);
    float w = (t - ERFC_K) * inverse;
    float r = fmaf(ERFC_R7, w, ERFC_R6);
    r = fmaf(r, w, ERFC_R5);
    r = fmaf(r, w, ERFC_R4);
    r = fmaf(r, w, ERFC_R3);
    r = fmaf(r, w, ERFC_R2);
    r = fmaf(r, w, ERFC_R1);
    r = fmaf(r, w, ERFC_R0);
    float q = math_c_exp(-0.5f * (t * t)) * (r * inverse);
    return x > 0.0f ? x * (1.0f - q) : x * q;
}

float math_c_gelu_tanh(float x)
{
    float u = x * fmaf(x * x, GELU_T3, GELU_T1);
    return x / (1.0f + math_c_exp(u));
}

float math_c_relu2(float x)
{
    float positive = 0.0f > x ? 0.0f : x;
    return positive * positive;
}

float math_c_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31;
    uint32_t exponent = (h >> 10) & 31, mantissa = h & 1023;
    if (exponent == 31) /* infinity or NaN */
        return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) { /* zero or denormal: mantissa * 2^-24, exact in f32 */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* To the nearest, ties to even; beyond the range infinity. A NaN keeps its sign and the
 * upper bits of its payload, as the conversion instructions do. */
uint16_t math_c_to_f16(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, rest = u & 0x7fffffff;
    if (rest > 0x7f800000)
        return (uint16_t)(sign | MATH_C_F16_NAN | (rest >> 13 & 1023));
    if (rest < 0x38800000) { /* below 2^-14: the half counts in steps of 2^-24 */
        uint32_t steps = bits_of(fabsf(x) + 0.5f); /* 0.5 has an ulp of 2^-24 */
        return (uint16_t)(sign | (steps - 0x3f000000));
    }
    uint32_t odd = rest >> 13 & 1;
    uint32_t h = (rest - 0x38000000 + 0xfff + odd) >> 13;
    return (uint16_t)(sign | (h < MATH_C_F16_INF ? h : MATH_C_F16_INF));
}

float math_c_from_bf16(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}
