/*
 * Body shared by the vector sets: unrolling, and the functions of math_c.c on 16 lanes,
 * the same operations in the same order. Included once by each set, after its vector. A
 * body uses no instructions, only the operations v_* that the set defines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/poly.h"

/* Loops over registers must be unrolled, else the registers are kept in memory. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Up to 16 lanes; with n a constant 16 no mask is made. */
INLINE vec load_lanes(const float *p, size_t n)
{
    return n == LANES ? v_load(p) : v_load_n(p, n);
}

INLINE void store_lanes(float *p, vec x, size_t n)
{
    if (n == LANES)
        v_store(p, x);
    else
        v_store_n(p, x, n);
}

/* v_min and v_max return their second operand when unordered, so constants come first. */
INLINE vec v_exp(vec x)
{
    x = v_min(v_set1(EXP_HIGH), x);
    x = v_max(v_set1(EXP_LOW), x);
    vec t = v_fma(x, v_set1(EXP_LOG2E), v_set1(EXP_ROUND));
    vec n = v_sub(t, v_set1(EXP_ROUND));
    vec r = v_fma(n, v_set1(-EXP_LN2_HI), x);
    r = v_fma(n, v_set1(-EXP_LN2_LO), r);
    vec q = v_fma(v_set1(EXP_Q4), r, v_set1(EXP_Q3));
    q = v_fma(q, r, v_set1(EXP_Q2));
    q = v_fma(q, r, v_set1(EXP_Q1));
    q = v_fma(q, r, v_set1(EXP_Q0));
    vec p = v_add(v_fma(v_mul(r, r), q, r), v_set1(1.0f));
    return v_scale(p, n, t);
}

INLINE vec v_negate(vec x)
{
    return v_mul(x, v_set1(-1.0f));
}

INLINE vec v_sigmoid(vec x)
{
    vec one = v_set1(1.0f);
    return v_div(one, v_add(one, v_exp(v_negate(x))));
}

INLINE vec v_silu(vec x)
{
    return v_div(x, v_add(v_set1(1.0f), v_exp(v_negate(x))));
}

INLINE vec v_log1p_unit(vec u)
{
    vec split = v_set1(LOG_SPLIT), half = v_set1(0.5f);
    vec f = v_if_greater(u, split, v_fms(u, half, half), u);
    vec c = v_if_greater(u, split, v_set1(LOG_LN2), v_zero());
    vec s = v_div(f, v_add(v_set1(2.0f), f));
    vec z = v_mul(s, s);
    vec g = v_fma(v_set1(LOG_G2), z, v_set1(LOG_G1));
    g = v_fma(g, z, v_set1(LOG_G0));
    vec odd = v_fma(v_mul(s, z), g, v_add(s, s));
    return v_add(odd, c);
}

INLINE vec v_softplus(vec x)
{
    vec positive = v_if_greater(x, v_zero(), x, v_zero());
    vec y = v_add(positive, v_log1p_unit(v_exp(v_negate(v_abs(x)))));
    return v_if_greater(x, v_set1(SOFTPLUS_LINEAR), x, y);
}

INLINE vec v_gelu(vec x)
{
    vec t = v_min(v_set1(ERFC_MAX), v_abs(x));
    vec inverse = v_div(v_set1(1.0f), v_add(t, v_set1(ERFC_K)));
    vec w = v_mul(v_sub(t, v_set1(ERFC_K)), inverse);
    vec r = v_fma(v_set1(ERFC_R7), w, v_set1(ERFC_R6));
    r = v_fma(r, w, v_set1(ERFC_R5));
    r = v_fma(r, w, v_set1(ERFC_R4));
    r = v_fma(r, w, v_set1(ERFC_R3));
    r = v_fma(r, w, v_set1(ERFC_R2));
    r = v_fma(r, w, v_set1(ERFC_R1));
    r = v_fma(r, w, v_set1(ERFC_R0));
    vec tail = v_exp(v_mul(v_set1(-0.5f), v_mul(t, t)));
    vec q = v_mul(tail, v_mul(r, inverse));
    vec right = v_mul(x, v_sub(v_set1(1.0f), q));
    return v_if_greater(x, v_zero(), right, v_mul(x, q));
}

INLINE vec v_gelu_tanh(vec x)
{
    vec u = v_mul(x, v_fma(v_mul(x, x), v_set1(GELU_T3), v_set1(GELU_T1)));
    return v_div(x, v_add(v_set1(1.0f), v_exp(u)));
}

INLINE vec v_relu2(vec x)
{
    vec positive = v_max(v_zero(), x);
    return v_mul(positive, positive);
}
