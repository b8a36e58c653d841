/*
 * The AVX2 kernel set: the bodies it includes, shared with the other sets, over the
 * vectors of vec256.h. Any thread; no state. Built with the flags the Makefile gives this
 * file alone, and entered only where cpu.c found the extensions.
 */
#include "engine/kernel/x86/vec256.h"

#define SET_NAME    "avx2"
#define SET_TABLE   kernel_avx2
#define LINEAR_EACH UP_TO_6 /* numbers of rows, 1 to LINEAR_ROWS */

/* Register tiles, of 16 registers of half a vector. */
enum {
    LINEAR_ROWS = 6, /* rows x one half of a panel: 12 sums, 2 weights, 1 broadcast */
    LINEAR_WIDE = 3, /* rows up to which both halves of a panel run together */
    ATTN_PAGES = 1,  /* pages of keys x 4 query heads */
    ATTN_VECS = 1,   /* vectors of head_dim x 4 query heads */
    SSD_VECS = 1     /* vectors of the head x 4 chains over the state */
};

#include "engine/kernel/body/table.h"
