/* The kernel sets that this processor can run. One thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KERNELS_LEVEL_H
#define TESTS_KERNELS_LEVEL_H

#include "engine/kernel/kernel.h"

enum { LEVELS_CAP = 16 };

struct levels {
    int n;
    const struct kernels *set[LEVELS_CAP]; /* the C set first, the best last */
};

/* All of them, or with a name only that one; false when there is none of that name. */
bool level_find(struct levels *l, const char *only);

#endif
