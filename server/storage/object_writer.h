/*
 * Writing a state object into the store: whole and durable under its name, or nothing.
 *
 * A temporary of the final size is made first, so that quotas, counted over all that is
 * there and all that is being written by whichever process, hold at every moment. They
 * are asked before it too: what is refused takes no room from others meanwhile. The
 * object appears by a rename, after its bytes and before its directory were synced: a
 * crash leaves the old object or none. The writer holds a lock on its temporary; one
 * without is stale (object_store_open removes it).
 *
 * Blocks on the disk: uv workers only. One owner.
 */
#ifndef SERVER_STORAGE_OBJECT_WRITER_H
#define SERVER_STORAGE_OBJECT_WRITER_H

#include "server/storage/object_store.h"

enum { OBJECT_WRITER_TEMP_BYTES = 24 };

struct object_writer {
    int fd, dir_fd; /* own: the temporary and its directory */
    char temp[OBJECT_WRITER_TEMP_BYTES], name[OBJECT_STORE_NAME_BYTES];
    bool open; /* false: nothing to abandon; zeroed = not open */
};

/* Makes the temporary; d->fd is to be filled with `bytes` bytes. ERR_TOO_LARGE,
 * ERR_QUOTA, ERR_IO; nothing is left then. */
int object_writer_begin(const struct object_store *s, struct object_writer *d,
                        const char *tenant, const char *name, uint64_t bytes,
                        struct err *err);

/* The same without quotas, as a file of a directory that is the writer's from now on.
 * ERR_IO. */
int object_writer_begin_in(struct object_writer *d, int dir_fd, const char *name,
                           uint64_t bytes, struct err *err);

/* Makes it the object of its name. ERR_IO, then it is abandoned; only when the very last
 * write, the directory's, fails is the object there all the same: it may or may not
 * outlive a crash. */
int object_writer_commit(struct object_writer *d, bool *replaced, struct err *err);

void object_writer_abandon(struct object_writer *d); /* accepts one that is not open */

#endif
