/*
 * The states that a generation loads and saves, and the persisted prefix that it may
 * find: objects on the disk are read into memory leased from the engine and written from
 * it, by tasks.
 *
 * Loading: generation_state_find (worker) opens the object, compares its tokens with the
 * prompt and tokenises the rest. When the engine has room it leases memory (EVENT_LOAD);
 * a task reads the object into it. Saving: the engine leases the finished state
 * (EVENT_FINISH); a task writes it. Every lease is returned, whatever happens: its
 * bridge_reply is allocated before the request is submitted.
 *
 * Loop thread unless said otherwise. The subtle point: while a lease is out a task is
 * active, and a conn outlives its task; whoever waits for the conns waits for the leases.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_GENERATION_STATE_H
#define SERVER_ROUTES_GENERATION_STATE_H

#include "api/states.h"
#include "server/serve/bridge.h"
#include "server/serve/task.h"
#include "server/storage/disk_cache.h"

struct conn;
struct generation;

struct generation_lease {
    struct engine_lease *state; /* the engine's; NULL: not out */
    struct bridge_reply *reply; /* owns; bridge_release_lease takes it */
};

struct generation_state {          /* zeroed: nothing is loaded or saved */
    int fd;                        /* owns, if open: the object that is loaded */
    struct disk_cache_place place; /* of a persisted prefix; depth 0: none is loaded */
    bool open;
    bool arrived;                  /* the engine has room for what is loaded */
    bool stored;                   /* the object is written */
    struct err fault;              /* why it is not; code 0: nothing went wrong */
    struct engine_object from, to; /* loaded; saved */
    struct history said;           /* owns; the conversation that `load` names */
    bool resume;                   /* the prompt is all of it */
    struct generation_lease load, save;
};

/* A task_fn for `state.load`, instead of tokenising: leaves the token ids of the one
 * prompt in generation.prompts. ERR_NOT_FOUND, ERR_CONFLICT, ERR_IO, or
 * as tokenising. Worker. */
int generation_state_find(struct task *task);

/* True when the disk cache may hold a prefix of the request's one prompt: then
 * generation_state_reopen is the next task, and generation_state_recalled follows it. No
 * fault in this is one of the request: a damaged or foreign object is removed, and the
 * prompt is computed. */
bool generation_state_recall(struct conn *c);
int generation_state_reopen(struct task *task); /* worker */
void generation_state_recalled(struct conn *c);

/* Writes into the engine's request what is loaded and saved. */
void generation_state_ask(const struct conn *c, struct engine_request *r);

/* Allocates what returning leases needs, before the request is submitted. ERR_MEMORY. */
int generation_state_prepare(struct conn *c, struct err *err);

/* EVENT_LOAD: reads the object into the lease and returns it. Faults: conn.fault. */
void generation_state_load(struct conn *c, struct engine_lease *lease);

/* EVENT_FINISH, with or without a lease. What keeps a state from being saved is a fault of
 * the state, not of the answer. */
void generation_state_finish(struct conn *c, const struct event *ev);

/* After the last event. True: a task writes the state; its `done` calls
 * generation_state_saved. False: there is nothing to write, or it cannot be. */
bool generation_state_save(struct conn *c, void (*done)(struct task *task));
void generation_state_saved(struct conn *c);

/* What became of the states; borrows the names from the request. */
struct states_result generation_state_result(const struct generation *g);

void generation_state_free(struct conn *c); /* no task is active; accepts zeroed */

#endif
