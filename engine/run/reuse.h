/*
 * Between sequences and what they leave behind: how a request begins, with the state of a
 * stored prefix or with nothing, and where on its way a checkpoint is taken. Engine
 * thread only; allocates nothing.
 *
 * A slot is the constant part of a state and, behind it, the last token's row before the
 * head: whoever begins with all of its prompt runs the head over that row again, and the
 * state is advanced by nobody twice. A checkpoint is taken after the forward pass that
 * made it, and found by requests that are admitted later.
 */
#ifndef ENGINE_RUN_REUSE_H
#define ENGINE_RUN_REUSE_H

#include "engine/run/request.h"
#include "engine/state/prefix.h"

struct batch;

struct reuse {
    struct slots *slots; /* borrows until close, as pages and prefix */
    struct pages *pages;
    struct prefix *prefix; /* NULL: nothing is stored */
    size_t row_at;         /* of the row in a slot */
    int row_floats;
    int interval;              /* tokens between checkpoints of a long prompt; 0: none */
    const struct vocab *vocab; /* NULL: texts are not compared */
    uint64_t missed[ENGINE_MISS_N]; /* tokens */
};

/* Gives a waiting request slots, a reservation for its worst case and, where a stored
 * prefix of its prompt is found, the state there. Evicts checkpoints as needed. False:
 * what runs leaves too little; the request has nothing then. */
bool reuse_begin(struct reuse *u, struct request *r);

/* The state after `depth` tokens of a request's prompt was loaded, or 0: none was. */
void reuse_loaded(struct reuse *u, struct request *r, int depth);

/* After a forward pass: takes the checkpoints that sequences of the batch have come to.
 */
void reuse_keep(struct reuse *u, const struct batch *b);

/* Whether the state's last row is all numbers: one that is none would be found again and
 * again. */
bool reuse_is_sound(const struct reuse *u, int32_t slot);

/* Whether a sequence that ends now has a state worth a checkpoint. */
bool reuse_wants(const struct reuse *u, const struct seq *s);

/* Ends a sequence: its slot becomes the checkpoint at its end unless `spoilt`; the rest
 * goes back to the pools. */
void reuse_end(struct reuse *u, struct seq *s, bool spoilt);

/* The row behind a slot's state. */
float *reuse_row(const struct reuse *u, int32_t slot);

#endif
