/* Cutting a job into tasks. Engine thread; no state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/partition.h"

#include <stdint.h>

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* A task is one thread's share of three quarters of the units that are left. */
void partition_cut(struct partition *p, int n_units, int least, int n_threads)
{
    int unit = 0;
    least = larger(least, n_units / PARTITION_CAP + 1);
    p->n = 0;
    while (unit < n_units) {
        int64_t share = (int64_t)(n_units - unit) * 3 / (4 * (int64_t)n_threads);
        int some = larger((int)share, least);
        p->begin[p->n++] = unit;
        unit += some < n_units - unit ? some : n_units - unit;
    }
    p->begin[p->n] = n_units;
}
