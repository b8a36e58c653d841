/*
 * Open-addressing maps from 64-bit keys or byte strings to int32. A map has one owner
 * while it is filled; once filled, any thread may read it. Nothing is ever taken out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_MAP_H
#define ENGINE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Key k -> value v. Keys and values are copied; ~0 is not allowed as a key. */
struct map64 {
    uint64_t *keys;  /* owns, [cap] */
    int32_t *values; /* owns, [cap] */
    size_t n, cap;   /* cap is a power of two */
};

bool map64_init(struct map64 *m, size_t n_expected); /* false: out of memory */
void map64_free(struct map64 *m);
bool map64_put(struct map64 *m, uint64_t key,
               int32_t value); /* overwrites; false: memory */
int32_t map64_get(const struct map64 *m, uint64_t key, int32_t absent);

/* String -> value; the strings are borrowed and must outlive the map. */
struct strmap_entry {
    const char *s; /* borrows; NULL = empty slot */
    uint32_t len;
    int32_t value;
};

struct strmap {
    struct strmap_entry *slots; /* owns, [cap] */
    size_t n, cap;
};

bool strmap_init(struct strmap *m, size_t n_expected);
void strmap_free(struct strmap *m);
bool strmap_put(struct strmap *m, const char *s, size_t len, int32_t value);
int32_t strmap_get(const struct strmap *m, const char *s, size_t len, int32_t absent);

#endif
