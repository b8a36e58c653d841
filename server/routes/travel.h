/*
 * States that a completion loads and saves: objects of the store into loans of the engine
 * and out of them, on uv workers.
 *
 * travel_find, a worker's: the object is opened, its tokens are compared with the prompt,
 * and only the rest of a text is tokenised. Then the engine lends memory (EVENT_LOAD) and
 * travel_load has a worker read the body into it; at the end it lends the finished state
 * and travel_save has a worker write it. Each loan goes back, whatever happens: its way
 * is made before the request is submitted, so that returning cannot fail.
 *
 * Loop thread but for travel_find. The subtle point: while a loan is out a worker is at
 * it, and a conn outlives its workers; so whoever has waited for those has waited for the
 * loans.
 */
#ifndef SERVER_ROUTES_TRAVEL_H
#define SERVER_ROUTES_TRAVEL_H

#include "server/serve/bridge.h"
#include "server/serve/encode.h"
#include "server/storage/disk_cache.h"

struct conn;

struct loan {
    struct engine_state *state; /* the engine's; out now, and a worker is at it */
    struct bridge_way *way;     /* owns, until it is gone */
};

struct travel { /* zeroed: nothing is loaded or saved */
    int fd; /* owns, if open: the object that is loaded, as it was when it was found */
    struct disk_cache_place place; /* depth 0: what is loaded was asked for by its name */
    bool open, arrived, stored;    /* arrived: the engine has room for what is loaded */
    struct engine_object from, to; /* what is loaded; what is stored */
    struct loan load, save;
};

/* For work_start, instead of encode_items: leaves the ids of a text in its item.
 * ERR_NOT_FOUND, ERR_CONFLICT, ERR_IO, or as tokenising. */
int travel_find(struct encode *w);

/* Whether there may be something in the disk cache for the one prompt of a request. Then
 * travel_reopen is for work_start, and travel_recalled follows it. Nothing of this is an
 * error: what is damaged or foreign is removed, and the prompt is read. */
bool travel_recall(struct conn *c);
int travel_reopen(struct encode *w);
void travel_recalled(struct conn *c);

/* Says in the engine's request what is loaded and saved. */
void travel_ask(const struct conn *c, struct engine_request *r);

/* Before the request is submitted. ERR_MEMORY. */
int travel_prepare(struct conn *c, struct err *err);

/* EVENT_LOAD: the state is read and the loan returned. What goes wrong is conn.fault. */
void travel_load(struct conn *c, struct engine_state *loan);

/* EVENT_FINISH, with or without a loan. */
void travel_finish(struct conn *c, const struct event *ev);

/* When all events have come. True: a worker writes the state, then done is called, which
 * calls travel_saved; a fault is conn.fault. False: there is nothing to write. */
bool travel_save(struct conn *c, void (*done)(struct encode *w));
void travel_saved(struct conn *c);

/* Tells conn.answer what became of the states. */
void travel_tell(const struct conn *c);

void travel_free(struct conn *c); /* no worker is at it; accepts zeroed */

#endif
