/*
 * The engine's door for states as bytes: leases of sequences' slots and pages, state
 * objects in files (engine/state/object.h has the format), and uploads.
 *
 * Reading and writing objects blocks on the disk: any thread but the engine's, as it runs
 * on meanwhile. What does not fit this engine, this tenant or its own checksums is
 * ERR_CONFLICT.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_OBJECTS_H
#define ENGINE_OBJECTS_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/history.h"
#include "engine/types.h"

/* ---- leases ----------------------------------------------------------------- */

/* Ends a lease, which is freed. A request that waits for its state continues; if the
 * state is not good, it ends by FINISH_ERROR. Engine thread. */
void engine_lease_release(struct engine *e, struct engine_lease *s, bool good);

/* Leases a copy of the checkpoint that is most worth persisting, each once: one that was
 * hit; with `all`, one that may be. NULL: there is none now. Engine thread. */
struct engine_lease *engine_persist_next(struct engine *e, bool all);

/* Whose state a lease is, and after which tokens; borrowed from it. */
struct engine_lease_path {
    const char *tenant, *cache_salt;
    const int32_t *tokens; /* [n_tokens] */
    int n_tokens;
};
void engine_lease_path_of(const struct engine_lease *s, struct engine_lease_path *out);

/* What no client was shown of the answer that a leased state ends with: appends its text,
 * returns the last *n tokens, borrowed from the lease. text->failed: out of memory. */
const int32_t *engine_lease_unseen(const struct engine *e, const struct engine_lease *s,
                                   size_t *n, struct buf *text);

/* ---- objects in files ------------------------------------------------------- */

/* The object that saving a lease would write. */
void engine_object_of(const struct engine *e, const struct engine_lease *s,
                      struct engine_object *out);

/* Writes a lease's state at the beginning of a file. ERR_IO, ERR_STORAGE, ERR_MEMORY. */
int engine_object_save(const struct engine *e, const struct engine_lease *s, int fd,
                       const char *tenant, struct err *err);

/* Reads a file's state into a lease and checks the body's checksum. */
int engine_object_load(const struct engine *e, struct engine_lease *s, int fd,
                       const char *tenant, struct err *err);

/* Reads what is before an object's body, checks it and the file's length. *said is the
 * caller's until history_free; empty on failure. */
int engine_object_open(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct history *said, struct err *err);

/* Reads an object's head without checking its checksums. */
int engine_object_peek(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct err *err);

/* ---- uploads ---------------------------------------------------------------- */

/* An object that arrives in pieces; it is good once engine_upload_end has returned 0.
 * ERR_CONFLICT as soon as it shows, ERR_MEMORY. engine_upload_object is NULL until the
 * head has arrived. */
int engine_upload_open(struct engine_upload **out, const struct engine *e,
                       const char *tenant, struct err *err);
int engine_upload_put(struct engine_upload *in, const void *data, size_t len,
                      struct err *err);
int engine_upload_end(struct engine_upload *in, struct err *err);
const struct engine_object *engine_upload_object(struct engine_upload *in);
void engine_upload_close(struct engine_upload *in); /* accepts NULL */

#endif
