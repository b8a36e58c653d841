/* Runs a block. Engine thread; rows are divided over the pool.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/block.h"

struct rows {
    const struct block *b;
    const struct branch *branch;
    float *h, *n, *z;
    int hidden;
};

static size_t span_of(const struct rows *j, int row0, int row1, size_t *at)
{
    *at = (size_t)row0 * (size_t)j->hidden;
    return (size_t)(row1 - row0) * (size_t)j->hidden;
}

static void norm_before(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    norm_rows(&j->branch->norm, c->gemm->k, j->h, j->n, row0, row1);
}

static void add_residual(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    const struct kernels *k = c->gemm->k;
    size_t at, n = span_of(j, row0, row1, &at), d = (size_t)j->hidden;
    if (!j->branch->residual) {
        k->add(j->h + at, j->z + at, n, j->h + at);
        return;
    }
    for (size_t i = at; i < at + n; i += d)
        k->residual(j->branch->residual, j->z + i, d, j->h + i);
}

static void run_serial(const struct block *b, const struct ctx *c, struct rows *j)
{
    for (int i = 0; i < b->n_branches; i++) {
        j->branch = &b->branches[i];
        mixer_rows(c, norm_before, j, 2 * (size_t)j->hidden);
        j->branch->mixer.kind->run(&j->branch->mixer, c, j->n, j->z);
        mixer_rows(c, add_residual, j, 2 * (size_t)j->hidden);
    }
}

/* n = norm_in(h), then h = alpha·h in place: h becomes the fused sum r. */
static void open_parallel(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    size_t at, n = span_of(j, row0, row1, &at);
    norm_rows(&j->b->norm_in, c->gemm->k, j->h, j->n, row0, row1);
    c->gemm->k->scale(j->h + at, j->b->alpha, n, j->h + at);
}

static void fuse_branch(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    size_t at, n = span_of(j, row0, row1, &at);
    norm_rows(&j->branch->norm, c->gemm->k, j->z, j->z, row0, row1);
    c->gemm->k->axpy(j->branch->weight, j->z + at, n, j->h + at);
}

static void close_parallel(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    norm_rows(&j->b->norm_post, c->gemm->k, j->h, j->n, row0, row1);
}

static void add_main(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct rows *j = arg;
    size_t at, n = span_of(j, row0, row1, &at);
    c->gemm->k->add(j->n + at, j->h + at, n, j->h + at);
}

static void run_parallel(const struct block *b, const struct ctx *c, struct rows *j)
{
    mixer_rows(c, open_parallel, j, 2 * (size_t)j->hidden);
    for (int i = 0; i < b->n_branches; i++) {
        j->branch = &b->branches[i];
        j->branch->mixer.kind->run(&j->branch->mixer, c, j->n, j->z);
        mixer_rows(c, fuse_branch, j, 3 * (size_t)j->hidden);
    }
    mixer_rows(c, close_parallel, j, 2 * (size_t)j->hidden);
    b->main.kind->run(&b->main, c, j->n, j->h);
    if (b->main_residual)
        mixer_rows(c, add_main, j, (size_t)j->hidden);
}

void block_run(const struct block *b, const struct ctx *c, float *h, int hidden)
{
    size_t mark = arena_mark(c->scratch), n = (size_t)c->n_rows * (size_t)hidden;
    struct rows j = {.b = b, .h = h, .hidden = hidden};
    j.n = mixer_floats(c, n);
    j.z = mixer_floats(c, n);
    if (b->kind == BLOCK_SERIAL)
        run_serial(b, c, &j);
    else
        run_parallel(b, c, &j);
    arena_release(c->scratch, mark);
}

void block_each_mixer(struct block *b, block_mixer_fn *fn, void *arg)
{
    for (int i = 0; i < b->n_branches; i++)
        fn(&b->branches[i].mixer, arg);
    if (b->kind == BLOCK_PARALLEL)
        fn(&b->main, arg);
}
