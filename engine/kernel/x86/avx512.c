/*
 * The AVX-512 kernel set: the bodies it includes, shared with the other sets, over the
 * vectors of vec512.h. Any thread; no state. Built with the flags the Makefile gives this
 * file alone, and entered only where cpu.c found the extensions.
 */
#include "engine/kernel/x86/vec512.h"

#define SET_NAME    "avx512"
#define SET_TABLE   kernel_avx512
#define LINEAR_EACH UP_TO_14 /* numbers of rows, 1 to LINEAR_ROWS */

/* Register tiles, of 32 registers. */
enum {
    LINEAR_ROWS = 14, /* rows x 2 halves of a panel: 28 sums, 2 weights, 1 broadcast */
    LINEAR_WIDE = 14, /* rows up to which both halves of a panel run together */
    ATTN_PAGES = 4,   /* pages of keys x 4 query heads */
    ATTN_VECS = 4,    /* vectors of head_dim x 4 query heads */
    SSD_VECS = 4      /* vectors of the head x 4 chains over the state */
};

#include "engine/kernel/body/table.h"
