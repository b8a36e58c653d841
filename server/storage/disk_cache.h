/*
 * The disk cache: persisted prefixes, which are checkpoints that the daemon writes by
 * itself for its next start (state.persist). Ordinary state objects beside the clients'
 * own, under no name that a client can say:
 *
 *   DIR/p-<tenant>/s-<salt>/<depth>-<hash>
 *
 * The hash is of the tokens and of all that decides whether the object can be loaded, so
 * that one of another model or format is never looked at. Names are the whole index:
 * nothing but directories is read to build it. A file is used only after its tokens were
 * compared and its checksums verified, by whoever loads it. Prefixes count to the quotas
 * and are evicted for clients' objects, the longest unused first; bytes and order are the
 * ledger's.
 *
 * Any thread: index and ledger are used under the ledger's lock, which each function
 * takes. Functions that touch the disk are for workers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_STORAGE_DISK_CACHE_H
#define SERVER_STORAGE_DISK_CACHE_H

#include "server/storage/cache_index.h"

enum { DISK_CACHE_PATH_BYTES = 512 };

struct object_store;

struct disk_cache_place {
    char path[DISK_CACHE_PATH_BYTES]; /* below DIR */
    int depth;
};

struct disk_cache {
    struct ledger *ledger; /* borrows */
    struct cache_index index;
    uint64_t kind; /* of the engine's objects, set before the first look-up */
};

void disk_cache_init(struct disk_cache *c, struct ledger *ledger);
void disk_cache_close(
    struct disk_cache *c); /* accepts zeroed; no other thread is at it */

/* ---- memory ----------------------------------------------------------------- */

/* Where the state after these tokens has its place. False: the salt is too long. */
bool disk_cache_place(struct disk_cache_place *out, const struct disk_cache *c,
                      const char *tenant, const char *salt, const int32_t *ids, int n);

/* The deepest that begins ids[0..n); this is a use of it. */
bool disk_cache_find(struct disk_cache *c, const char *tenant, const char *salt,
                     const int32_t *ids, int n, struct disk_cache_place *out);
bool disk_cache_has(struct disk_cache *c, const struct disk_cache_place *place);

/* A file's name; false: it is none of a persisted prefix. */
bool disk_cache_parse_name(const char *name, int *depth, uint64_t *hash);

/* Its file is not there any more. */
void disk_cache_drop(struct disk_cache *c, const struct disk_cache_place *place);

/* ---- workers ---------------------------------------------------------------- */

/* A descriptor, the caller's. ERR_NOT_FOUND, ERR_IO. */
int disk_cache_read(const struct object_store *s, const struct disk_cache_place *place,
                    struct err *err);
void disk_cache_remove(const struct object_store *s,
                       const struct disk_cache_place *place);

/* The directory of a place, made if need be, its names durable: the caller's descriptor,
 * or -ERR_IO, -ERR_STORAGE. *name: the file's, within the place. */
int disk_cache_make_group(const struct object_store *s,
                          const struct disk_cache_place *place, const char **name,
                          struct err *err);

/* ---- workers, `files` being locked ------------------------------------------ */

/* Reserves room for a client's object: evicts what has to give way and removes its files.
 * tenant_dir: t-<tenant>. As ledger_reserve; ERR_MEMORY. */
int disk_cache_reserve(const struct object_store *s, const char *tenant_dir,
                       uint64_t bytes, struct ledger_use replaced, struct err *err);

/* Enters a prefix that is going to be written: *out may be evicted before it is. ERR_QUOTA,
 * ERR_MEMORY. */
int disk_cache_reserve_entry(const struct object_store *s,
                             const struct disk_cache_place *place, uint64_t bytes,
                             struct cache_entry **out, struct err *err);

/* It is there and is found from now on; the entry is the index's, or freed where another
 * process has written the same. False: it was evicted meanwhile, or there is no memory;
 * the file is the caller's to remove. */
bool disk_cache_publish(struct disk_cache *c, struct cache_entry *e);
void disk_cache_give_up(struct disk_cache *c, struct cache_entry *e);

#endif
