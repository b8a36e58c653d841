/* Feed-forward layers. Binds at open; runs on the engine thread, which divides work over
 * the pool.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/ffn.h"

#include "engine/mixer/mixer.h"

struct ffn {
    enum ffn_kind kind;
    struct matrix in[2], down; /* in: gate, up; or both as one; or up alone */
    int n_in, size;
    float gate_scale;
};

static bool is_gated(enum ffn_kind kind)
{
    return kind == FFN_SWIGLU || kind == FFN_GEGLU_TANH;
}

/* The matrices before the last one; returns their number. */
static int specify_in(const struct ffn_spec *s, int d, struct matrix_spec in[2])
{
    bool one = is_gated(s->kind) && s->gate_up;
    in[0] = (struct matrix_spec){s->gate, s->size, d, QUANT_MATRIX, s->bias};
    in[1] = (struct matrix_spec){s->up, s->size, d, QUANT_MATRIX, s->bias};
    if (one)
        in[0] = (struct matrix_spec){s->gate_up, 2 * s->size, d, QUANT_MATRIX, s->bias};
    else if (!is_gated(s->kind))
        in[0] = in[1];
    return one || !is_gated(s->kind) ? 1 : 2;
}

static int ffn_bind(struct mixer *mx, const void *spec, const struct bind *b,
                    struct err *err)
{
    const struct ffn_spec *s = spec;
    struct ffn *f = arena_zalloc(b->arena, 1, sizeof *f);
    struct matrix_spec in[2];
    if (!f)
        return err_set(err, ERR_MEMORY, "out of memory for a feed-forward layer");
    f->kind = s->kind;
    f->size = s->size;
    f->gate_scale = s->gate_scale;
    f->n_in = specify_in(s, b->hidden_size, in);
    mx->impl = f;
    const struct matrix_spec down = {s->down, b->hidden_size, s->size, QUANT_MATRIX,
                                     s->bias};
    int rc =
        bind_matrices((struct matrix *[]){&f->in[0], &f->in[1]}, b, in, f->n_in, err);
    return rc ? rc : bind_matrix(&f->down, b, &down, err);
}

static size_t ffn_scratch(const struct mixer *mx, int max_rows)
{
    const struct ffn *f = mx->impl;
    size_t bytes = 0;
    for (int i = 0; i < f->n_in; i++)
        bytes += mixer_floats_bytes((size_t)max_rows * (size_t)f->in[i].n_out);
    return bytes;
}

/* Rows of the inner width with stride ld. */
struct ffn_job {
    const struct ffn *f;
    float *inner;    /* the gate or the only input; the result replaces it */
    const float *up; /* of gated kinds, else NULL */
    size_t ld;
};

static void activate_row(const struct kernels *k, const struct ffn *f, float *x,
                         const float *up)
{
    size_t n = (size_t)f->size;
    if (f->gate_scale != 0)
        k->scale(x, f->gate_scale, n, x);
    switch (f->kind) {
    case FFN_SWIGLU:
        k->silu_mul(x, up, n, x);
        return;
    case FFN_GEGLU_TANH:
        k->gelu_tanh_mul(x, up, n, x);
        return;
    case FFN_RELU2:
        k->relu2(x, n, x);
        return;
    case FFN_GELU_TANH:
        k->gelu_tanh(x, n, x);
        return;
    }
}

static void activate_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct ffn_job *j = arg;
    for (size_t r = (size_t)row0; r < (size_t)row1; r++)
        activate_row(c->gemm->k, j->f, j->inner + r * j->ld,
                     j->up ? j->up + r * j->ld : NULL);
}

static void ffn_run(const struct mixer *mx, const struct ctx *c, const float *x, float *y)
{
    const struct ffn *f = mx->impl;
    float *out[2] = {NULL, NULL};
    size_t mark = arena_mark(c->scratch);
    for (int i = 0; i < f->n_in; i++)
        out[i] = mixer_floats(c, (size_t)c->n_rows * (size_t)f->in[i].n_out);
    mixer_linears(c, x, (const struct matrix *[]){&f->in[0], &f->in[1]}, out, f->n_in);
    bool one = is_gated(f->kind) && f->n_in == 1;
    struct ffn_job j = {f, out[0], one ? out[0] + f->size : out[1],
                        (size_t)f->in[0].n_out};
    mixer_rows(c, activate_rows, &j, 4 * (size_t)f->size);
    gemm_run(c->gemm, &f->down, j.inner, j.ld, c->n_rows, y, (size_t)f->down.n_out);
    arena_release(c->scratch, mark);
}

static void ffn_cost(const struct mixer *mx, const struct engine_batch *s,
                     struct engine_cost *sum)
{
    const struct ffn *f = mx->impl;
    cost_linears(sum, (const struct matrix *[]){&f->down, &f->in[0], &f->in[1]},
                 1 + f->n_in, cost_rows(s));
}

const struct mixer_kind mixer_ffn = {"feed-forward", ffn_bind, ffn_scratch, ffn_run,
                                     ffn_cost};
