/*
 * Work that would hold up the loop, run by a uv worker: parsing large bodies, text to
 * token ids and back, state objects on the disk. Tasks of one task_limit run only so many
 * at once, so that a slow disk leaves workers to the rest.
 *
 * task_start runs on the loop thread, `run` on a worker, `done` on the loop thread again.
 * `run` touches its own struct, what the struct's owner leaves to it until `done`, pure
 * functions and the const ones of the engine. The subtle point: the struct, and what it
 * borrows, must stay in place until `done` has run, which it always does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_TASK_H
#define SERVER_SERVE_TASK_H

#include "engine/base/list.h"
#include "engine/engine.h"

#include <uv.h>

struct task;

/* 0, or -code with task->err set. */
typedef int task_fn(struct task *task);

/* At most `most` of its tasks are with the workers; the others wait in their order. */
struct task_limit {
    struct list waiting; /* task.at */
    int running, most;
};

/* most 0: all workers of uv's pool but two, and at least one. */
void task_limit_init(struct task_limit *limit, int most);

struct task {
    uv_work_t work;
    task_fn *run;
    struct task_limit *limit; /* borrows; NULL: none. Not changed while active */
    struct list at;           /* in limit.waiting, if waiting */
    const struct engine *e;   /* borrows */
    struct buf out;           /* owns; what run writes, if it writes */
    int rc;                   /* what run returned */
    struct err err;
    void (*done)(struct task *task);
    bool active, waiting;
};

void task_free(struct task *task); /* not while active; accepts a zeroed struct */

/* Queues the task, at its limit first. ERR_INTERNAL: nothing was started. */
int task_start(struct task *task, task_fn *run, uv_loop_t *loop, struct err *err);

/* A task that no worker has begun ends with an error; done runs all the same. */
void task_cancel(struct task *task);

#endif
