/*
 * Checks a case: every level gives the bits of the C set, writes its outputs alone and
 * reads its inputs alone. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_KERNELS_COMPARE_H
#define TESTS_KERNELS_COMPARE_H

#include "tests/kernels/case.h"
#include "tests/kernels/level.h"

/* Of the cases of one subject since compare_begin. */
struct totals {
    unsigned n_cases;
    unsigned failed[LEVELS_CAP]; /* cases, by level */
    uint64_t digest;             /* of all outputs of the best level */
};

/* Levels are borrowed until the end. A signal that a wild access raises is told on stdout
 * with kernel, level and size, and ends the program with status 1. */
void compare_open(const struct levels *l);

void compare_begin(void);

/* A visit_fn. The first difference of each level is printed. */
void compare_case(const struct subject *s, const struct kernel_case *c);

const struct totals *compare_totals(void);

#endif
