/* SwiGLU. Binds at open; runs on the engine thread, which divides work over the pool.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/ffn.h"

#include "engine/mixer/mixer.h"

struct ffn {
    struct matrix gate, up, down;
    int size;
};

static int ffn_bind(struct mixer *mx, const void *spec, const struct bind *b,
                    struct err *err)
{
    const struct ffn_spec *s = spec;
    struct ffn *f = arena_zalloc(b->arena, 1, sizeof *f);
    if (!f)
        return err_set(err, ERR_MEMORY, "out of memory for a feed-forward layer");
    f->size = s->size;
    mx->impl = f;
    const int d = b->hidden_size;
    const struct matrix_spec all[] = {{s->gate, s->size, d, QUANT_MATRIX, s->bias},
                                      {s->up, s->size, d, QUANT_MATRIX, s->bias},
                                      {s->down, d, s->size, QUANT_MATRIX, s->bias}};
    return bind_matrices((struct matrix *[]){&f->gate, &f->up, &f->down}, b, all, 3, err);
}

static size_t ffn_scratch(const struct mixer *mx, int max_rows)
{
    const struct ffn *f = mx->impl;
    return 2 * mixer_floats_bytes((size_t)max_rows * (size_t)f->size);
}

struct ffn_job {
    const struct ffn *f;
    float *gate;
    const float *up;
};

static void gate_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct ffn_job *j = arg;
    size_t at = (size_t)row0 * (size_t)j->f->size;
    size_t n = (size_t)(row1 - row0) * (size_t)j->f->size;
    c->gemm->k->silu_mul(j->gate + at, j->up + at, n, j->gate + at);
}

static void ffn_run(const struct mixer *mx, const struct ctx *c, const float *x, float *y)
{
    const struct ffn *f = mx->impl;
    size_t mark = arena_mark(c->scratch), n = (size_t)c->n_rows * (size_t)f->size;
    float *gate = mixer_floats(c, n), *up = mixer_floats(c, n);
    mixer_linears(c, x, (const struct matrix *[]){&f->gate, &f->up},
                  (float *[]){gate, up}, 2);
    struct ffn_job j = {f, gate, up};
    mixer_rows(c, gate_rows, &j, 4 * (size_t)f->size);
    mixer_linear(c, &f->down, gate, y);
    arena_release(c->scratch, mark);
}

static void ffn_cost(const struct mixer *mx, const struct engine_batch *s,
                     struct engine_cost *sum)
{
    const struct ffn *f = mx->impl;
    const struct matrix *const all[] = {&f->gate, &f->up, &f->down};
    cost_linears(sum, all, 3, cost_rows(s));
}

const struct mixer_kind mixer_ffn = {"ffn", ffn_bind, ffn_scratch, ffn_run, ffn_cost};
