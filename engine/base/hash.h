/* XXH3 hashing (hash.c alone includes xxhash.h) and an open-addressing map from byte
 * strings or 64-bit keys to int32. Maps are built once and then read by any thread. */
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
