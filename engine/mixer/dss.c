/*
 * The diagonal complex kind. Channels lie along the lanes, 16 to a block, so a sum over
 * modes is one chain a lane; exp(Λ) and the input coefficient are computed in f64 at
 * open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/math64.h"
#include "engine/mixer/gss.h"
#include "engine/mixer/mixer.h"
#include "engine/mixer/norm.h"

#include <math.h>
#include <string.h>

struct dss {
    struct matrix v, u, c, o;
    struct norm norm;
    const float *coef; /* [blocks][N][2][16] */
    const float *e;    /* [N][2] */
    const float *d;    /* [blocks][16] */
    int n_gate, n_channels, n_state, n_blocks;
};

struct dss_tensors {
    const float *lam_re, *lam_im, *c_re, *c_im, *d;
};

static int bind_tensors(struct dss_tensors *t, const struct dss *l, const struct bind *b,
                        struct err *err)
{
    const int64_t shape[] = {l->n_channels, l->n_state};
    int rc = bind_vector(&t->lam_re, b, "lam_re", l->n_state, err);
    if (rc == 0)
        rc = bind_vector(&t->lam_im, b, "lam_im", l->n_state, err);
    if (rc == 0)
        rc = bind_tensor(&t->c_re, b, &(struct tensor_spec){"c_re", 2, shape, NULL}, err);
    if (rc == 0)
        rc = bind_tensor(&t->c_im, b, &(struct tensor_spec){"c_im", 2, shape, NULL}, err);
    return rc ? rc : bind_vector(&t->d, b, "d", l->n_channels, err);
}

struct pair {
    double re, im;
};

/* arXiv 2206.13947, section 3.1: Λ = -exp(re) + i·exp(im); step = exp(Λ), gain = (step -
 * 1)/Λ. */
static void mode_of(double lam_re, double lam_im, struct pair *step, struct pair *gain)
{
    struct pair l = {-math64_exp(lam_re), math64_exp(lam_im)};
    double size = math64_exp(l.re), norm = l.re * l.re + l.im * l.im;
    *step = (struct pair){size * math64_cos(l.im), size * math64_sin(l.im)};
    struct pair d = {step->re - 1, step->im};
    *gain = (struct pair){(d.re * l.re + d.im * l.im) / norm,
                          (d.im * l.re - d.re * l.im) / norm};
}

static int discretise(struct dss *l, const struct dss_tensors *t, struct arena *a,
                      struct err *err)
{
    size_t n_state = (size_t)l->n_state, blocks = (size_t)l->n_blocks;
    float *coef = arena_zalloc(a, blocks * n_state * 2 * LANES, sizeof *coef);
    float *e = arena_alloc(a, n_state * 2 * sizeof *e);
    float *d = arena_zalloc(a, blocks * LANES, sizeof *d);
    if (!coef || !e || !d)
        return err_set(err, ERR_MEMORY, "out of memory for %d x %d state coefficients",
                       l->n_channels, l->n_state);
    for (size_t n = 0; n < n_state; n++) {
        struct pair step, gain;
        mode_of(t->lam_re[n], t->lam_im[n], &step, &gain);
        if (!isfinite(step.re + step.im + gain.re + gain.im))
            return err_set(
                err, ERR_FORMAT,
                "lam_re, lam_im: mode %zu: expected a finite exp(Λ), found %g, %g", n,
                t->lam_re[n], t->lam_im[n]);
        e[2 * n] = (float)step.re;
        e[2 * n + 1] = (float)step.im;
        for (size_t c = 0; c < (size_t)l->n_channels; c++) {
            double re = t->c_re[c * n_state + n], im = t->c_im[c * n_state + n];
            float *at = coef + ((c / LANES) * n_state + n) * 2 * LANES + c % LANES;
            at[0] = (float)(re * gain.re - im * gain.im);
            at[LANES] = (float)(re * gain.im + im * gain.re);
        }
    }
    memcpy(d, t->d, (size_t)l->n_channels * sizeof *d);
    l->coef = coef;
    l->e = e;
    l->d = d;
    return 0;
}

