/* The gated kind: a real decay per channel. Threads divide (sequence, channel block).
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/gss.h"

#include "engine/kernel/math64.h"
#include "engine/mixer/mixer.h"

#include <stddef.h>

enum { UNIT_CHANNELS = 256 };

struct gss {
    struct matrix g, b, f, o;
    const float *decay; /* [S] exp(-exp(a_log)) */
    int n_state;
};

static double decay_of(double a_log)
{
    return math64_exp(-math64_exp(a_log));
}

static int gss_bind(struct mixer *mx, const void *spec, const struct bind *b,
                    struct err *err)
{
    const struct gss_spec *s = spec;
    struct gss *l = arena_zalloc(b->arena, 1, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for a gated state space");
    int d = b->hidden_size;
    l->n_state = s->n_state;
    mx->impl = l;
    mx->need.fixed_bytes = (size_t)s->n_state * sizeof(float);
    const struct matrix_spec all[] = {{.name = "w_g", .n_out = s->n_state, .n_in = d},
                                      {.name = "w_b", .n_out = s->n_state, .n_in = d},
                                      {.name = "w_f", .n_out = s->n_state, .n_in = d},
                                      {.name = "w_o", .n_out = d, .n_in = s->n_state}};
    int rc =
        bind_matrices((struct matrix *[]){&l->g, &l->b, &l->f, &l->o}, b, all, 4, err);
    if (rc == 0 && bind_has(b, "b_g"))
        rc = bind_vector(&l->g.bias, b, "b_g", s->n_state, err);
    return rc ? rc : bind_mapped(&l->decay, b, "a_log", s->n_state, decay_of, err);
}

static size_t gss_scratch(const struct mixer *mx, int max_rows)
{
    const struct gss *l = mx->impl;
    return 4 * mixer_floats_bytes((size_t)max_rows * (size_t)l->n_state);
}

struct gss_job {
    const struct mixer *mx;
    const struct gss *l;
    float *g, *b, *f, *h;
};

static void gate_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct gss_job *j = arg;
    size_t at = (size_t)row0 * (size_t)j->l->n_state;
    c->gemm->k->sigmoid(j->g + at, (size_t)(row1 - row0) * (size_t)j->l->n_state,
                        j->g + at);
}

static void scan_block(const void *arg, const struct ctx *c, const struct span *s,
                       int unit)
{
    const struct gss_job *j = arg;
    int first = unit * UNIT_CHANNELS, left = j->l->n_state - first;
    size_t ld = (size_t)j->l->n_state, at = (size_t)s->row0 * ld + (size_t)first;
    struct gss_args args = {
        .h = (float *)(void *)(s->fixed + j->mx->fixed_offset) + first,
        .a = j->l->decay + first,
        .g = j->g + at,
        .b = j->b + at,
        .y = j->h + at,
        .ld_g = ld,
        .ld_b = ld,
        .ld_y = ld,
        .n_rows = s->n_rows,
        .n = left < UNIT_CHANNELS ? left : UNIT_CHANNELS,
    };
    c->gemm->k->gss(&args);
}

static void output_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct gss_job *j = arg;
    size_t at = (size_t)row0 * (size_t)j->l->n_state;
    size_t n = (size_t)(row1 - row0) * (size_t)j->l->n_state;
    c->gemm->k->silu_mul(j->f + at, j->h + at, n, j->f + at);
}

static void gss_run(const struct mixer *mx, const struct ctx *c, const float *x, float *y)
{
    const struct gss *l = mx->impl;
    size_t mark = arena_mark(c->scratch), n = (size_t)c->n_rows * (size_t)l->n_state;
    struct gss_job j = {.mx = mx, .l = l};
    j.g = mixer_floats(c, n);
    j.b = mixer_floats(c, n);
    j.f = mixer_floats(c, n);
    j.h = mixer_floats(c, n);
    mixer_linears(c, x, (const struct matrix *[]){&l->g, &l->b, &l->f},
                  (float *[]){j.g, j.b, j.f}, 3);
    mixer_rows(c, gate_rows, &j, 4 * (size_t)l->n_state);
    mixer_units(c, scan_block, &j, (l->n_state + UNIT_CHANNELS - 1) / UNIT_CHANNELS);
    mixer_rows(c, output_rows, &j, 4 * (size_t)l->n_state);
    mixer_linear(c, &l->o, j.f, y);
    arena_release(c->scratch, mark);
}

/* A channel's step is a fused product and a product. */
static void gss_cost(const struct mixer *mx, const struct engine_batch *s,
                     struct engine_cost *sum)
{
    const struct gss *l = mx->impl;
    const struct matrix *const all[] = {&l->g, &l->b, &l->f, &l->o};
    cost_linears(sum, all, 4, cost_rows(s));
    cost_state(sum, s, mx->need.fixed_bytes);
    sum->f32_ops += 3.0 * l->n_state * cost_rows(s);
}

const struct mixer_kind mixer_gss = {"gated state space", gss_bind, gss_scratch, gss_run,
                                     gss_cost};
