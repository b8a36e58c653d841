/*
 * Speculative decoding: a sequence runs proposed tokens behind its own in one step, and
 * what is sampled from each row decides how many of them were true. The sampling of a
 * position depends on its row, seed and position alone, so the answer has the bits that
 * it has without proposals.
 *
 * A recurrent state cannot be taken back: each step's speculating sequences copy it
 * first, and one that was proposed too much begins its next step from the copy and runs
 * the rows again that were true. Attention, by pages or by rings, only forgets rows; no
 * step runs more at a sequence's end than a ring can forget. Few sequences
 * speculate at a time: where many run, a step has no rows to give away.
 *
 * The subtle point: between sampling and speculate_settle a sequence's n_run is ahead of
 * its tokens. Engine thread; all memory is taken at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_SPECULATE_H
#define ENGINE_RUN_SPECULATE_H

#include "engine/model/model.h"
#include "engine/run/batch.h"

enum { SPECULATE_SEQS = 4 };

struct runner;

struct speculate {
    enum engine_speculate mode;
    char *copies; /* owns; [SPECULATE_SEQS][rings_at] of slots as the step found them */
    struct batch replay; /* of a sequence that ends and is to be saved */
    const float *h;      /* borrows: this step's rows before the head */
    uint64_t n_proposed, n_accepted;
};

/* ERR_MEMORY. OFF takes nothing. */
int speculate_open(struct speculate *sp, const struct model *m,
                   enum engine_speculate mode, struct err *err);
void speculate_close(struct speculate *sp); /* accepts zeroed */

/* For the memory plan: all that it takes, and of this, scratch of a replay. */
size_t speculate_bytes(const struct model *m);
size_t speculate_scratch(const struct model *m);

/* After sched_plan, which gave n_rows rows: gives rows to proposals; returns the sum. */
int speculate_plan(struct runner *r, int n_rows);

/* After the batch is built: copies the states of those that have proposals. */
void speculate_begin(struct runner *r);

/* Whether the row of a decoding sequence is to be sampled from now: it ran a token that
 * was said. */
bool speculate_holds(const struct runner *r, const struct seq *s, int row);

/* Ends the speculation of a sequence, if there is one: n_run is what its state holds,
 * never more than its tokens but the last one; exactly these if `exact`. */
void speculate_settle(struct runner *r, struct seq *s, bool exact);

/* Settles all that go on. */
void speculate_end(struct runner *r);

#endif