static int dss_bind(struct mixer *mx, const void *spec, const struct bind *b,
                    struct err *err)
{
    const struct dss_spec *s = spec;
    struct dss *l = arena_zalloc(b->arena, 1, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for a diagonal state space");
    l->n_gate = s->n_gate;
    l->n_channels = s->n_channels;
    l->n_state = s->n_state;
    l->n_blocks = (s->n_channels + LANES - 1) / LANES;
    mx->impl = l;
    mx->need.fixed_bytes =
        (size_t)l->n_blocks * (size_t)s->n_state * 2 * LANES * sizeof(float);
    int d = b->hidden_size;
    struct dss_tensors t = {0};
    const struct matrix_spec all[] = {
        {.name = "w_v", .n_out = s->n_gate, .n_in = d},
        {.name = "w_u", .n_out = s->n_channels, .n_in = d},
        {.name = "w_c", .n_out = s->n_gate, .n_in = s->n_channels},
        {.name = "w_o", .n_out = d, .n_in = s->n_gate}};
    int rc = bind_matrices((struct matrix *[]){&l->v, &l->u}, b, all, 2, err);
    if (rc == 0)
        rc = norm_bind_layer(&l->norm, b, "dss_norm", s->n_channels, 1e-5, err);
    if (rc == 0)
        rc = bind_matrices((struct matrix *[]){&l->c, &l->o}, b, all + 2, 2, err);
    if (rc == 0)
        rc = bind_tensors(&t, l, b, err);
    return rc ? rc : discretise(l, &t, b->arena, err);
}

static size_t dss_scratch(const struct mixer *mx, int max_rows)
{
    const struct dss *l = mx->impl;
    size_t rows = (size_t)max_rows;
    return 2 * mixer_floats_bytes(rows * (size_t)l->n_gate) +
           2 * mixer_floats_bytes(rows * (size_t)l->n_channels);
}

struct dss_job {
    const struct mixer *mx;
    const struct dss *l;
    float *v, *s, *y, *g;
};

static void activate_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct dss_job *j = arg;
    const struct kernels *k = c->gemm->k;
    size_t n = (size_t)(row1 - row0), f = (size_t)j->l->n_gate,
           ch = (size_t)j->l->n_channels;
    float *v = j->v + (size_t)row0 * f, *s = j->s + (size_t)row0 * ch;
    k->gelu(v, n * f, v);
    k->gelu(s, n * ch, s);
    norm_rows(&j->l->norm, k, j->s, j->s, row0, row1);
}

static void scan_block(const void *arg, const struct ctx *c, const struct span *s,
                       int unit)
{
    const struct dss_job *j = arg;
    const struct dss *l = j->l;
    size_t n = (size_t)l->n_state, block = (size_t)unit;
    size_t ld = (size_t)l->n_channels, at = (size_t)s->row0 * ld + block * LANES;
    int left = l->n_channels - unit * LANES;
    struct dss_args args = {
        .state =
            (float *)(void *)(s->fixed + j->mx->fixed_offset) + block * n * 2 * LANES,
        .coef = l->coef + block * n * 2 * LANES,
        .e = l->e,
        .d = l->d + block * LANES,
        .s = j->s + at,
        .y = j->y + at,
        .ld_s = ld,
        .ld_y = ld,
        .n_rows = s->n_rows,
        .n_state = l->n_state,
        .n_channels = left < LANES ? left : LANES,
    };
    c->gemm->k->dss(&args);
}

static void output_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct dss_job *j = arg;
    size_t at = (size_t)row0 * (size_t)j->l->n_gate;
    size_t n = (size_t)(row1 - row0) * (size_t)j->l->n_gate;
    c->gemm->k->mul(j->g + at, j->v + at, n, j->g + at);
}

static void dss_run(const struct mixer *mx, const struct ctx *c, const float *x, float *y)
{
    const struct dss *l = mx->impl;
    size_t mark = arena_mark(c->scratch), rows = (size_t)c->n_rows;
    struct dss_job j = {.mx = mx, .l = l};
    j.v = mixer_floats(c, rows * (size_t)l->n_gate);
    j.g = mixer_floats(c, rows * (size_t)l->n_gate);
    j.s = mixer_floats(c, rows * (size_t)l->n_channels);
    j.y = mixer_floats(c, rows * (size_t)l->n_channels);
    mixer_linears(c, x, (const struct matrix *[]){&l->v, &l->u}, (float *[]){j.v, j.s},
                  2);
    mixer_rows(c, activate_rows, &j, 8 * (size_t)(l->n_gate + l->n_channels));
    mixer_units(c, scan_block, &j, l->n_blocks);
    mixer_linear(c, &l->c, j.y, j.g);
    mixer_rows(c, output_rows, &j, (size_t)l->n_gate);
    mixer_linear(c, &l->o, j.g, y);
    arena_release(c->scratch, mark);
}

/* A mode of a channel: three fused products and one product to advance, two fused to
 * read. Its state is complex, and so is its coefficient, which is a weight. */
static void dss_cost(const struct mixer *mx, const struct engine_batch *s,
                     struct engine_cost *sum)
{
    const struct dss *l = mx->impl;
    const struct matrix *const all[] = {&l->v, &l->u, &l->c, &l->o};
    double modes = (double)l->n_channels * l->n_state;
    cost_linears(sum, all, 4, cost_rows(s));
    cost_state(sum, s, (size_t)l->n_channels * (size_t)l->n_state * 2 * sizeof(float));
    sum->weight_bytes += 2 * modes * sizeof(float);
    sum->f32_ops += 11 * modes * cost_rows(s);
}

const struct mixer_kind mixer_dss = {"diagonal state space", dss_bind, dss_scratch,
                                     dss_run, dss_cost};
