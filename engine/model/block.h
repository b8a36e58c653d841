/*
 * A block: a short list of stages, a stage a norm and the mixers that read what it gives.
 *
 *   n = norm(h)                                   an absent norm copies
 *   z_i = after_i(mixer_i(in_scale_i · n))        an absent after copies
 *   h = base + Σ_i weight_i · z_i                 in the order of the branches
 *
 * The base is what the stage's mixers add to: BASE_H, keep · h or residual ⊙ h;
 * BASE_NORM, n; BASE_NONE, nothing, with one branch of weight 1 and no after norm. A
 * Transformer layer is two stages of one branch each, a TransXSSM layer the same with
 * learned residuals; PHA (arXiv 2606.16093) has three branches, then one on BASE_NORM;
 * Falcon-H1 two branches with scales, then one; Gemma's sandwich norms are after norms.
 *
 * Made at open and constant afterwards; the model's arena owns all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_BLOCK_H
#define ENGINE_MODEL_BLOCK_H

#include "engine/mixer/mixer.h"
#include "engine/mixer/norm.h"

enum { BLOCK_MAX_STAGES = 2, STAGE_MAX_BRANCHES = 3 };

struct branch {
    struct mixer mixer;
    struct norm after;
    float in_scale, weight; /* 1: none */
};

enum stage_base { BASE_H, BASE_NORM, BASE_NONE };

struct stage {
    struct norm norm;
    struct branch branches[STAGE_MAX_BRANCHES];
    int n_branches;
    enum stage_base base;
    float keep;            /* of h, BASE_H; 1: none */
    const float *residual; /* [D], BASE_H with one branch of weight 1; or NULL */
};

struct block {
    struct stage stages[BLOCK_MAX_STAGES];
    int n_stages;
};

/* The next stage, with BASE_H, keep 1 and no norm. */
struct stage *block_stage(struct block *b);

/* The next branch, with every scale 1 and no after norm, and its mixer bound. The
 * caller may change the branch then: it is the last one. */
int stage_mixer(struct stage *s, const struct mixer_kind *kind, const void *spec,
                const struct bind *b, struct err *err);

/* Calls fn for every mixer of the block. */
typedef void block_mixer_fn(struct mixer *mx, void *arg);
void block_each_mixer(struct block *b, block_mixer_fn *fn, void *arg);

/* h[r, :], [n_rows, hidden] in place. Scratch: three buffers of that size beside the
 * mixers'. */
void block_run(const struct block *b, const struct ctx *c, float *h, int hidden);

enum { BLOCK_BUFFERS = 3 };

#endif
