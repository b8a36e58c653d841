/*
 * The AVX2 kernel set: the bodies it includes, shared with the other sets, over the
 * vectors of vec256.h. Any thread; no state. Built with the flags the Makefile gives this
 * file alone, and entered only where cpu.c found the extensions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/x86/dot.h"
#include "engine/kernel/x86/vec256.h"

#include "engine/kernel/x86/codes256.h"

#define SET_NAME    "avx2"
#define SET_TABLE   kernel_avx2
#define DOT_NAME    "avxvnni"
#define DOT_TABLE   kernel_avxvnni
#define DOT_Q8      avxvnni_linear_q8
#define DOT_Q4      avxvnni_linear_q4
#define LINEAR_EACH UP_TO_6       /* numbers of rows, 1 to LINEAR_ROWS */
#define QUANT_EACH  QUANT_UP_TO_4 /* likewise, to QUANT_ROWS */

/* Register tiles, of 16 registers of half a vector. */
enum {
    LINEAR_ROWS = 6, /* rows x one half of a panel: 12 sums, 2 weights, 1 broadcast */
    LINEAR_WIDE = 3, /* rows up to which both halves of a panel run together */
    ATTN_PAGES = 1,  /* pages of keys x 4 query heads */
    ATTN_VECS = 1,   /* vectors of head_dim x 4 query heads */
    SSD_VECS = 1,    /* vectors of the head x 4 chains over the state */
    GDN_VECS = 1,    /* vectors of the head x 2 chains x 2 sums over the state */
    QUANT_ROWS = 4,  /* rows x one half of a panel: 8 sums of integers, 4 weights */
    QUANT_WIDE = 1   /* rows up to which both halves of a panel run together */
};

/* Bytes of quantised rows and weights. Weights are signed here, and vpmaddubsw takes
 * one side unsigned: the magnitude of a negative weight is multiplied by the row's value
 * negated. Two products of at most 128 * 127 do not saturate 16 bits. */
typedef struct pair ivec;

typedef struct {
    struct pair w, magnitude;
} vcodes;

INLINE vcodes from_signed(struct pair w)
{
    return (vcodes){w, {_mm256_abs_epi8(w.lo), _mm256_abs_epi8(w.hi)}};
}

INLINE vcodes v_codes(const uint8_t *p)
{
    struct pair w = load_pair(p);
    __m256i sign = _mm256_set1_epi8(-128);
    w.lo = _mm256_xor_si256(w.lo, sign);
    w.hi = _mm256_xor_si256(w.hi, sign);
    return from_signed(w);
}

INLINE void v_codes_q4(const uint8_t *p, vcodes *low, vcodes *high)
{
    struct pair l, h;
    look_up(p, level_table(), &l, &h);
    *low = from_signed(l);
    *high = from_signed(h);
}

INLINE ivec v_begin(int32_t offset)
{
    (void)offset;
    return (ivec){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

INLINE __m256i dot_half(__m256i s, __m256i w, __m256i magnitude, __m256i x)
{
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

INLINE ivec v_dot(ivec s, vcodes w, vquad x)
{
    return (ivec){dot_half(s.lo, w.w.lo, w.magnitude.lo, x),
                  dot_half(s.hi, w.w.hi, w.magnitude.hi, x)};
}

#include "engine/kernel/body/table.h"
