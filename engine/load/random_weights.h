/*
 * Random weights of a given shape: the source behind struct weights when there is no
 * file.
 *
 * Every tensor that is asked for is there, in the shape asked for, as f32; those that the
 * caller only looks for (weights_find) are not. Values are those of a model before its
 * training: a matrix is uniform with variance 1/n_in, vectors are 1, and the few whose
 * name says otherwise lie in the range they work in, so that logits stay finite at any
 * depth. The same seed gives the same weights on every machine.
 *
 * The model is not held a second time: matrices are windows into one random block for
 * each width, as large as the largest of them; random_weights_release_pages frees the
 * blocks. Opening thread.
 */
#ifndef ENGINE_LOAD_RANDOM_WEIGHTS_H
#define ENGINE_LOAD_RANDOM_WEIGHTS_H

#include "engine/load/weights.h"

struct random_weights;

/* Makes *w such a source; weights_close ends it. ERR_MEMORY. */
int random_weights_open(struct weights *w, struct err *err);
void random_weights_close(struct random_weights *s); /* accepts NULL */

/* As weights_take. The data stay until random_weights_release_pages. ERR_MEMORY. */
int random_weights_take(struct weights *w, const char *name, int n_dims,
                        const int64_t *shape, const struct tensor **out, struct err *err);

/* Frees the blocks: everything has been packed by then. */
void random_weights_release_pages(struct random_weights *s);

#endif
