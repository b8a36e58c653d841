/*
 * Shared by the x86 sets: operations on vectors folded to 8 lanes. Included
 * by a set after its fold_add and fold_max.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* The fixed tree: s[i] += s[i+8], then +4, +2, +1. */
INLINE float v_join(vec s)
{
    __m256 a = fold_add(s);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* The greatest lane; the caller handles unordered lanes and the sign of a zero. */
INLINE float v_greatest(vec s)
{
    __m256 a = fold_max(s);
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

/* Of 32 signed bytes: the unsigned ones are summed by eights. */
INLINE int sum_bytes(__m256i x)
{
    __m256i plus_128 = _mm256_xor_si256(x, _mm256_set1_epi8(-128));
    __m256i sums = _mm256_sad_epu8(plus_128, _mm256_setzero_si256());
    __m128i two =
        _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_unpackhi_epi64(two, two))) - 32 * 128;
}

INLINE void v_prefetch(const void *p)
{
    _mm_prefetch(p, _MM_HINT_T0);
}

INLINE void v_prefetch_far(const void *p) /* into the L2 cache */
{
    _mm_prefetch(p, _MM_HINT_T1);
}
