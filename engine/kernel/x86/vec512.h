/*
 * The vector of AVX-512: 16 lanes in one register. Included by each set that has them;
 * the bodies use these operations only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m512 vec;

INLINE __mmask16 first_lanes(size_t n) /* n <= 16 */
{
    return (__mmask16)((1u << n) - 1);
}

INLINE vec v_zero(void)
{
    return _mm512_setzero_ps();
}

INLINE vec v_set1(float x)
{
    return _mm512_set1_ps(x);
}

INLINE vec v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

INLINE vec v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

INLINE void v_store(float *p, vec x)
{
    _mm512_storeu_ps(p, x);
}

INLINE void v_store_n(float *p, vec x, size_t n)
{
    _mm512_mask_storeu_ps(p, first_lanes(n), x);
}

INLINE vec v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

INLINE vec v_load_bf16(const uint16_t *p)
{
    __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

INLINE vec v_load_i8(const int8_t *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

/* To the nearest, ties to even. */
INLINE void v_store_f16(uint16_t *p, vec x)
{
    __m256i h = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_storeu_si256((__m256i *)(void *)p, h);
}

INLINE vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

INLINE vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

INLINE vec v_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

INLINE vec v_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

INLINE vec v_fma(vec a, vec b, vec c) /* a b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}

/* x[0] b + c with x[0] as a memory operand: a separate broadcast would compete with
 * conversions for a unit. */
INLINE vec v_fma_from(const float *x, vec b, vec c)
{
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(b), "m"(*x));
    return c;
}

INLINE vec v_fnma(vec a, vec b, vec c) /* -a b + c */
{
    return _mm512_fnmadd_ps(a, b, c);
}

INLINE vec v_fms(vec a, vec b, vec c) /* a b - c */
{
    return _mm512_fmsub_ps(a, b, c);
}

INLINE vec v_min(vec a, vec b) /* a < b ? a : b */
{
    return _mm512_min_ps(a, b);
}

INLINE vec v_max(vec a, vec b) /* a > b ? a : b */
{
    return _mm512_max_ps(a, b);
}

INLINE vec v_abs(vec a)
{
    return _mm512_abs_ps(a);
}

INLINE vec v_if_greater(vec a, vec b, vec yes, vec no) /* a > b ? yes : no */
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), no, yes);
}

INLINE vec v_keep_nan(vec nan, vec x) /* x where it is NaN, else nan */
{
    return _mm512_mask_mov_ps(nan, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

INLINE bool v_any_nan(vec a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) != 0;
}

/* p * 2^n with one rounding; n an integer. t, the integer's bits, is not needed here. */
INLINE vec v_scale(vec p, vec n, vec t)
{
    (void)t;
    return _mm512_scalef_ps(p, n);
}

INLINE __m256 fold_add(vec a)
{
    return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
}

INLINE __m256 fold_max(vec a)
{
    return _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
}

#include "engine/kernel/x86/fold.h"

/* Transposes: swaps lane j of x[i] and lane i of x[j]. */
INLINE void v_transpose(vec *x)
{
    vec y[16];
    for (int i = 0; i < 16; i += 4) { /* 4 x 4 in each quarter */
        vec a = _mm512_unpacklo_ps(x[i], x[i + 1]),
            b = _mm512_unpackhi_ps(x[i], x[i + 1]);
        vec c = _mm512_unpacklo_ps(x[i + 2], x[i + 3]);
        vec d = _mm512_unpackhi_ps(x[i + 2], x[i + 3]);
        y[i] = _mm512_shuffle_ps(a, c, 0x44);
        y[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        y[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        y[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) { /* quarters */
        vec a = _mm512_shuffle_f32x4(y[i], y[i + 4], 0x88);
        vec b = _mm512_shuffle_f32x4(y[i], y[i + 4], 0xdd);
        vec c = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0x88);
        vec d = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0xdd);
        x[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        x[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        x[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        x[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

/* Folds each of four vectors to four lanes of one, as v_join and v_greatest do. */
#define FOLD_4(name, op)                                                                 \
    INLINE vec name(const vec x[4])                                                      \
    {                                                                                    \
        vec a = op(_mm512_shuffle_f32x4(x[0], x[1], 0x44),                               \
                   _mm512_shuffle_f32x4(x[0], x[1], 0xee));                              \
        vec b = op(_mm512_shuffle_f32x4(x[2], x[3], 0x44),                               \
                   _mm512_shuffle_f32x4(x[2], x[3], 0xee));                              \
        vec y = op(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));  \
        y = op(y, _mm512_permute_ps(y, 0x4e));                                           \
        return op(y, _mm512_permute_ps(y, 0xb1));                                        \
    }

FOLD_4(v_join_4, v_add)
FOLD_4(v_greatest_4, v_max)

INLINE vec v_quarter(vec x, int i) /* lane 4i everywhere; lanes 4i … 4i+3 are the same */
{
    switch (i) {
    case 0:
        return _mm512_shuffle_f32x4(x, x, 0x00);
    case 1:
        return _mm512_shuffle_f32x4(x, x, 0x55);
    case 2:
        return _mm512_shuffle_f32x4(x, x, 0xaa);
    default:
        return _mm512_shuffle_f32x4(x, x, 0xff);
    }
}

/* Stores both, rounded to the nearest even, as 32 bytes (they fit); returns their sum. */
INLINE int v_round_bytes(int8_t *to, vec low, vec high)
{
    __m128i a = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(low));
    __m128i b = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(high));
    __m256i all = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
    _mm256_storeu_si256((__m256i *)(void *)to, all);
    return sum_bytes(all);
}
