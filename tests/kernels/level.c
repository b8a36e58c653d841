/* The kernel sets that this processor can run, as engine/kernel/cpu.c knows them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kernels/level.h"

#include "engine/kernel/cpu.h"

#include <string.h>

bool level_find(struct levels *l, const char *only)
{
    l->n = 0;
    for (int i = 0; cpu_level(i); i++) {
        const struct kernels *k;
        if (only && strcmp(only, cpu_level(i)) != 0)
            continue;
        if (cpu_kernels(&k, cpu_level(i), NULL) == 0 && l->n < LEVELS_CAP)
            l->set[l->n++] = k;
    }
    return l->n > 0;
}
