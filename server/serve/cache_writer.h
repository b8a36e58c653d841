/*
 * The cache writer: known prefixes that outlive the process (state.persist).
 *
 * The engine is asked, again and again, for a kept state that was made use of; a worker
 * writes it into the disk cache, and the lease goes back: one at a time, so that neither
 * engine nor disk is ever busy with it. At the end, when nothing runs any more, those follow
 * that are likely to be wanted, until drain_timeout. What is in the disk cache is found
 * and read by generation_state.c. Loop thread.
 */
#ifndef SERVER_SERVE_CACHE_WRITER_H
#define SERVER_SERVE_CACHE_WRITER_H

#include "server/serve/task.h"
#include "server/storage/disk_cache.h"

struct bridge_reply;
struct server;

enum { CACHE_WRITER_GONE = 16 };

struct cache_writer {
    struct disk_cache disk_cache; /* disk_cache.store NULL: nothing is kept */
    struct task work;
    struct bridge_reply *reply; /* owns */
    struct engine_lease *lease; /* the engine's; a worker writes it */
    struct engine_object object;
    struct disk_cache_place place;
    struct disk_cache_place gone[CACHE_WRITER_GONE]; /* they give way to it */
    struct disk_cache_excess over;
    int n_gone, n_tries;
    bool asked, all, dry; /* dry: there is nothing left, with `all` */
    uint64_t asked_ns;
};

/* After the store was opened. ERR_IO, ERR_MEMORY. */
int cache_writer_open(struct server *server, struct err *err);
void cache_writer_close(struct server *server); /* no worker is at it; accepts zeroed */

/* The disk cache, which knows the model; the engine is ready. */
struct disk_cache *cache_writer_disk_cache(struct server *server);

void cache_writer_tick(struct server *server, uint64_t now_ns);

/* bridge_reader.persisted */
void cache_writer_take(struct server *server, struct engine_lease *state);

/* Nothing runs any more: true while there is something to write. */
bool cache_writer_ending(struct server *server);

#endif
