/*
 * Persists prefixes beyond the process's life (state.persist), and keeps the ledger of the
 * state directory up to date.
 *
 * At each tick the engine is asked for a checkpoint that was hit and is not on the disk
 * yet; a task writes it into the disk cache and the lease is returned: one at a time, so
 * that neither engine nor disk is ever busy with it. After a drain the checkpoints that
 * are likely to be hit follow, until drain_timeout. generation_state.c finds and loads
 * what is in the disk cache. Once a minute a task walks the directory for what other
 * processes have changed there. Loop thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_CACHE_WRITER_H
#define SERVER_SERVE_CACHE_WRITER_H

#include "server/serve/task.h"
#include "server/storage/disk_cache.h"

struct bridge_reply;
struct server;

struct cache_writer {
    bool on; /* state.persist */
    struct task write, walk;
    struct bridge_reply *reply; /* owns */
    struct engine_lease *lease; /* the engine's; a worker writes it */
    struct disk_cache_place place;
    bool asked, all, dry; /* dry: there is nothing left, with `all` */
    uint64_t asked_ns, walked_ns;
};

/* After the store was opened. */
void cache_writer_open(struct server *server);
void cache_writer_close(struct server *server); /* not active; accepts zeroed */

/* The disk cache, which knows the model's objects; the engine is ready. NULL: prefixes
 * are not persisted. */
struct disk_cache *cache_writer_disk_cache(struct server *server);

void cache_writer_tick(struct server *server, uint64_t now_ns);

/* bridge_reader.persisted */
void cache_writer_take(struct server *server, struct engine_lease *state);

/* Nothing runs any more: true while there is something to write. */
bool cache_writer_ending(struct server *server);

/* A worker is at it. */
bool cache_writer_active(const struct server *server);

#endif
