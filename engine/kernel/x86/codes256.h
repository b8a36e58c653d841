/*
 * Bytes of quantised rows and weights in AVX2's registers, 64 of a panel's half in two.
 * Included after vec256.h by the sets that multiply them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

struct pair {
    __m256i lo, hi;
};

typedef __m256i vquad;

INLINE struct pair load_pair(const uint8_t *p)
{
    const __m256i *at = (const __m256i *)(const void *)p;
    return (struct pair){_mm256_load_si256(at), _mm256_load_si256(at + 1)};
}

/* quant_levels in both halves. */
INLINE __m256i level_table(void)
{
    const void *levels = quant_levels;
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(levels));
}

/* The table's values for the low and the high nibbles of 64 bytes. */
INLINE void look_up(const uint8_t *p, __m256i table, struct pair *low, struct pair *high)
{
    struct pair both = load_pair(p);
    __m256i nibble = _mm256_set1_epi8(15);
    *low = (struct pair){_mm256_shuffle_epi8(table, _mm256_and_si256(both.lo, nibble)),
                         _mm256_shuffle_epi8(table, _mm256_and_si256(both.hi, nibble))};
    both.lo = _mm256_and_si256(_mm256_srli_epi16(both.lo, 4), nibble);
    both.hi = _mm256_and_si256(_mm256_srli_epi16(both.hi, 4), nibble);
    *high = (struct pair){_mm256_shuffle_epi8(table, both.lo),
                          _mm256_shuffle_epi8(table, both.hi)};
}

INLINE vquad v_quad(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

INLINE vec v_float(struct pair s)
{
    return (vec){_mm256_cvtepi32_ps(s.lo), _mm256_cvtepi32_ps(s.hi)};
}
