/*
 * Quantised products by AVX-512's dot product of bytes (vpdpbusd): unsigned weights,
 * signed rows, exact in 32 bits. The rest of the set "vnni" is that of avx512.c, which
 * holds its table. Any thread; no state. Built with the flags the Makefile gives this
 * file alone, and entered only where cpu.c found the extensions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/x86/dot.h"
#include "engine/kernel/x86/vec512.h"

#include "engine/kernel/x86/codes512.h"

#define QUANT_EACH QUANT_UP_TO_4 /* numbers of rows, 1 to QUANT_ROWS */

enum {
    QUANT_ROWS = 4, /* rows x 2 halves of a panel: 8 sums hide the latency */
    QUANT_WIDE = 4  /* rows up to which both halves of a panel run together */
};

typedef __m512i ivec, vcodes, vquad;

INLINE vcodes v_codes(const uint8_t *p)
{
    return _mm512_load_si512(p);
}

/* 128 + the level of each code. */
INLINE void v_codes_q4(const uint8_t *p, vcodes *low, vcodes *high)
{
    __m512i table = _mm512_xor_si512(level_table(), _mm512_set1_epi8(-128));
    __m512i both = _mm512_load_si512(p);
    *low = low_levels(table, both);
    *high = high_levels(table, both);
}

INLINE ivec v_begin(int32_t offset)
{
    return _mm512_set1_epi32(offset);
}

INLINE ivec v_dot(ivec s, vcodes w, vquad x)
{
    return _mm512_dpbusd_epi32(s, w, x);
}

#include "engine/kernel/body/math.h"

#include "engine/kernel/body/quant.h"

void vnni_linear_q8(const struct linear_args *a)
{
    linear_q8(a);
}

void vnni_linear_q4(const struct linear_args *a)
{
    linear_q4(a);
}
