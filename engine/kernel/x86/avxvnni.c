/*
 * Quantised products by AVX's dot product of bytes (vpdpbusd): unsigned weights, signed
 * rows, exact in 32 bits. The rest of the set "avxvnni" is that of avx2.c, which holds
 * its table. Any thread; no state. Built with the flags the Makefile gives this file
 * alone, and entered only where cpu.c found the extensions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/x86/dot.h"
#include "engine/kernel/x86/vec256.h"

#include "engine/kernel/x86/codes256.h"

#define QUANT_EACH QUANT_UP_TO_4 /* numbers of rows, 1 to QUANT_ROWS */

enum {
    QUANT_ROWS = 4, /* rows x one half of a panel: 8 sums of integers, 4 weights */
    QUANT_WIDE = 1  /* rows up to which both halves of a panel run together */
};

typedef struct pair ivec, vcodes;

INLINE vcodes v_codes(const uint8_t *p)
{
    return load_pair(p);
}

/* 128 + the level of each code. */
INLINE void v_codes_q4(const uint8_t *p, vcodes *low, vcodes *high)
{
    __m256i table = _mm256_xor_si256(level_table(), _mm256_set1_epi8(-128));
    look_up(p, table, low, high);
}

INLINE ivec v_begin(int32_t offset)
{
    __m256i v = _mm256_set1_epi32(offset);
    return (ivec){v, v};
}

INLINE ivec v_dot(ivec s, vcodes w, vquad x)
{
    return (ivec){_mm256_dpbusd_avx_epi32(s.lo, w.lo, x),
                  _mm256_dpbusd_avx_epi32(s.hi, w.hi, x)};
}

#include "engine/kernel/body/math.h"

#include "engine/kernel/body/quant.h"

void avxvnni_linear_q8(const struct linear_args *a)
{
    linear_q8(a);
}

void avxvnni_linear_q4(const struct linear_args *a)
{
    linear_q4(a);
}
