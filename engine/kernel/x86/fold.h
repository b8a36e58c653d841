/*
 * Shared by the x86 sets: what their vectors do once they are folded to 8 lanes. Included
 * by a set after its fold_add and fold_max.
 */

/* The fixed tree: s[i] += s[i+8], then +4, +2, +1. */
INLINE float v_join(vec s)
{
    __m256 a = fold_add(s);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* The greatest lane; unordered lanes and the sign of a zero are the caller's affair. */
INLINE float v_greatest(vec s)
{
    __m256 a = fold_max(s);
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

INLINE void v_prefetch(const void *p)
{
    _mm_prefetch(p, _MM_HINT_T0);
}
