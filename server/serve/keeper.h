/*
 * The keeper: known prefixes that outlive the process (state.persist).
 *
 * The engine is asked, again and again, for a kept state that was made use of; a worker
 * writes it into the disk cache, and the loan goes back: one at a time, so that neither
 * engine nor disk is ever busy with it. At the end, when nothing runs any more, those follow
 * that are likely to be wanted, until drain_timeout. What is in the disk cache is found
 * and read by travel.c. Loop thread.
 */
#ifndef SERVER_SERVE_KEEPER_H
#define SERVER_SERVE_KEEPER_H

#include "server/serve/encode.h"
#include "server/storage/disk_cache.h"

struct bridge_way;
struct loop;

enum { KEEPER_GONE = 16 };

struct keeper {
    struct disk_cache disk_cache; /* disk_cache.store NULL: nothing is kept */
    struct encode work;
    struct bridge_way *way;    /* owns */
    struct engine_state *loan; /* the engine's; a worker writes it */
    struct engine_object object;
    struct disk_cache_place place;
    struct disk_cache_place gone[KEEPER_GONE]; /* they give way to it */
    struct disk_cache_excess over;
    int n_gone, n_tries;
    bool asked, all, dry; /* dry: there is nothing left, with `all` */
    uint64_t asked_ns;
};

/* After the store was opened. ERR_IO, ERR_MEMORY. */
int keeper_open(struct loop *l, struct err *err);
void keeper_close(struct loop *l); /* no worker is at it; accepts zeroed */

/* The disk cache, which knows the model; the engine is ready. */
struct disk_cache *keeper_disk_cache(struct loop *l);

void keeper_tick(struct loop *l, uint64_t now_ns);

/* bridge_reader.spilled */
void keeper_take(struct loop *l, struct engine_state *state);

/* Nothing runs any more: true while there is something to write. */
bool keeper_ending(struct loop *l);

#endif
