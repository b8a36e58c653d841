/*
 * The least bytes and operations of a step, counted by the sizes of its formats without
 * padding: what a benchmark compares its figures with.
 *
 * Bytes: matrices once a step (f32 4 bytes a weight, f16 and bf16 2, q8 34 and q4 18 for
 * 32 weights) and so the f32 coefficients of DSS, which are a matrix too, each sequence's
 * fixed state once read and once written, the keys and values that it sees once read.
 * Operations: 2 a weight and row, 4 a visible key and value of a query head's width, the
 * recurrences their own. Norms, activations, vectors and the embedding's rows are not
 * counted: together they are below a hundredth. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_COST_H
#define ENGINE_MIXER_COST_H

#include "engine/kernel/gemm.h"
#include "engine/types.h"

/* All rows of the step. */
double cost_rows(const struct engine_batch *s);

/* Adds n products with `rows` rows. */
void cost_linears(struct engine_cost *sum, const struct matrix *const *m, int n,
                  double rows);

/* Adds one read and one write of every sequence's fixed state, padding excepted. */
void cost_state(struct engine_cost *sum, const struct engine_batch *s,
                size_t fixed_bytes);

#endif
