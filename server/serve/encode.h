/*
 * What takes long with a large body, on a uv worker, so that it never holds up the loop:
 * parsing it, text to ids and back, writing the ids, state objects on the disk. What
 * waits for a disk goes through a gate, so that it leaves workers to the rest.
 *
 * encode_start runs on the loop thread; `run` on a worker, touching nothing but its own
 * struct, what the struct's owner leaves to it until `done`, pure functions and the
 * engine's const ones; `done` on the loop thread again. The struct must stay where it is,
 * with what it borrows, until `done` has run, which it always does.
 */
#ifndef SERVER_SERVE_ENCODE_H
#define SERVER_SERVE_ENCODE_H

#include "engine/base/list.h"
#include "engine/engine.h"

#include <uv.h>

struct encode_item {
    const char *text; /* borrows; NULL: ids are given or wanted as text */
    size_t len;
    struct ids ids; /* owns: the result of encoding */
};

struct encode;

/* Answers 0 or -code with w->err set. */
typedef int encode_fn(struct encode *w);

/* So many of its works are with the workers at most; the others wait in their order. */
struct encode_gate {
    struct list waiting; /* encode.at */
    int running, most;
};

/* All workers of uv's pool but two may pass, and one always. */
void encode_gate_init(struct encode_gate *g);

struct encode {
    uv_work_t work;
    encode_fn *run;
    struct encode_gate *gate;  /* borrows; NULL: none. Not changed while active */
    struct list at;            /* in gate.waiting, if waiting */
    const struct engine *e;    /* borrows */
    unsigned flags;            /* of engine_encode */
    struct encode_item *items; /* owns, [n]: freed by encode_free */
    size_t n;
    struct buf out; /* owns: what run has written, if it writes */
    int rc;         /* what run answered */
    struct err err;
    void (*done)(struct encode *w);
    bool active, waiting;
};

/* Room for n items, zeroed. ERR_MEMORY. */
int encode_alloc(struct encode *w, size_t n, struct err *err);
void encode_free(struct encode *w); /* not while active; accepts a zeroed struct */

/* Work waits at its gate, then in uv's pool. ERR_INTERNAL: nothing was started. */
int encode_start(struct encode *w, encode_fn *run, uv_loop_t *loop, struct err *err);

/* Work that no worker has begun is not begun; done comes all the same. */
void encode_cancel(struct encode *w);

/* For run: encodes every item that has a text. */
int encode_items(struct encode *w);

#endif
