/*
 * The scheduler: admission of waiting requests, and the rows that each sequence gets in a
 * step. Owns the two lists, not the requests. Engine thread only.
 *
 * A request is admitted when slots and pages can hold its worst case, for which
 * checkpoints are evicted; then it always finishes. Requests are admitted by priority,
 * then by arrival; the first that does not fit blocks those behind it, so that small
 * requests cannot starve a large one. In a step every decoding sequence gets one row (and
 * those that it recomputes: speculate.h); the rest of the row budget is divided evenly
 * among prompts in prefill: a long prompt delays a stream by one step at most, and the
 * prefill of a new request starts at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_SCHED_H
#define ENGINE_RUN_SCHED_H

#include "engine/run/request.h"
#include "engine/run/reuse.h"

struct sched {
    struct list waiting, running; /* of struct request */
    int n_waiting, n_running;     /* requests */
    int n_seqs, max_seqs;         /* sequences that hold a slot */
    struct reuse *reuse;          /* borrows from the runner */
    int step_rows;                /* > max_seqs */
};

void sched_init(struct sched *s, struct reuse *reuse, int max_seqs, int step_rows);

/* Queues a request behind those of its priority. The list holds it until sched_remove. */
void sched_push(struct sched *s, struct request *r);
void sched_remove(struct sched *s, struct request *r);
struct request *sched_find(const struct sched *s,
                           uint64_t id); /* NULL: no such request */

/* Admits waiting requests while the pools can hold them; calls fn for each. */
typedef void sched_admit_fn(void *arg, struct request *r);
void sched_admit(struct sched *s, sched_admit_fn *fn, void *arg);

/* Sets n_rows of every running sequence; returns their sum. */
int sched_plan(struct sched *s);

#endif
