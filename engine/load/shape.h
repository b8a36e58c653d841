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
 * each width, as large as the largest of them, given back by shape_cool. Opening thread.
 */
#ifndef ENGINE_LOAD_SHAPE_H
#define ENGINE_LOAD_SHAPE_H

#include "engine/load/weights.h"

struct shape;

/* Makes *w such a source; weights_close ends it. ERR_MEMORY. */
int shape_open(struct weights *w, struct err *err);
void shape_close(struct shape *s); /* accepts NULL */

/* As weights_take. The data stay until shape_cool. ERR_MEMORY. */
int shape_take(struct weights *w, const char *name, int n_dims, const int64_t *shape,
               const struct tensor **out, struct err *err);

/* Frees the blocks: everything has been packed by then. */
void shape_cool(struct shape *s);

#endif
