/*
 * The vector of AVX2: 16 lanes in two registers. Included by each set that has them; the
 * bodies use these operations only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel.h"
#include "engine/kernel/poly.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct {
    __m256 lo, hi;
} vec;

static const int32_t lane_mask[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                             -1, -1, -1, -1, -1, -1, -1, -1};

/* All ones in lanes [8 half, 8 half + 8) that are below n <= 16. */
INLINE __m256i first_lanes(size_t n, size_t half)
{
    const int32_t *at = lane_mask + LANES - n + 8 * half;
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

INLINE vec v_zero(void)
{
    return (vec){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

INLINE vec v_set1(float x)
{
    __m256 v = _mm256_set1_ps(x);
    return (vec){v, v};
}

INLINE vec v_load(const float *p)
{
    return (vec){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

INLINE vec v_load_n(const float *p, size_t n)
{
    return (vec){_mm256_maskload_ps(p, first_lanes(n, 0)),
                 _mm256_maskload_ps(p + 8, first_lanes(n, 1))};
}

INLINE void v_store(float *p, vec x)
{
    _mm256_storeu_ps(p, x.lo);
    _mm256_storeu_ps(p + 8, x.hi);
}

INLINE void v_store_n(float *p, vec x, size_t n)
{
    _mm256_maskstore_ps(p, first_lanes(n, 0), x.lo);
    _mm256_maskstore_ps(p + 8, first_lanes(n, 1), x.hi);
}

INLINE __m128i load_8_halves(const uint16_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE vec v_load_f16(const uint16_t *p)
{
    return (vec){_mm256_cvtph_ps(load_8_halves(p)),
                 _mm256_cvtph_ps(load_8_halves(p + 8))};
}

INLINE __m256 widen_8_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(load_8_halves(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

INLINE vec v_load_bf16(const uint16_t *p)
{
    return (vec){widen_8_bf16(p), widen_8_bf16(p + 8)};
}

INLINE __m256 widen_8_i8(const int8_t *p)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

INLINE vec v_load_i8(const int8_t *p)
{
    return (vec){widen_8_i8(p), widen_8_i8(p + 8)};
}

/* To the nearest, ties to even. */
INLINE void v_store_f16(uint16_t *p, vec x)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(x.lo, NEAREST));
    _mm_storeu_si128((__m128i *)(void *)(p + 8), _mm256_cvtps_ph(x.hi, NEAREST));
}

INLINE vec v_add(vec a, vec b)
{
    return (vec){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

INLINE vec v_sub(vec a, vec b)
{
    return (vec){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}

INLINE vec v_mul(vec a, vec b)
{
    return (vec){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}

INLINE vec v_div(vec a, vec b)
{
    return (vec){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}

INLINE vec v_fma(vec a, vec b, vec c) /* a b + c */
{
    return (vec){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

INLINE vec v_fma_from(const float *x, vec b, vec c) /* x[0] b + c */
{
    return v_fma(v_set1(*x), b, c);
}

INLINE vec v_fnma(vec a, vec b, vec c) /* -a b + c */
{
    return (vec){_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}

INLINE vec v_fms(vec a, vec b, vec c) /* a b - c */
{
    return (vec){_mm256_fmsub_ps(a.lo, b.lo, c.lo), _mm256_fmsub_ps(a.hi, b.hi, c.hi)};
}

INLINE vec v_min(vec a, vec b) /* a < b ? a : b */
{
    return (vec){_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}

INLINE vec v_max(vec a, vec b) /* a > b ? a : b */
{
    return (vec){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}

INLINE vec v_abs(vec a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (vec){_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

INLINE __m256 half_if_greater(__m256 a, __m256 b, __m256 yes, __m256 no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}

INLINE vec v_if_greater(vec a, vec b, vec yes, vec no) /* a > b ? yes : no */
{
    return (vec){half_if_greater(a.lo, b.lo, yes.lo, no.lo),
                 half_if_greater(a.hi, b.hi, yes.hi, no.hi)};
}

INLINE vec v_keep_nan(vec nan, vec x) /* x where it is NaN, else nan */
{
    return (vec){_mm256_blendv_ps(nan.lo, x.lo, _mm256_cmp_ps(x.lo, x.lo, _CMP_UNORD_Q)),
                 _mm256_blendv_ps(nan.hi, x.hi, _mm256_cmp_ps(x.hi, x.hi, _CMP_UNORD_Q))};
}

INLINE bool v_any_nan(vec a)
{
    __m256 lo = _mm256_cmp_ps(a.lo, a.lo, _CMP_UNORD_Q);
    __m256 hi = _mm256_cmp_ps(a.hi, a.hi, _CMP_UNORD_Q);
    return _mm256_movemask_ps(_mm256_or_ps(lo, hi)) != 0;
}

INLINE __m256 power_of_two(__m256i n)
{
    __m256i biased = _mm256_add_epi32(n, _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

INLINE __m256 half_scale(__m256 p, __m256 t)
{
    __m256i round = _mm256_castps_si256(_mm256_set1_ps(EXP_ROUND));
    __m256i i = _mm256_sub_epi32(_mm256_castps_si256(t), round);
    __m256i half = _mm256_srai_epi32(i, 1);
    p = _mm256_mul_ps(p, power_of_two(half));
    return _mm256_mul_ps(p, power_of_two(_mm256_sub_epi32(i, half)));
}

/* p * 2^n with one rounding, by two factors; t is EXP_ROUND with n in its low bits. */
INLINE vec v_scale(vec p, vec n, vec t)
{
    (void)n;
    return (vec){half_scale(p.lo, t.lo), half_scale(p.hi, t.hi)};
}

INLINE __m256 fold_add(vec a)
{
    return _mm256_add_ps(a.lo, a.hi);
}

INLINE __m256 fold_max(vec a)
{
    return _mm256_max_ps(a.lo, a.hi);
}

#include "engine/kernel/x86/fold.h"

/* 8 x 8 floats, the rows of one half of a vector. */
INLINE void transpose_8(__m256 *x)
{
    __m256 y[8];
    for (int i = 0; i < 8; i += 4) { /* 4 x 4 in each half */
        __m256 a = _mm256_unpacklo_ps(x[i], x[i + 1]);
        __m256 b = _mm256_unpackhi_ps(x[i], x[i + 1]);
        __m256 c = _mm256_unpacklo_ps(x[i + 2], x[i + 3]);
        __m256 d = _mm256_unpackhi_ps(x[i + 2], x[i + 3]);
        y[i] = _mm256_shuffle_ps(a, c, 0x44);
        y[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        y[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        y[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_permute2f128_ps(y[i], y[i + 4], 0x20);
        x[i + 4] = _mm256_permute2f128_ps(y[i], y[i + 4], 0x31);
    }
}

/* Transposes: swaps lane j of x[i] and lane i of x[j]. */
INLINE void v_transpose(vec *x)
{
    for (int i = 0; i < 16; i += 8) { /* upper, then lower rows: both their squares */
        __m256 left[8], right[8];
        for (int j = 0; j < 8; j++) {
            left[j] = x[i + j].lo;
            right[j] = x[i + j].hi;
        }
        transpose_8(left);
        transpose_8(right);
        for (int j = 0; j < 8; j++)
            x[i + j] = (vec){left[j], right[j]};
    }
    for (int j = 0; j < 8; j++) { /* swap the blocks off the diagonal */
        __m256 t = x[j].hi;
        x[j].hi = x[j + 8].lo;
        x[j + 8].lo = t;
    }
}

/* Folds each of four vectors to four lanes of one, as v_join and v_greatest do. */
#define FOLD_4(name, op, fold)                                                           \
    INLINE __m256 name##_2(vec x, vec y)                                                 \
    {                                                                                    \
        __m256 a = fold(x), b = fold(y);                                                 \
        a = op(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));  \
        a = op(a, _mm256_permute_ps(a, 0x4e));                                           \
        return op(a, _mm256_permute_ps(a, 0xb1));                                        \
    }                                                                                    \
    INLINE vec name(const vec x[4])                                                      \
    {                                                                                    \
        return (vec){name##_2(x[0], x[1]), name##_2(x[2], x[3])};                        \
    }

FOLD_4(v_join_4, _mm256_add_ps, fold_add)
FOLD_4(v_greatest_4, _mm256_max_ps, fold_max)

INLINE vec v_quarter(vec x, int i) /* lane 4i everywhere; lanes 4i … 4i+3 are the same */
{
    __m256 half = i < 2 ? x.lo : x.hi;
    half = i % 2 ? _mm256_permute2f128_ps(half, half, 0x11)
                 : _mm256_permute2f128_ps(half, half, 0x00);
    return (vec){half, half};
}

/* Stores both, rounded to the nearest even, as 32 bytes (they fit); returns their sum. */
INLINE int v_round_bytes(int8_t *to, vec low, vec high)
{
    __m256i a =
        _mm256_packs_epi32(_mm256_cvtps_epi32(low.lo), _mm256_cvtps_epi32(low.hi));
    __m256i b =
        _mm256_packs_epi32(_mm256_cvtps_epi32(high.lo), _mm256_cvtps_epi32(high.hi));
    __m256i all = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b),
                                              _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)to, all);
    return sum_bytes(all);
}
