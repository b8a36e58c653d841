/*
 * What takes long with a large body, on a uv worker, so that it never holds up the loop:
 * parsing it, text to ids and back, writing the ids, state objects on the disk. What
 * waits for a disk goes through a gate, so that it leaves workers to the rest.
 *
 * task_start runs on the loop thread; `run` on a worker, touching nothing but its own
 * struct, what the struct's owner leaves to it until `done`, pure functions and the
 * engine's const ones; `done` on the loop thread again. The struct must stay where it is,
 * with what it borrows, until `done` has run, which it always does.
 */
#ifndef SERVER_SERVE_TASK_H
#define SERVER_SERVE_TASK_H

#include "engine/base/list.h"
#include "engine/engine.h"

#include <uv.h>

struct prompt_ids {
    const char *text; /* borrows; NULL: ids are given or wanted as text */
    size_t len;
    struct ids ids; /* owns: the result of encoding */
};

struct task;

/* Answers 0 or -code with w->err set. */
typedef int task_fn(struct task *w);

/* So many of its works are with the workers at most; the others wait in their order. */
struct task_limit {
    struct list waiting; /* encode.at */
    int running, most;
};

/* All workers of uv's pool but two may pass, and one always. */
void task_limit_init(struct task_limit *g);

struct task {
    uv_work_t work;
    task_fn *run;
    struct task_limit *gate;  /* borrows; NULL: none. Not changed while active */
    struct list at;           /* in gate.waiting, if waiting */
    const struct engine *e;   /* borrows */
    unsigned flags;           /* of engine_encode */
    struct prompt_ids *items; /* owns, [n]: freed by task_free */
    size_t n;
    struct buf out; /* owns: what run has written, if it writes */
    int rc;         /* what run answered */
    struct err err;
    void (*done)(struct task *w);
    bool active, waiting;
};

/* Room for n items, zeroed. ERR_MEMORY. */
int task_alloc(struct task *w, size_t n, struct err *err);
void task_free(struct task *w); /* not while active; accepts a zeroed struct */

/* Work waits at its gate, then in uv's pool. ERR_INTERNAL: nothing was started. */
int task_start(struct task *w, task_fn *run, uv_loop_t *loop, struct err *err);

/* Work that no worker has begun is not begun; done comes all the same. */
void task_cancel(struct task *w);

/* For run: encodes every item that has a text. */
int task_encode(struct task *w);

#endif
