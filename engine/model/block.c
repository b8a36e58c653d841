/* Runs a block. Engine thread; rows are divided over the pool.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/block.h"

#include <string.h>

struct stage *block_stage(struct block *b)
{
    struct stage *s = &b->stages[b->n_stages++];
    s->keep = 1;
    return s;
}

int stage_mixer(struct stage *s, const struct mixer_kind *kind, const void *spec,
                const struct bind *b, struct err *err)
{
    struct branch *br = &s->branches[s->n_branches++];
    *br = (struct branch){.mixer.kind = kind, .in_scale = 1, .weight = 1};
    return kind->bind(&br->mixer, spec, b, err);
}

struct rows {
    const struct stage *stage;
    const struct branch *branch;
    float *h, *n, *x, *z; /* x: the branch's input, n or a scaled copy */
    int hidden;
};

static size_t span_of(const struct rows *j, int row0, int row1, size_t *at)
{
    *at = (size_t)row0 * (size_t)j->hidden;
    return (size_t)(row1 - row0) * (size_t)j->hidden;
}

/* n = norm(h); then h becomes the base. */
static void open_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    const struct stage *s = j->stage;
    size_t at, n = span_of(j, row0, row1, &at);
    if (s->norm.n)
        norm_rows(&s->norm, c->gemm->k, j->h, j->n, row0, row1);
    else
        memcpy(j->n + at, j->h + at, n * sizeof *j->n);
    if (s->base == BASE_NORM)
        memcpy(j->h + at, j->n + at, n * sizeof *j->h);
    else if (s->base == BASE_H && s->keep != 1)
        c->gemm->k->scale(j->h + at, s->keep, n, j->h + at);
}

static void scale_input(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    size_t at, n = span_of(j, row0, row1, &at);
    c->gemm->k->scale(j->n + at, j->branch->in_scale, n, j->x + at);
}

/* h += weight · after(z), or residual ⊙ h + z. */
static void add_branch(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    const struct kernels *k = c->gemm->k;
    const struct branch *br = j->branch;
    size_t at, n = span_of(j, row0, row1, &at), d = (size_t)j->hidden;
    if (br->after.n)
        norm_rows(&br->after, k, j->z, j->z, row0, row1);
    if (j->stage->residual)
        for (size_t i = at; i < at + n; i += d)
            k->residual(j->stage->residual, j->z + i, d, j->h + i);
    else if (br->weight == 1)
        k->add(j->h + at, j->z + at, n, j->h + at);
    else
        k->axpy(br->weight, j->z + at, n, j->h + at);
}

static void run_branch(const struct ctx *c, struct rows *j, const struct branch *br,
                       float *scaled)
{
    bool sole = j->stage->base == BASE_NONE;
    float *out = sole ? j->h : j->z;
    j->branch = br;
    j->x = j->n;
    if (br->in_scale != 1) {
        j->x = scaled;
        mixer_rows(c, scale_input, j, (size_t)j->hidden);
    }
    br->mixer.kind->run(&br->mixer, c, j->x, out);
    if (!sole)
        mixer_rows(c, add_branch, j, 3 * (size_t)j->hidden);
}

void block_run(const struct block *b, const struct ctx *c, float *h, int hidden)
{
    size_t mark = arena_mark(c->scratch), n = (size_t)c->n_rows * (size_t)hidden;
    struct rows j = {.h = h, .hidden = hidden};
    j.n = mixer_floats(c, n);
    j.z = mixer_floats(c, n);
    float *scaled = mixer_floats(c, n);
    for (int i = 0; i < b->n_stages; i++) {
        j.stage = &b->stages[i];
        mixer_rows(c, open_rows, &j, 2 * (size_t)hidden);
        for (int k = 0; k < j.stage->n_branches; k++)
            run_branch(c, &j, &j.stage->branches[k], scaled);
    }
    arena_release(c->scratch, mark);
}

void block_each_mixer(struct block *b, block_mixer_fn *fn, void *arg)
{
    for (int i = 0; i < b->n_stages; i++)
        for (int k = 0; k < b->stages[i].n_branches; k++)
            fn(&b->stages[i].branches[k].mixer, arg);
}
