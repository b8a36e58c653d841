/*
 * Who runs, and how many tokens: admission and the plan of a step. Engine thread only.
 *
 * A request is admitted when slots and pages can hold its worst case, checkpoints giving
 * way; then it always finishes. Waiting requests go by priority, then arrival; the first
 * that does not fit holds the others back, so that a large one is never starved by small
 * ones. In a step every decoding sequence gets one row (and those that it has to run
 * again: speculate.h), what is left of the row budget is divided evenly among prompts
 * being read: a long prompt never stalls a stream for more than one step, and an arrival
 * starts at once.
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

/* Moves waiting requests to running while the pools can hold them; each one admitted is
 * told to fn (start event). */
typedef void sched_admit_fn(void *arg, struct request *r);
void sched_admit(struct sched *s, sched_admit_fn *fn, void *arg);

/* Sets n_rows of every running sequence; returns their sum. */
int sched_plan(struct sched *s);

#endif
