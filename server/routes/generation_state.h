/*
 * States that a completion loads and saves: objects of the store into leases of the engine
 * and out of them, on uv workers.
 *
 * generation_state_find, a worker's: the object is opened, its tokens are compared with the prompt,
 * and only the rest of a text is tokenised. Then the engine leases memory (EVENT_LOAD) and
 * generation_state_load has a worker read the body into it; at the end it leases the finished state
 * and generation_state_save has a worker write it. Each lease goes back, whatever happens: its way
 * is made before the request is submitted, so that returning cannot fail.
 *
 * Loop thread but for generation_state_find. The subtle point: while a lease is out a worker is at
 * it, and a conn outlives its workers; so whoever has waited for those has waited for the
 * leases.
 */
#ifndef SERVER_ROUTES_GENERATION_STATE_H
#define SERVER_ROUTES_GENERATION_STATE_H

#include "server/serve/bridge.h"
#include "server/serve/task.h"
#include "server/storage/disk_cache.h"

struct conn;

struct generation_lease {
    struct engine_lease *state; /* the engine's; out now, and a worker is at it */
    struct bridge_reply *reply; /* owns, until it is gone */
};

struct generation_state { /* zeroed: nothing is loaded or saved */
    int fd; /* owns, if open: the object that is loaded, as it was when it was found */
    struct disk_cache_place place; /* depth 0: what is loaded was asked for by its name */
    bool open, arrived, stored;    /* arrived: the engine has room for what is loaded */
    struct engine_object from, to; /* what is loaded; what is stored */
    struct history said;           /* owns: the conversation that `load` names */
    bool resume;                   /* the prompt is all of it */
    struct generation_lease load, save;
};

/* For conn_start_task, instead of task_encode: leaves the ids of a text in its item.
 * ERR_NOT_FOUND, ERR_CONFLICT, ERR_IO, or as tokenising. */
int generation_state_find(struct task *w);

/* Whether there may be something in the disk cache for the one prompt of a request. Then
 * generation_state_reopen is for conn_start_task, and generation_state_recalled follows it. Nothing of this is an
 * error: what is damaged or foreign is removed, and the prompt is read. */
bool generation_state_recall(struct conn *c);
int generation_state_reopen(struct task *w);
void generation_state_recalled(struct conn *c);

/* Says in the engine's request what is loaded and saved. */
void generation_state_ask(const struct conn *c, struct engine_request *r);

/* Before the request is submitted. ERR_MEMORY. */
int generation_state_prepare(struct conn *c, struct err *err);

/* EVENT_LOAD: the state is read and the lease returned. What goes wrong is conn.fault. */
void generation_state_load(struct conn *c, struct engine_lease *lease);

/* EVENT_FINISH, with or without a lease. */
void generation_state_finish(struct conn *c, const struct event *ev);

/* When all events have come. True: a worker writes the state, then done is called, which
 * calls generation_state_saved; a fault is conn.fault. False: there is nothing to write. */
bool generation_state_save(struct conn *c, void (*done)(struct task *w));
void generation_state_saved(struct conn *c);

/* Tells conn.answer what became of the states. */
void generation_state_tell(const struct conn *c);

void generation_state_free(struct conn *c); /* no worker is at it; accepts zeroed */

#endif
