/*
 * Bytes of quantised rows and weights in AVX-512's registers, 64 of a panel's half in
 * one. Included after vec512.h by the sets that multiply them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* quant_levels in all four quarters. */
INLINE __m512i level_table(void)
{
    const void *levels = quant_levels;
    return _mm512_broadcast_i32x4(_mm_loadu_si128(levels));
}

/* The table's values for the low, and for the high nibbles. */
INLINE __m512i low_levels(__m512i table, __m512i both)
{
    return _mm512_shuffle_epi8(table, _mm512_and_si512(both, _mm512_set1_epi8(15)));
}

INLINE __m512i high_levels(__m512i table, __m512i both)
{
    return low_levels(table, _mm512_srli_epi16(both, 4));
}

INLINE __m512i v_quad(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE vec v_float(__m512i s)
{
    return _mm512_cvtepi32_ps(s);
}
