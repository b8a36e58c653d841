/*
 * The index of the disk cache: its entries in the order of group, depth and hash, found
 * by binary search, changed one at a time or by a walk's findings in one merge. An entry
 * is the index's from insertion on, and the ledger's as long as it is not evicted.
 *
 * Memory alone, under the ledger's lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_STORAGE_CACHE_INDEX_H
#define SERVER_STORAGE_CACHE_INDEX_H

#include "server/storage/ledger.h"

struct cache_group { /* a tenant's salt: a directory */
    uint64_t hash;   /* of the path */
    size_t n;        /* who points here; freed with the last */
    char path[];     /* below DIR */
};

struct cache_key { /* the index is in the order of its members */
    uint64_t group;
    int32_t depth;
    uint64_t hash; /* of the tokens and the kind */
};

struct cache_entry {
    struct ledger_entry ledger;
    struct cache_group *group;
    struct cache_key key;
};

struct cache_slot { /* with a copy of the key: a search touches no entries */
    struct cache_key key;
    struct cache_entry *entry;
};

struct cache_index {
    struct cache_slot *list; /* owns, with the entries; [n] */
    size_t n, cap;
};

void cache_index_free(struct cache_index *x); /* accepts zeroed */

/* NULL: out of memory. Whoever made a group is one of those who point there. */
struct cache_group *cache_index_group(const char *path);
void cache_index_free_group(struct cache_group *g);
struct cache_entry *cache_index_entry(struct cache_group *g, int depth, uint64_t hash);
void cache_index_free_entry(struct cache_entry *e);

/* As strcmp, in the order of the index. */
int cache_index_compare(const struct cache_entry *a, const struct cache_entry *b);

struct cache_entry *cache_index_get(const struct cache_index *x,
                                    const struct cache_key *key); /* NULL: none */

/* The deepest of a group whose hash is that of ids[0..depth) xor kind; NULL: none. */
struct cache_entry *cache_index_deepest(const struct cache_index *x, uint64_t group,
                                        const int32_t *ids, int n, uint64_t kind);

/* False: there is such an entry, or no memory. */
bool cache_index_insert(struct cache_index *x, struct cache_entry *e);
void cache_index_take_out(struct cache_index *x, const struct cache_entry *e);

/* Takes out those that a reservation evicted; they are the caller's then. */
void cache_index_sweep(struct cache_index *x, const struct ledger_entry *evicted);

/* Makes the account's entries those found[0..n), in their order, of which new ones enter
 * the ledger; all of them are the index's or freed. False: no memory, nothing happened. */
bool cache_index_merge(struct cache_index *x, struct ledger *l, struct ledger_account *a,
                       struct cache_entry **found, size_t n);

#endif
