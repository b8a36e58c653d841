/*
 * The step: schedule, batch, forward pass, head (output.h), events. Owns the pools, the
 * batch and the scratch; borrows model, vocabulary and thread pool from the engine.
 * Engine thread only, but for the work that it divides over the pool.
 *
 * runner_step allocates nothing: arrays are allocated at open, a sequence's memory at
 * submit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_RUNNER_H
#define ENGINE_RUN_RUNNER_H

#include "engine/model/model.h"
#include "engine/run/batch.h"
#include "engine/run/sample.h"
#include "engine/run/sched.h"
#include "engine/run/speculate.h"
#include "engine/state/memory_plan.h"

struct runner {
    const struct model *model; /* borrows until close, as vocab, kernels and pool */
    struct seq_vocab vocab;
    struct gemm gemm;
    struct gemm_scratch gemm_scratch; /* owns; used where a matrix is quantised */
    struct slots slots;
    struct pages pages;
    struct prefix prefix; /* zeroed: no prefix cache */
    struct reuse reuse;
    struct sched sched;
    struct list leased; /* of struct engine_lease */
    struct speculate speculate;
    struct batch batch;
    struct arena scratch;     /* fixed */
    struct sampler *samplers; /* owns; one a thread */
    int n_threads, max_logits;
    float *logits;              /* owns; [max_logits][V] */
    int *head_rows;             /* owns; [step_rows] rows that need logits */
    struct sample_out *row_out; /* owns; [max_logits] */
    engine_emit_fn *emit;
    void *emit_arg;
    uint64_t now_ns, n_steps;
    int last_rows;
};

struct runner_options {
    struct memory_plan plan; /* n_nodes 0: no prefix cache */
    size_t checkpoint_bytes;
    int checkpoint_interval; /* or ENGINE_INTERVAL_AUTO */
    int step_rows, n_threads;
    int max_waiting;
    uint64_t wide_wait_ns;
    enum engine_speculate speculate;
    engine_emit_fn *emit;
    void *emit_arg;
};

/* ERR_MEMORY. model, gemm.pool and vocab must outlive the runner. */
int runner_open(struct runner *r, const struct model *m, const struct gemm *g,
                const struct seq_vocab *w, const struct runner_options *o,
                struct err *err);
void runner_close(
    struct runner *r); /* accepts zeroed; frees live requests without events */

int runner_step(struct runner *r, uint64_t now_ns); /* rows that ran */

/* The context of a batch for mixers and the head. */
struct ctx runner_context(struct runner *r, const struct batch *b);

/* Runs a batch through the model. The context is filled for model_head; the result is h,
 * in scratch, which the caller releases to where it was before. */
const float *runner_forward(struct runner *r, const struct batch *b, struct ctx *c);

/* Bytes of a slot: the model's states and the last row (struct model). */
size_t runner_slot_bytes(const struct model *m);

/* Scratch bytes of a runner of these sizes; and, with logits and samplers, all its bytes
 * beside slots and pages. */
size_t runner_scratch_bytes(const struct model *m, int step_rows, int max_seqs);
size_t runner_bytes(const struct model *m, int step_rows, int max_seqs, int n_threads);

#endif
