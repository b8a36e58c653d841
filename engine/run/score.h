/*
 * Scoring: one sequence outside the scheduler, with the logits of every row. The commands
 * that measure (logits, perplexity) and tests use it; it refuses to run while requests
 * are live. Engine thread only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_SCORE_H
#define ENGINE_RUN_SCORE_H

#include "engine/run/runner.h"

struct score {
    struct seq seq; /* seq.tokens and seq.pages are owned here */
    bool open;
};

/* Ends the last scoring, clears the prefix cache and starts at position 0. ERR_BUSY when
 * requests are live, ERR_MEMORY. */
int score_begin(struct score *s, struct runner *r, struct err *err);
void score_end(struct score *s, struct runner *r); /* accepts one that is not open */

/* Appends ids and runs them in the given chunks (NULL: pieces of step_rows); see
 * engine_score. ERR_ARGUMENT and ERR_CONTEXT change nothing; ERR_BUDGET and a row callback
 * that stops end the scoring. */
struct score_run {
    const int32_t *ids;
    size_t n;
    const int *chunks;
    size_t n_chunks;
    engine_row_fn *row;
    void *arg;
};
int score_run(struct score *s, struct runner *r, const struct score_run *j,
              struct err *err);

#endif
