/* XXH3, of bytes at hand or of bytes that come in pieces.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_HASH_H
#define ENGINE_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t len);

/* The same hash of bytes that come in pieces. One owner. */
struct hash {
    void *state; /* owns; NULL: not begun, or no memory */
};

bool hash_begin(struct hash *h); /* also begins anew; false: out of memory */
void hash_put(struct hash *h, const void *data, size_t len);
uint64_t hash_value(const struct hash *h); /* of what was put so far */
void hash_free(struct hash *h);            /* accepts a zeroed struct */

#endif
