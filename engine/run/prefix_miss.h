/*
 * Why a prompt's tokens are recomputed although something like them had been stored.
 * Counts only; decides nothing. Engine thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_PREFIX_MISS_H
#define ENGINE_RUN_PREFIX_MISS_H

#include "engine/run/request.h"

/* Adds the tokens of the admitted request, which begins after its first n_cached, to
 * missed[ENGINE_MISS_N]. vocab may be NULL: texts are not compared then. */
void prefix_miss_count(const struct prefix *p, const struct vocab *vocab,
                       const struct request *r, const struct prefix_match *m,
                       uint64_t *missed);

#endif
