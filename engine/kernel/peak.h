/*
 * The machine's peak rates, as work for a caller to time: reading memory, fused
 * multiply-adds of floats, multiply-adds of bytes. It runs on the engine's threads, with
 * huge pages and the widest registers of the processor, whichever kernel set was chosen.
 * Reads no clock. Engine thread; a piece of work is divided over the pool.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_PEAK_H
#define ENGINE_KERNEL_PEAK_H

#include "engine/base/err.h"
#include "engine/kernel/pool.h"
#include "engine/types.h"

struct peak {     /* zeroed = not open */
    char *buffer; /* owns */
};

int peak_open(struct peak *peak, struct err *err); /* ERR_MEMORY; no effect when open */
void peak_close(struct peak *peak);                /* accepts a zeroed struct */

/* Runs a piece of some ten milliseconds; returns its bytes or operations, 0 where the
 * processor has no instructions for it. Operations are counted from the results. */
double peak_run(const struct peak *peak, struct pool *p, enum engine_peak kind);

#endif
