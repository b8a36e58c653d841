/*
 * A pool of worker threads for one caller: divides a job into tasks taken from a shared
 * counter. The calling thread works too, so n_threads = 1 starts none. Workers spin
 * briefly, then sleep; beside other busy processes fewer of them take part
 * (active_threads.h). Which thread runs a task never changes a result: tasks divide
 * outputs, heads and sequences, never a sum.
 */
#ifndef ENGINE_KERNEL_POOL_H
#define ENGINE_KERNEL_POOL_H

#include "engine/base/err.h"

struct pool;

typedef void pool_fn(void *arg, int task, int thread); /* thread: 0 … n_threads-1 */

/* ERR_ARGUMENT, ERR_MEMORY, ERR_IO. The opening thread is to be the caller of pool_run:
 * its waits for a processor are watched with the workers'. */
int pool_open(struct pool **out, int n_threads, struct err *err);
void pool_close(struct pool *p); /* accepts NULL; joins the workers */
int pool_threads(const struct pool *p);

/* Binds thread i to the i-th processor that the calling thread may run on, the caller
 * being thread 0; pool_close gives the caller its processors back. A bound pool never
 * rests: its threads cannot move out of a neighbour's way. ERR_ARGUMENT with more threads
 * than processors, ERR_IO when the system refuses; nothing is bound then. */
int pool_pin(struct pool *p, struct err *err);

/* Runs fn(arg, t, thread) for t in [0, n_tasks) and returns when all are done. One caller
 * at a time. Allocates nothing. What fn wrote is visible to the caller afterwards. */
void pool_run(struct pool *p, pool_fn *fn, void *arg, int n_tasks);

#endif
