/*
 * State objects in files: a sequence's state from the pools into a descriptor and back,
 * without a second copy of it in memory.
 *
 * Blocks on the disk: any thread but the engine's and the loop's. Directories and names
 * are the server's. The subtle point: a body is read straight into slot and pages, so
 * what was loaded is a state only after object_file_load has answered 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_OBJECT_FILE_H
#define ENGINE_STATE_OBJECT_FILE_H

#include "engine/base/err.h"
#include "engine/state/object.h"

#include <stdint.h>

/* A sequence's slot and pages; borrows all. */
struct object_file_state {
    char *slot;           /* [slot_bytes] */
    char *pages;          /* the pool */
    const int32_t *table; /* [n_pages] of the head: places in the pool */
};

/* Reads the head and compares all but the checksums; also the file's length.
 * ERR_CONFLICT, ERR_IO. */
int object_file_peek(struct object_head *h, int fd, const struct object_kind *k,
                     const char *tenant, struct err *err);

/* Reads and checks all before the body, and the file's length. *said is the caller's
 * until history_free. ERR_CONFLICT, ERR_IO, ERR_MEMORY; nothing to free then. */
int object_file_open(struct object_head *h, struct history *said, int fd,
                     const struct object_kind *k, const char *tenant, struct err *err);

/* Reads the body of an object that object_file_open opened into slot and pages. ERR_CONFLICT,
 * ERR_IO, ERR_MEMORY; their content is then undefined. */
int object_file_load(int fd, const struct object_head *h, const struct object_kind *k,
                     const struct object_file_state *to, struct err *err);

/* Writes a whole object at the file's beginning; h is from object_head, its checksums are
 * set here. ERR_IO, ERR_MEMORY. */
int object_file_save(int fd, struct object_head *h, const struct history *said,
                     const struct object_kind *k, const struct object_file_state *from,
                     struct err *err);

#endif
