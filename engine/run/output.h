/*
 * The end of a step: rows that need logits go through the model's head, tokens are
 * sampled from them, divided over the pool, and events are emitted in the order of the
 * rows. Also requests whose whole prompt was a hit: their last row was stored.
 *
 * The subtle point: a sequence that ends leaves rows behind it in the batch, and its
 * memory may be gone: batch.seqs has NULL in its place from then on. Engine thread;
 * allocates nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_OUTPUT_H
#define ENGINE_RUN_OUTPUT_H

#include "engine/run/runner.h"

/* h: runner_forward's rows of r->batch. */
void output_run(struct runner *r, const struct ctx *c, const float *h);

/* Samples the first tokens of requests that began with all of their prompt, before the
 * batch is built; returns how many there were. */
int output_run_ready(struct runner *r);

#endif
