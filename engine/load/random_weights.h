/*
 * Weights without a file: random values in the shapes that are asked for.
 *
 * A tensor comes into being when it is taken, as f32; weights_find sees only those that
 * were taken. Values are those of a model before its training: a matrix is uniform with
 * variance 1/n_in, vectors are 1, and the few whose name says otherwise lie in the range
 * they work in, so that logits stay finite at any depth. The same seed gives the same
 * weights on every machine.
 *
 * Memory for a second model is not needed: matrices are windows into one random block for
 * each width, as large as the largest of them. weights_release_pages frees the blocks, so
 * nothing is kept. Opening thread.
 */
#ifndef ENGINE_LOAD_RANDOM_WEIGHTS_H
#define ENGINE_LOAD_RANDOM_WEIGHTS_H

#include "engine/load/weights.h"

/* Fills *w; weights_close ends it. ERR_MEMORY; nothing is kept then. */
int random_weights_open(struct weights *w, struct err *err);

#endif
