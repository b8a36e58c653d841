/*
 * The scheduler: admission of waiting requests, and the rows that each sequence gets in a
 * step. Owns the two lists and the flows, not the requests. Engine thread only.
 *
 * A request is admitted when slots and pages can hold its worst case, for which
 * checkpoints are evicted; then it always finishes. Requests are admitted by priority,
 * then by turns (flows.h). One that does not fit lets those behind it pass that do, until
 * it has waited for wide_wait: from then on nothing behind it is admitted before it, so
 * that all slots and pages that become free are kept for it.
 *
 * In a step every decoding sequence gets one row (and those that it recomputes:
 * speculate.h); the rest of the row budget is divided among prompts in prefill, evenly
 * between tenants by their shares, then addresses, then connections, then prompts. A long
 * prompt delays a stream by one step at most, the prefill of a new request starts at
 * once, and a connection with many prompts leaves the others their rows.
 *
 * The subtle point: a request that may fit costs a search for its prefix when it does
 * not, so that a step tries few of them. No answer depends on any of this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_SCHED_H
#define ENGINE_RUN_SCHED_H

#include "engine/run/flows.h"
#include "engine/run/request.h"
#include "engine/run/reuse.h"

struct sched {
    struct list waiting, running; /* of struct request, by arrival and by admission */
    struct flows flows;           /* of both */
    int n_waiting, n_running;     /* requests */
    int n_seqs, max_seqs;         /* sequences that hold a slot */
    struct reuse *reuse;          /* borrows from the runner */
    int step_rows;                /* > max_seqs */
    int max_waiting;              /* beyond what free sequences will take; 0: any */
    uint64_t wide_wait_ns;
    uint64_t n_passes; /* of admission */
};

/* No bound on those that wait, and none passes another, until these are set. */
void sched_init(struct sched *s, struct reuse *reuse, int max_seqs, int step_rows);
void sched_close(struct sched *s); /* the lists are empty; accepts zeroed */

/* Queues a request, which the lists hold until sched_remove. ERR_MEMORY: they do not. */
int sched_push(struct sched *s, struct request *r, struct err *err);
void sched_remove(struct sched *s, struct request *r);
struct request *sched_find(const struct sched *s,
                           uint64_t id); /* NULL: no such request */

/* The request that gives way to the newest, or that one itself, if too many wait now;
 * NULL: they are not too many, or the one whose turn is last (flows_last) is of a
 * connection with requests that run, and what was computed of them would be lost. */
struct request *sched_excess(const struct sched *s, struct request *newest);

/* Admits waiting requests while the pools can hold them; calls fn for each. Their
 * submit_ns is set. */
typedef void sched_admit_fn(void *arg, struct request *r);
void sched_admit(struct sched *s, uint64_t now_ns, sched_admit_fn *fn, void *arg);

/* Counts tokens that are computed for a request: its prompt is counted at admission. */
void sched_charge(struct sched *s, const struct request *r, int n_tokens);

/* Sets n_rows of every running sequence; returns their sum. */
int sched_plan(struct sched *s);

#endif
