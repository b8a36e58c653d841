/*
 * Weights without a file: random values in the shapes that are taken.
 *
 * A tensor is made, as f32, when it is taken; weights_find finds taken tensors only.
 * Values are those of a model before its training: a matrix is uniform with variance
 * 1/n_in, vectors are 1, and a few names have a range of their own, so that logits stay
 * finite at any depth. The same seed gives the same weights on every machine.
 *
 * Memory for a second model is not needed: matrices are windows into one random block for
 * each width, as large as the largest of them. weights_release_pages frees the blocks, so
 * nothing is kept. Where only sizes are wanted, matrices are zeros that take no memory.
 * Opening thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_RANDOM_WEIGHTS_H
#define ENGINE_LOAD_RANDOM_WEIGHTS_H

#include "engine/load/weights.h"

/* Fills *w; weights_close ends it. ERR_MEMORY; nothing is kept then. */
int random_weights_open(struct weights *w, struct err *err);

/* The same with zeros for whatever is no vector: a shape of any size opens at once. */
int random_weights_open_sizes(struct weights *w, struct err *err);

#endif
