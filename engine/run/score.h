/*
 * Scoring: one sequence run by hand, logits of every row. Used by the commands that
 * measure (logits, perplexity, tests), never while requests are live. Engine thread.
 */
#ifndef ENGINE_RUN_SCORE_H
#define ENGINE_RUN_SCORE_H

#include "engine/run/runner.h"

struct score {
    struct seq seq; /* seq.tokens and seq.pages are owned here */
    bool open;
};

/* Forgets what was there, stored prefixes too, and starts at position 0. ERR_BUSY when
 * requests are live, ERR_MEMORY. */
int score_begin(struct score *s, struct runner *r, struct err *err);
void score_end(struct score *s, struct runner *r); /* accepts one that is not open */

/* Appends ids and runs them in the given chunks (NULL: pieces of step_rows); see
 * engine_score. ERR_ARGUMENT, ERR_CONTEXT leave all as it was; ERR_BUDGET and a row that
 * stops end the scoring. */
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
