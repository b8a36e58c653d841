/*
 * What this machine can do at the most, as work to be timed: reading memory, fused
 * multiply-adds of floats, multiply-adds of bytes. The same threads, the same huge pages
 * and the widest registers that this processor has, whichever kernel set was chosen; no
 * clock here. Engine thread; a piece of work is divided over the pool.
 */
#ifndef ENGINE_KERNEL_PEAK_H
#define ENGINE_KERNEL_PEAK_H

#include "engine/base/err.h"
#include "engine/kernel/pool.h"

enum limit_kind {
    LIMIT_READ, /* bytes of a buffer larger than the caches, each read once */
    LIMIT_F32,  /* operations, a fused multiply-add being two */
    LIMIT_INT8  /* the same, products of bytes summed exactly in int32 */
};

struct peak {     /* zeroed = not open */
    char *buffer; /* owns */
};

int peak_open(struct peak *l, struct err *err); /* ERR_MEMORY; again: does nothing */
void peak_close(struct peak *l);                /* accepts a zeroed struct */

/* Does a piece of some ten milliseconds; returns its bytes or operations, 0 where the
 * processor has no instructions for it. Operations are counted by what came out. */
double peak_run(const struct peak *l, struct pool *p, enum limit_kind kind);

#endif
