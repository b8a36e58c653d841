/*
 * A sequence that begins in the middle: at a depth, with a state and pages that were
 * filled instead of computed, so that a step at that depth can be measured without
 * reading all that comes before. For measuring only. Engine thread; the filling is
 * divided over the pool and allocates nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_SYNTHETIC_H
#define ENGINE_RUN_SYNTHETIC_H

#include "engine/run/runner.h"

/* Gives the just admitted request the state after its n_synthetic first tokens. The same
 * request gets the same values. */
void synthetic_start(struct runner *r, struct request *q);

#endif
