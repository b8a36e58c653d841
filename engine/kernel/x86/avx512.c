/*
 * The AVX-512 kernel set: the bodies it includes, shared with the other sets, over the
 * vectors of vec512.h. Any thread; no state. Built with the flags the Makefile gives this
 * file alone, and entered only where cpu.c found the extensions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/x86/dot.h"
#include "engine/kernel/x86/vec512.h"

#include "engine/kernel/x86/codes512.h"

#define SET_NAME    "avx512"
#define SET_TABLE   kernel_avx512
#define DOT_NAME    "vnni"
#define DOT_TABLE   kernel_vnni
#define DOT_Q8      vnni_linear_q8
#define DOT_Q4      vnni_linear_q4
#define LINEAR_EACH UP_TO_14      /* numbers of rows, 1 to LINEAR_ROWS */
#define QUANT_EACH  QUANT_UP_TO_4 /* likewise, to QUANT_ROWS */

/* Register tiles, of 32 registers. */
enum {
    LINEAR_ROWS = 14, /* rows x 2 halves of a panel: 28 sums, 2 weights, 1 broadcast */
    LINEAR_WIDE = 14, /* rows up to which both halves of a panel run together */
    ATTN_PAGES = 4,   /* pages of keys x 4 query heads */
    ATTN_VECS = 4,    /* vectors of head_dim x 4 query heads */
    SSD_VECS = 4,     /* vectors of the head x 4 chains over the state */
    GDN_VECS = 2,     /* vectors of the head x 2 chains x 2 sums over the state */
    QUANT_ROWS = 4,   /* rows x 2 halves of a panel: 8 sums hide the latency */
    QUANT_WIDE = 4    /* rows up to which both halves of a panel run together */
};

/* Bytes of quantised rows and weights. Weights are signed here, and vpmaddubsw takes
 * one side unsigned: the magnitude of a negative weight is multiplied by the row's value
 * negated. Two products of at most 128 * 127 do not saturate 16 bits. */
typedef __m512i ivec, vquad;

typedef struct {
    __m512i magnitude;
    __mmask64 negative;
} vcodes;

INLINE vcodes from_signed(__m512i w)
{
    return (vcodes){_mm512_abs_epi8(w), _mm512_movepi8_mask(w)};
}

INLINE vcodes v_codes(const uint8_t *p)
{
    return from_signed(_mm512_xor_si512(_mm512_load_si512(p), _mm512_set1_epi8(-128)));
}

INLINE void v_codes_q4(const uint8_t *p, vcodes *low, vcodes *high)
{
    __m512i table = level_table(), both = _mm512_load_si512(p);
    *low = from_signed(low_levels(table, both));
    *high = from_signed(high_levels(table, both));
}

INLINE ivec v_begin(int32_t offset)
{
    (void)offset;
    return _mm512_setzero_si512();
}

INLINE ivec v_dot(ivec s, vcodes w, vquad x)
{
    __m512i y = _mm512_mask_sub_epi8(x, w.negative, _mm512_setzero_si512(), x);
    __m512i pairs = _mm512_maddubs_epi16(w.magnitude, y);
    return _mm512_add_epi32(s, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "engine/kernel/body/table.h"
