/*
 * Small models of public families with pseudo-random weights: a model for each kind of state
 * that the project's own architectures do not have. What maker_close says holds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_FAMILY_MAKER_H
#define TESTS_LIB_FAMILY_MAKER_H

#include "tests/lib/model_maker.h"

/* Gated short convolutions of three taps, and attention in the second layer. */
void family_maker_lfm2(struct maker *m, const struct maker_sizes *s);

/* Gated delta rule, and attention with an output gate in the second layer. */
void family_maker_qwen3_5(struct maker *m, const struct maker_sizes *s);

/* Windows of FAMILY_WINDOW tokens, and full attention in the second layer. */
void family_maker_gemma3(struct maker *m, const struct maker_sizes *s);
enum { FAMILY_WINDOW = 40 };

#endif
