/*
 * The directory of state objects: who has which, under what name.
 *
 *   DIR/t-<tenant>/<name>       an object; bytes of the tenant beyond A-Za-z0-9_- are =XX
 *   DIR/t-<tenant>/.new-<hex>   one that is being written, locked by its writer
 *   DIR/p-<tenant>/             persisted prefixes: disk_cache.h
 *
 * Objects are never changed in place (object_writer.h writes them), so an open descriptor
 * keeps what it found. Temporaries whose writer is gone are removed at open. No symbolic
 * link below DIR is followed, nothing but regular files is read, removed or listed.
 *
 * Several processes may share DIR. What others do there enters this one's ledger when the
 * directory is walked: at open, once in a while, and before a quota refuses anything.
 *
 * Everything here blocks on the disk (uv workers only) but for open, close and what says that
 * it does not. A struct object_store is constant while it is open; what changes behind it is the ledger's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_STORAGE_OBJECT_STORE_H
#define SERVER_STORAGE_OBJECT_STORE_H

#include "server/storage/disk_cache.h"

#include <sys/stat.h>

enum {
    OBJECT_STORE_NAME_BYTES = 65 /* with the NUL; api/states.h says what a name is */
};

/* What the name of a temporary begins with. */
#define OBJECT_STORE_TEMP ".new-"

struct object_store_options {
    const char *dir;             /* made when its parent exists */
    uint64_t object_bytes;       /* of one object at most; 0: no limit */
    struct ledger_limits limits; /* of all that lies there */
};

struct object_store {
    int fd; /* owns: the directory */
    struct object_store_options o;
    struct ledger *ledger;    /* owns */
    struct disk_cache *cache; /* owns */
    uint32_t
        writer; /* what this process's temporaries are called, behind OBJECT_STORE_TEMP */
};

/* ERR_IO (param "state.dir" when it is about that itself), ERR_MEMORY. Removes stale
 * temporaries; one that cannot be removed is logged. The struct stays where it is. */
int object_store_open(struct object_store *s, const struct object_store_options *o,
                      struct err *err);
void object_store_close(struct object_store *s); /* accepts one that did not open */

/* A tenant's own limit in the place of limits.tenant_bytes; 0: it has none. What is beyond a
 * lower one stays, and nothing is added to it. In memory alone, any thread. ERR_MEMORY. */
int object_store_limit(const struct object_store *s, const char *tenant, uint64_t bytes,
                       struct err *err);

/* What lies there, with what is being written. In memory alone, any thread. */
struct ledger_sums object_store_sums(const struct object_store *s);

/* Opens an object for reading: a descriptor, the caller's to close, or ERR_NOT_FOUND,
 * ERR_IO. bytes may be NULL. */
int object_store_read(const struct object_store *s, const char *tenant, const char *name,
                      uint64_t *bytes, struct err *err);

/* ERR_NOT_FOUND, ERR_IO, ERR_STORAGE. */
int object_store_remove(const struct object_store *s, const char *tenant,
                        const char *name, struct err *err);

struct object_store_entry {
    char name[OBJECT_STORE_NAME_BYTES];
    uint64_t bytes;
    int64_t created; /* unix seconds */
};

/* A tenant's objects by name; the array is the caller's (mem_free). ERR_IO, ERR_MEMORY.
 */
int object_store_list(const struct object_store *s, const char *tenant,
                      struct object_store_entry **out, size_t *n, struct err *err);

/* A directory's name: prefix and text, whose bytes beyond A-Za-z0-9_- are =XX. False: it
 * is too long. */
enum { OBJECT_STORE_DIR_BYTES = 256 };
bool object_store_dir_name(char out[OBJECT_STORE_DIR_BYTES], const char *prefix,
                           const char *text);

/* Calls fn for every entry of a directory until it answers non-zero; returns that.
 * ERR_IO.
 */
typedef int object_store_entry_fn(void *arg, int dir_fd, const char *name,
                                  struct err *err);
int object_store_each(int dir_fd, object_store_entry_fn *fn, void *arg, struct err *err);

/* 1 and its stat for a regular file, 0 for anything else and for what is gone; ERR_IO. */
int object_store_find_file(int dir_fd, const char *name, struct stat *st,
                           struct err *err);

/* For object_writer.c. The tenant's directory, made if need be: the caller's descriptor,
 * or -ERR_IO, -ERR_STORAGE. Whether a file's name can be an object's. What a file of that name takes:
 * n 0: there is none, or what is there is no file. */
int object_store_make_tenant(const struct object_store *s, const char *tenant,
                             struct err *err);
bool object_store_is_object(const char *name);
struct ledger_use object_store_use_of(int dir_fd, const char *name);

int object_store_io_error(struct err *err,
                          const char *what); /* what and errno; -ERR_IO, -ERR_STORAGE */

#endif
