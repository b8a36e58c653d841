/*
 * A growing array of token ids. A zeroed struct is an empty one. Not thread-safe; one
 * owner. A failed growth changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_IDS_H
#define ENGINE_BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ids {
    int32_t *data; /* owns; NULL while empty */
    size_t n, cap;
};

void ids_free(struct ids *ids); /* frees and zeroes */

/* Appends n ids, which are not those of the array itself; false: out of memory. */
bool ids_append(struct ids *ids, const int32_t *more, size_t n);
bool ids_push(struct ids *ids, int32_t id);

/* Makes room for n more, so that appending these cannot fail. */
bool ids_reserve(struct ids *ids, size_t n);

#endif
