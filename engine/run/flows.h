/*
 * Flows: whose turn it is. A tree of those who ask: tenants, their client addresses,
 * their connections; a connection holds its waiting requests by priority, then arrival.
 * Owns the flows, not the requests. Engine thread only; flows_join alone allocates.
 *
 * Deficit round robin in tokens, uncached prompt and answer. A prompt is charged when it
 * is admitted, an answer while it is generated, because its length is not known before:
 * so a flow counts what it was served per share, and of those that wait the one that was
 * served least is next, of equal ones the one whose last turn is longest ago. A flow
 * that begins to wait begins beside the least served one that waits: it has no credit for
 * the time in which it asked for nothing.
 *
 * Priorities make classes: a smaller one goes first whoever asks, within it all take
 * turns. What tenants may ask is limited before, by the server.
 *
 * The subtle point: only what is computed while requests wait is charged, and all is
 * forgotten once none does, for nobody was kept waiting then. Until then a flow that has
 * no request left remains as long as it was served more than those that wait, so that
 * asking one at a time hides nothing. One that was refused remains with the time of its
 * turn, for FLOWS_TURNS turns, so that who comes again is before equal ones who were served
 * in the meantime. At most FLOWS_IDLE of both kinds remain.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_FLOWS_H
#define ENGINE_RUN_FLOWS_H

#include "engine/run/request.h"

enum { FLOWS_IDLE = 1024, FLOWS_TURNS = 16384 };

struct flow {
    struct list at;        /* in up->below */
    struct list below;     /* of a tenant its addresses, of an address its connections */
    struct flow *up;       /* NULL: the root, above the tenants */
    uint64_t key;          /* among its siblings */
    int n_live, n_waiting; /* requests of it and of those below */
    double share;
    double served;       /* tokens per share */
    double least;        /* of those below that wait, when one was last admitted */
    uint64_t turn;       /* when it began to wait or was last admitted from */
    bool refused;        /* since it was last admitted from: it keeps its turn */
    struct list waiting; /* of a connection: requests */
    struct list ready;   /* in flows.ready, while there are any */
    double sharing;      /* shares below it that divide a step's prefill: sched.c */
};

struct flows {
    struct flow root;
    struct list ready; /* connections with requests that wait */
    int n_idle;        /* flows without a request */
    uint64_t n_turns;
};

void flows_init(struct flows *fs);
void flows_close(struct flows *fs); /* accepts zeroed; no request is in it any more */

/* A request waits from now on. ERR_MEMORY: it does not. */
int flows_join(struct flows *fs, struct request *r, struct err *err);

/* It is admitted, and waits no longer. */
void flows_admit(struct flows *fs, struct request *r);

/* It has ended, admitted or not; its flow may be freed. */
void flows_leave(struct flows *fs, struct request *r);

/* It will be refused: flows_leave follows. */
void flows_refuse(struct request *r);

/* So many tokens are computed for it. */
void flows_charge(struct flows *fs, const struct request *r, int n_tokens);

/* The request that a connection of flows.ready has next. */
struct request *flows_first(const struct flow *f);

/* The request that gives way when too many wait; NULL: none waits. It is of the greatest
 * priority, then of the tenant that has the most requests waiting per share, or was served
 * most where these are equal, then of its address and its connection by the same rule, the
 * latest. So those who ask for much do not keep those out of the queue who ask for
 * little, nor those who were served those who were not. */
struct request *flows_last(const struct flows *fs);

/* Whether the first request of a comes before that of b. */
bool flows_before(const struct flow *a, const struct flow *b);

#endif
