/* The golden folders: tiny models with ids, float64 logits and greedy continuations made
 * by the independent reference. Tests run at the root of the tree.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_GOLDEN_H
#define TESTS_LIB_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

enum { GOLDEN_MAX = 128 };

struct golden {
    char name[64], dir[128];
    int32_t *ids, *greedy; /* own */
    size_t n_ids, n_greedy;
    int context, n_vocab;
    double *logits; /* owns; [n_ids][n_vocab] */
};

/* Every folder of tests/golden with a golden.json, by name; fails the test when there is
 * none or one cannot be read. Ended by golden_free. */
size_t golden_all(struct golden out[GOLDEN_MAX]);
void golden_free(struct golden *g, size_t n);

#endif
