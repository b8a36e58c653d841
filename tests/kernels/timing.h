/* Times the cases that say how much work they are, at every level in alternation.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KERNELS_TIMING_H
#define TESTS_KERNELS_TIMING_H

#include "tests/kernels/case.h"
#include "tests/kernels/level.h"

/* Prints the table's head. Levels are borrowed until the end. */
void timing_open(const struct levels *l);

/* A visit_fn: one row of the table, work a second at each level, medians. */
void timing_case(const struct subject *s, const struct kernel_case *c);

#endif
