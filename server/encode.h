/*
 * Text to ids and back on a uv worker, so that a long prompt never holds up the loop.
 *
 * encode_start runs on the loop thread; the work itself on a worker, touching nothing but
 * its own struct and the engine's const functions; `done` on the loop thread again. The
 * struct must stay where it is, with what it borrows, until `done` has run, which it
 * always does.
 */
#ifndef SERVER_ENCODE_H
#define SERVER_ENCODE_H

#include "engine/engine.h"

#include <uv.h>

struct encode_item {
    const char *text; /* borrows; NULL: ids are given or wanted as text */
    size_t len;
    struct ids ids; /* owns: the result of encoding */
};

struct encode {
    uv_work_t work;
    const struct engine *e;    /* borrows */
    unsigned flags;            /* of engine_encode */
    struct encode_item *items; /* owns, [n]: freed by encode_free */
    size_t n;
    const int32_t *from; /* decoding instead: borrows [n_from] */
    size_t n_from;
    struct buf decoded; /* owns */
    int rc;             /* 0, or -code of the first failure with err */
    struct err err;
    void (*done)(struct encode *w);
    bool active;
};

/* Room for n items, zeroed. ERR_MEMORY. */
int encode_alloc(struct encode *w, size_t n, struct err *err);
void encode_free(struct encode *w); /* not while active; accepts a zeroed struct */

/* Work waits in uv's pool. ERR_INTERNAL: nothing was started. */
int encode_start(struct encode *w, uv_loop_t *loop, struct err *err);

#endif
