/*
 * A pool of worker threads for one caller. The threads take the tasks of a job from a
 * shared counter. The caller works too, so n_threads = 1 starts no thread. Workers spin
 * briefly, then sleep; beside other busy processes fewer of them take part
 * (active_threads.h). No result depends on which thread runs a task: tasks divide
 * outputs, heads and sequences, never a sum.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_POOL_H
#define ENGINE_KERNEL_POOL_H

#include "engine/base/err.h"

struct pool;

typedef void pool_fn(void *arg, int task, int thread); /* thread: 0 … n_threads-1 */

/* The opening thread must be the caller of pool_run: its waits for a processor count with
 * the workers'. ERR_ARGUMENT, ERR_MEMORY, ERR_IO. */
int pool_open(struct pool **out, int n_threads, struct err *err);
void pool_close(struct pool *p); /* accepts NULL; joins the workers */
int pool_threads(const struct pool *p);

/* Binds thread i to the i-th processor that the calling thread may run on, the caller
 * being thread 0; pool_close gives the caller its processors back. In a bound pool all
 * threads take part always, for they cannot move to other processors. ERR_ARGUMENT with
 * more threads than processors, ERR_IO when the system refuses; nothing is bound then. */
int pool_pin(struct pool *p, struct err *err);

/* Runs fn(arg, t, thread) for t in [0, n_tasks) and returns when all are done. One caller
 * at a time. Allocates nothing. What fn wrote is visible to the caller afterwards. */
void pool_run(struct pool *p, pool_fn *fn, void *arg, int n_tasks);

#endif
