/*
 * The coefficients of our polynomials, shared by every kernel set; math_c.c defines the
 * functions. Minimax fits (Remez), rounded to float; stated errors are before rounding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_POLY_H
#define ENGINE_KERNEL_POLY_H

/* e^x = 2^n e^r, n = x / ln 2 to the nearest, r = x - n ln 2 in two steps.
 * e^r = 1 + (r + r² q(r)), |r| <= ln 2 / 2, relative error 3e-9. */
#define EXP_HIGH   89.0f   /* above: +inf anyway */
#define EXP_LOW    -105.0f /* below: 0 anyway */
#define EXP_LOG2E  0x1.715476p+0f
#define EXP_LN2_HI 0x1.62e400p-1f /* 15 bits: n * EXP_LN2_HI is exact */
#define EXP_LN2_LO 0x1.7f7d1cp-20f
#define EXP_ROUND  0x1.8p+23f /* adding it rounds to an integer, kept in the low bits */
#define EXP_Q0     0.49999994f
#define EXP_Q1     0.166665211f
#define EXP_Q2     0.041668389f
#define EXP_Q3     0.008368738f
#define EXP_Q4     0.00138145778f

/* ln(1 + f) = 2 atanh(s) = 2s + s³ g(s²), s = f / (2 + f), |s| <= 0.172, error 8e-10. */
#define LOG_SPLIT 0.41421356f /* above √2 - 1 the argument 1 + u is halved */
#define LOG_LN2   0.693147182f
#define LOG_G0    0.666667759f
#define LOG_G1    0.399773151f
#define LOG_G2    0.298783869f

#define SOFTPLUS_LINEAR 20.0f /* above it ln(1 + e^x) is x */

/* erfc(t/√2)/2 = e^(-t²/2) R(w) / (t + 4), w = (t - 4) / (t + 4), 0 <= t <= 16; error
 * 5e-9 where it matters (the form of Shepherd and Laframboise, Math. Comp. 36, 1981). */
#define ERFC_MAX 16.0f
#define ERFC_K   4.0f
#define ERFC_R0  0.755289137f
#define ERFC_R1  -0.607845426f
#define ERFC_R2  0.387357563f
#define ERFC_R3  -0.186243489f
#define ERFC_R4  0.0597483255f
#define ERFC_R5  -0.010175637f
#define ERFC_R6  -0.00699159456f
#define ERFC_R7  -0.000332007534f

/* gelu_tanh(x) = x / (1 + e^(-2u)), -2u = x (T1 + T3 x²) = -2 √(2/π) (x + 0.044715 x³) */
#define GELU_T1 -1.59576917f
#define GELU_T3 -0.0713548139f

#endif
