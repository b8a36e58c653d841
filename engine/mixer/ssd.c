/*
 * SSD. The recurrence runs token by token in one fixed order with the head's tile [N][P]
 * in L1. Prefill and decode are the same arithmetic: splitting a prompt changes no bit.
 * Threads divide (sequence, head).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/ssd.h"

struct ssd {
    struct matrix c, b, x, dt, out;
    const float *a;       /* [H], signed as stored */
    const float *dt_bias; /* [H] or NULL */
    int n_heads, head_dim, n_state;
    const struct rope *rope; /* or NULL */
};

static int ssd_bind(struct mixer *mx, const void *spec, const struct bind *bd,
                    struct err *err)
{
    const struct ssd_spec *s = spec;
    struct ssd *l = arena_zalloc(bd->arena, 1, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for an SSD layer");
    l->n_heads = s->n_heads;
    l->head_dim = s->head_dim;
    l->n_state = s->n_state;
    l->rope = s->rope;
    mx->impl = l;
    int d = bd->hidden_size, hn = s->n_heads * s->n_state, hp = s->n_heads * s->head_dim;
    mx->need.fixed_bytes = (size_t)hn * (size_t)s->head_dim * sizeof(float);
    const struct matrix_spec all[] = {{s->c, hn, d, QUANT_MATRIX, s->bias},
                                      {s->b, hn, d, QUANT_MATRIX, s->bias},
                                      {s->x, hp, d, QUANT_MATRIX, s->bias},
                                      {s->dt, s->n_heads, d, QUANT_EXACT, s->bias},
                                      {s->out, d, hp, QUANT_MATRIX, s->bias}};
    int rc = bind_matrices((struct matrix *[]){&l->c, &l->b, &l->x, &l->dt, &l->out}, bd,
                           all, 5, err);
    if (rc == 0)
        rc = bind_vector(&l->a, bd, s->a, s->n_heads, err);
    if (rc == 0 && bind_has(bd, s->dt_bias))
        rc = bind_vector(&l->dt_bias, bd, s->dt_bias, s->n_heads, err);
    return rc;
}

static size_t ssd_scratch(const struct mixer *mx, int max_rows)
{
    const struct ssd *l = mx->impl;
    size_t rows = (size_t)max_rows;
    return 2 * mixer_floats_bytes(rows * (size_t)l->c.n_out) +
           2 * mixer_floats_bytes(rows * (size_t)l->x.n_out) +
           2 * mixer_floats_bytes(rows * (size_t)l->n_heads);
}

struct ssd_job {
    const struct mixer *mx;
    const struct ssd *l;
    float *c, *b, *x, *dt, *decay, *y;
};

static void rotate_and_discretise(const void *arg, const struct ctx *ctx, int row0,
                                  int row1)
{
    const struct ssd_job *j = arg;
    const struct ssd *l = j->l;
    const struct kernels *k = ctx->gemm->k;
    if (l->rope) {
        const struct rope_heads c = {j->c, l->n_heads, l->n_state};
        const struct rope_heads b = {j->b, l->n_heads, l->n_state};
        rope_rows(l->rope, ctx, &c, row0, row1);
        rope_rows(l->rope, ctx, &b, row0, row1);
    }
    size_t h = (size_t)l->n_heads;
    for (size_t r = (size_t)row0; r < (size_t)row1; r++) {
        float *dt = j->dt + r * h, *decay = j->decay + r * h;
        if (l->dt_bias)
            k->add(dt, l->dt_bias, h, dt);
        k->softplus(dt, h, dt);
        k->mul(dt, l->a, h, decay);
        k->exp(decay, h, decay);
    }
}

static void scan_head(const void *arg, const struct ctx *ctx, const struct span *s,
                      int head)
{
    const struct ssd_job *j = arg;
    const struct ssd *l = j->l;
    size_t row = (size_t)s->row0, h = (size_t)head;
    size_t p = (size_t)l->head_dim, n = (size_t)l->n_state;
    size_t at_bc = row * (size_t)l->c.n_out + h * n,
           at_x = row * (size_t)l->x.n_out + h * p;
    size_t at_t = row * (size_t)l->n_heads + h;
    struct ssd_args args = {
        .state = (float *)(void *)(s->fixed + j->mx->fixed_offset) + h * n * p,
        .x = j->x + at_x,
        .b = j->b + at_bc,
        .c = j->c + at_bc,
        .a = j->decay + at_t,
        .dt = j->dt + at_t,
        .y = j->y + at_x,
        .ld_x = (size_t)l->x.n_out,
        .ld_bc = (size_t)l->c.n_out,
        .ld_t = (size_t)l->n_heads,
        .ld_y = (size_t)l->x.n_out,
        .n_rows = s->n_rows,
        .n_head = l->head_dim,
        .n_state = l->n_state,
    };
    ctx->gemm->k->ssd(&args);
}

static void ssd_run(const struct mixer *mx, const struct ctx *ctx, const float *u,
                    float *y)
{
    const struct ssd *l = mx->impl;
    size_t mark = arena_mark(ctx->scratch), rows = (size_t)ctx->n_rows;
    struct ssd_job j = {.mx = mx, .l = l};
    j.c = mixer_floats(ctx, rows * (size_t)l->c.n_out);
    j.b = mixer_floats(ctx, rows * (size_t)l->b.n_out);
    j.x = mixer_floats(ctx, rows * (size_t)l->x.n_out);
    j.y = mixer_floats(ctx, rows * (size_t)l->x.n_out);
    j.dt = mixer_floats(ctx, rows * (size_t)l->n_heads);
    j.decay = mixer_floats(ctx, rows * (size_t)l->n_heads);
    mixer_linears(ctx, u, (const struct matrix *[]){&l->c, &l->b, &l->x, &l->dt},
                  (float *[]){j.c, j.b, j.x, j.dt}, 4);
    mixer_rows(ctx, rotate_and_discretise, &j, 4 * (size_t)l->c.n_out);
    mixer_units(ctx, scan_head, &j, l->n_heads);
    mixer_linear(ctx, &l->out, j.y, y);
    arena_release(ctx->scratch, mark);
}

/* For each element of the state: a product and two fused ones, the last to read it. */
static void ssd_cost(const struct mixer *mx, const struct engine_batch *s,
                     struct engine_cost *sum)
{
    const struct ssd *l = mx->impl;
    const struct matrix *const all[] = {&l->c, &l->b, &l->x, &l->dt, &l->out};
    cost_linears(sum, all, 5, cost_rows(s));
    cost_state(sum, s, mx->need.fixed_bytes);
    sum->f32_ops += 5.0 * l->n_heads * l->head_dim * l->n_state * cost_rows(s);
}

const struct mixer_kind mixer_ssd = {"SSD", ssd_bind, ssd_scratch, ssd_run, ssd_cost};
