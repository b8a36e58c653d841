/*
 * Ghost leaves of the tree by age: nodes without a checkpoint in or below them, which only
 * remember that their path was stored. radix.c takes the oldest back when nodes run out.
 * Engine thread only; the list runs through the nodes and allocates nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_RADIX_GHOSTS_H
#define ENGINE_STATE_RADIX_GHOSTS_H

#include "engine/state/radix.h"

/* No effect on a node that is no ghost leaf, or is listed already. As the oldest: one
 * whose last child was taken back is as old as that was. */
void radix_ghosts_add_newest(struct radix *x, int32_t node);
void radix_ghosts_add_oldest(struct radix *x, int32_t node);

void radix_ghosts_remove(struct radix *x,
                         int32_t node); /* accepts one that is not listed */

#endif
