/*
 * The rows of a step: ids, positions and spans of the running sequences, in arrays that
 * are allocated at open. The pages that the rows will write are taken here, from the
 * sequences' reservations. Engine thread only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_BATCH_H
#define ENGINE_RUN_BATCH_H

#include "engine/mixer/mixer.h"
#include "engine/run/sched.h"

struct batch {
    int32_t *ids, *positions, *row_span; /* own; [rows_cap] */
    struct span *spans;                  /* owns; [spans_cap] */
    struct seq **seqs; /* owns; [spans_cap], span i belongs to seqs[i] */
    int n_rows, n_spans, rows_cap, spans_cap;
};

int batch_open(struct batch *b, int rows_cap, int spans_cap,
               struct err *err); /* ERR_MEMORY */
void batch_close(struct batch *b);

void batch_reset(struct batch *b);

/* Appends q's next q->n_rows tokens as one span and sets q->row0. */
void batch_add(struct batch *b, struct seq *q, struct slots *slots, struct pages *pages);

/* Every running sequence with rows. */
void batch_build(struct batch *b, const struct sched *s);

#endif
