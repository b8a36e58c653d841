/* A slot is taken by its path and seen by readers once its size is set.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mapping.h"

#include <stdatomic.h>
#include <stdint.h>

enum { MAX_MAPPINGS = 2048 }; /* a model has at most 1,024 files */

static struct {
    _Atomic(const char *) path; /* NULL: free */
    atomic_uintptr_t start;
    atomic_size_t bytes; /* 0: not set yet */
} mappings[MAX_MAPPINGS];

void mapping_add(const void *start, size_t bytes, const char *path)
{
    for (int i = 0; i < MAX_MAPPINGS; i++) {
        const char *none = NULL;
        if (!atomic_compare_exchange_strong(&mappings[i].path, &none, path))
            continue;
        atomic_store(&mappings[i].start, (uintptr_t)start);
        atomic_store(&mappings[i].bytes, bytes);
        return;
    }
}

void mapping_remove(const void *start)
{
    for (int i = 0; i < MAX_MAPPINGS; i++) {
        if (!mappings[i].bytes || mappings[i].start != (uintptr_t)start)
            continue;
        atomic_store(&mappings[i].bytes, 0);
        atomic_store(&mappings[i].path, NULL);
        return;
    }
}

const char *mapping_path(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (int i = 0; i < MAX_MAPPINGS; i++) {
        uintptr_t start = atomic_load(&mappings[i].start);
        if (at >= start && at - start < atomic_load(&mappings[i].bytes))
            return atomic_load(&mappings[i].path);
    }
    return NULL;
}
