/*
 * Logits to a token.
 *
 * Order: repetition, presence and frequency penalties, logit_bias, min_tokens;
 * temperature (below 1e-6: greedy); top_k, typical_p, top_p, min_p; draw. Candidates are
 * ordered by logit, ties by smaller id. Sums run in f64 in a fixed order. The draw is a
 * counter-based generator (Philox4x32-10, Salmon et al. 2011) keyed by (seed, choice,
 * position): a seed repeats at any concurrency and after a restart. Log-probabilities are
 * those of the raw logits. A sampler is one thread's scratch; different threads use
 * different samplers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_SAMPLE_H
#define ENGINE_RUN_SAMPLE_H

#include "engine/base/err.h"
#include "engine/run/rank.h"
#include "engine/types.h"

struct sampler {
    const struct kernels *k;
    int n_vocab;
    float *work;    /* owns; [n_vocab] adjusted logits, later weights */
    double *masses; /* owns; [rank_blocks(n_vocab)] sum of weights up to a block's end */
    uint32_t *counts; /* owns; [n_vocab], zero between calls */
    struct rank rank; /* owns its arrays */
};

int sample_open(struct sampler *s, const struct kernels *k, int n_vocab, struct err *err);
void sample_close(struct sampler *s); /* accepts zeroed */
size_t sample_bytes(int n_vocab);     /* that sample_open takes */

struct sample_in {
    const float *logits; /* [n_vocab] */
    const struct gen_params *gen;
    const int32_t *tokens; /* prompt and answer so far */
    int n_prompt, n_tokens;
    int choice;             /* within its request */
    const int32_t *end_ids; /* end tokens and stop ids, masked by min_tokens */
    int n_end_ids;
};

struct sample_out {
    int32_t id;    /* -1: a logit was not finite */
    float logprob; /* NAN when gen->logprobs < 0 */
    int n_top;
    struct top_logprob top[ENGINE_MAX_TOP];
};

void sample_next(struct sampler *s, const struct sample_in *in, struct sample_out *out);

/* Log-probability of id and the n_top best, under raw logits. False: not finite. */
bool sample_logprobs(const struct sampler *s, const float *logits, int32_t id, int n_top,
                     struct sample_out *out);

/* Uniform in [0, 1) with 53 bits for (seed, choice, position). */
double sample_uniform(uint64_t seed, uint32_t choice, uint32_t position);

#endif
