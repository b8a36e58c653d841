/*
 * The disk cache: checkpoints that the daemon keeps on disk by itself, for its next life
 * (state.persist). Ordinary state objects beside the clients' own, under no name that a
 * client can say:
 *
 *   DIR/p-<tenant>/s-<salt>/<depth>-<hash of the tokens, and of the model and its
 * formats>
 *
 * Names are the whole index: nothing but directories is read at open. A file is trusted
 * only after its tokens were compared and its checksums asked, by whoever loads it. They
 * count to the quotas of the store, and give way to what clients store there; the longest
 * unused go first.
 *
 * The index is the loop thread's; functions that are marked touch the disk only and are
 * for workers. Several processes may share DIR: each finds what was there at its start.
 */
#ifndef SERVER_STORAGE_DISK_CACHE_H
#define SERVER_STORAGE_DISK_CACHE_H

#include "server/storage/object_writer.h"

enum { DISK_CACHE_PATH_BYTES = 512 };

struct disk_cache_place {
    char path[DISK_CACHE_PATH_BYTES]; /* below DIR */
    int depth;
};

struct disk_cache_entry {
    uint64_t group, hash; /* of tenant and salt; of the tokens */
    uint64_t bytes, used; /* used: the greater, the later */
    int32_t depth;
    char *path; /* owns */
};

struct disk_cache {
    const struct object_store *store; /* borrows; NULL: there is no disk_cache */
    uint64_t kind; /* of the model and its formats: others' are not found here */
    struct disk_cache_entry *list; /* owns; by group and depth */
    size_t n, cap;
    uint64_t clock;
};

/* Indexes what is there; leftovers of dead writers are removed. ERR_IO, ERR_MEMORY. */
int disk_cache_open(struct disk_cache *s, const struct object_store *store,
                    struct err *err);
void disk_cache_close(struct disk_cache *s); /* accepts zeroed */

/* Where the state after these tokens has its place. False: the salt is too long. */
bool disk_cache_place(struct disk_cache_place *out, const struct disk_cache *s,
                      const char *tenant, const char *salt, const int32_t *ids, int n);

/* The deepest that begins ids[0..n). */
bool disk_cache_find(struct disk_cache *s, const char *tenant, const char *salt,
                     const int32_t *ids, int n, struct disk_cache_place *out);
bool disk_cache_has(const struct disk_cache *s, const struct disk_cache_place *place);

/* No memory: it is not found in this life. */
void disk_cache_add(struct disk_cache *s, const struct disk_cache_place *place,
                    uint64_t bytes);
void disk_cache_drop(struct disk_cache *s, const struct disk_cache_place *place);

/* The longest unused, of the place's tenant or of all: dropped from the index. False:
 * there is none. */
bool disk_cache_oldest(struct disk_cache *s, const struct disk_cache_place *of_tenant,
                       struct disk_cache_place *out, uint64_t *bytes);

/* ---- workers ---------------------------------------------------------------- */

/* A descriptor, the caller's. ERR_NOT_FOUND, ERR_IO. */
int disk_cache_read(const struct object_store *s, const struct disk_cache_place *place,
                    struct err *err);
void disk_cache_remove(const struct object_store *s,
                       const struct disk_cache_place *place);

/* As object_writer_begin; on ERR_QUOTA *over says how many bytes are too many. */
struct disk_cache_excess {
    uint64_t tenant, all;
};
int disk_cache_begin(const struct object_store *s, struct object_writer *d,
                     const struct disk_cache_place *place, uint64_t bytes,
                     struct disk_cache_excess *over, struct err *err);

#endif
