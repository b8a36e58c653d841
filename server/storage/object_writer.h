/*
 * Writing a state object into the store: whole and durable under its name, or nothing.
 *
 * Room is reserved in the ledger first, so that the quotas hold whatever is being written;
 * persisted prefixes are evicted for clients' objects. Then a temporary of the
 * final size is made. The object appears by a rename, after its bytes and before its
 * directory is synced: a crash leaves the old object or none. The writer holds a lock
 * on its temporary; one without is stale (a walk of the store removes it).
 *
 * Blocks on the disk: uv workers only. One owner. The subtle point: while both exist, an
 * object that is being replaced does not count against the quota of its replacement.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_STORAGE_OBJECT_WRITER_H
#define SERVER_STORAGE_OBJECT_WRITER_H

#include "server/storage/object_store.h"

enum { OBJECT_WRITER_TEMP_BYTES = 24 };

struct object_writer {
    const struct object_store *store; /* borrows */
    int fd, dir_fd;                   /* own: the temporary and its directory */
    char temp[OBJECT_WRITER_TEMP_BYTES], name[OBJECT_STORE_NAME_BYTES];
    char tenant_dir[OBJECT_STORE_DIR_BYTES]; /* a client's */
    uint64_t bytes;
    struct cache_entry *entry; /* owns: of a persisted prefix; NULL: a client's object */
    bool open;                 /* false: nothing to abandon; zeroed = not open */
};

/* Makes the temporary; d->fd is to be filled with `bytes` bytes. ERR_TOO_LARGE,
 * ERR_QUOTA, ERR_IO, ERR_STORAGE, ERR_MEMORY; nothing is left then. */
int object_writer_begin(const struct object_store *s, struct object_writer *d,
                        const char *tenant, const char *name, uint64_t bytes,
                        struct err *err);

/* The same for a persisted prefix: older ones are evicted for it, objects never. */
int object_writer_begin_prefix(const struct object_store *s, struct object_writer *d,
                               const struct disk_cache_place *place, uint64_t bytes,
                               struct err *err);

/* Makes it the object of its name. ERR_IO, ERR_STORAGE, then it is abandoned; only when the very last
 * write, the directory's, fails is the object there all the same: it may or may not
 * outlive a crash. ERR_QUOTA: a persisted prefix that was evicted meanwhile. */
int object_writer_commit(struct object_writer *d, bool *replaced, struct err *err);

void object_writer_abandon(struct object_writer *d); /* accepts one that is not open */

#endif
