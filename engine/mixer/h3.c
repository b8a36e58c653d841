/*
 * H3. Channels lie along the lanes, 16 to a block. Threads divide (sequence, channels): a
 * task takes its channels from k to q ⊙ y, with no other pass over them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/h3.h"

#include "engine/kernel/math64.h"
#include "engine/mixer/conv.h"

#include <math.h>
#include <string.h>

struct h3 {
    struct matrix q, k, v, o;
    struct conv shift;
    const float *coef; /* [blocks][M][4][16]: Ab, 2·C·Bb */
    const float *d;    /* [blocks][16] */
    int n_channels, n_modes, n_blocks;
};

/* ---- the shift SSM as a filter ---------------------------------------------- */

struct shift_tensors {
    const float *b, *c, *d;
};

static int bind_shift_tensors(struct shift_tensors *t, int d, int n, const struct bind *b,
                              struct err *err)
{
    const struct tensor_spec all[] = {
        {"ssm_k_kernel.kernel.B", 2, (int64_t[]){d, n}, NULL},
        {"ssm_k_kernel.kernel.C", 3, (int64_t[]){1, d, n}, NULL}};
    int rc = bind_tensor(&t->b, b, &all[0], err);
    if (rc == 0)
        rc = bind_tensor(&t->c, b, &all[1], err);
    return rc ? rc : bind_vector(&t->d, b, "ssm_k_D", d, err);
}

/* Tap j of a channel, which multiplies k_{t-j}: Σ_{n>=j} Cs[n] B[n-j], and Dk in the
 * first. */
static double tap(const float *b, const float *c, int n, int j)
{
    double sum = 0;
    for (int i = j; i < n; i++)
        sum += (double)c[i] * (double)b[i - j];
    return sum;
}

static int bind_shift(struct h3 *l, int n, const struct bind *b, struct err *err)
{
    struct shift_tensors t;
    size_t d = (size_t)l->n_channels;
    int rc = bind_shift_tensors(&t, l->n_channels, n, b, err);
    if (rc)
        return rc;
    float *w = arena_alloc(b->arena, (size_t)n * d * sizeof *w);
    if (!w)
        return err_set(err, ERR_MEMORY, "out of memory for a filter of %d taps", n);
    for (size_t c = 0; c < d; c++)
        for (int j = 0; j < n; j++) {
            const float *bs = t.b + c * (size_t)n, *cs = t.c + c * (size_t)n;
            double x = tap(bs, cs, n, j) + (j == 0 ? (double)t.d[c] : 0);
            w[(size_t)(n - 1 - j) * d + c] = (float)x;
        }
    l->shift = (struct conv){.w = w, .n = l->n_channels, .taps = n};
    return 0;
}

/* ---- the diagonal SSM ------------------------------------------------------- */

struct mode_tensors {
    const float *c, *b, *log_dt, *inv_a_real, *a_imag, *d;
};

static int bind_mode_tensors(struct mode_tensors *t, const struct h3 *l,
                             const struct bind *b, struct err *err)
{
    int d = l->n_channels, m = l->n_modes;
    const struct tensor_spec all[] = {
        {"kernel.kernel.C", 4, (int64_t[]){1, d, m, 2}, NULL},
        {"kernel.kernel.B", 3, (int64_t[]){d, m, 2}, NULL},
        {"kernel.kernel.inv_A_real", 2, (int64_t[]){d, m}, NULL},
        {"kernel.kernel.A_imag", 2, (int64_t[]){d, m}, NULL}};
    const float **const to[] = {&t->c, &t->b, &t->inv_a_real, &t->a_imag};
    int rc = 0;
    for (int i = 0; rc == 0 && i < 4; i++)
        rc = bind_tensor(to[i], b, &all[i], err);
    if (rc == 0)
        rc = bind_vector(&t->log_dt, b, "kernel.kernel.log_dt", d, err);
    return rc ? rc : bind_vector(&t->d, b, "D", d, err);
}

struct pair {
    double re, im;
};

static struct pair times(struct pair x, struct pair y)
{
    return (struct pair){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

static struct pair over(struct pair x, struct pair y)
{
    double norm = y.re * y.re + y.im * y.im;
    struct pair p = times(x, (struct pair){y.re, -y.im});
    return (struct pair){p.re / norm, p.im / norm};
}

/* Ab and 2·C·Bb of mode i of all modes, which is channel c's: the bilinear transform. */
static void discretise(const struct mode_tensors *t, size_t c, size_t i, struct pair *ab,
                       struct pair *gain)
{
    double dt = math64_exp(t->log_dt[c]);
    struct pair half = {-dt * math64_exp(t->inv_a_real[i]) / 2,
                        dt * (double)t->a_imag[i] / 2};
    struct pair plus = {1 + half.re, half.im}, minus = {1 - half.re, -half.im};
    struct pair b = {t->b[2 * i], t->b[2 * i + 1]}, cc = {t->c[2 * i], t->c[2 * i + 1]};
    *ab = over(plus, minus);
    *gain = over(times(times(b, cc), (struct pair){2 * dt, 0}), minus);
}

/* coef is [M][4][16] of the channel's block. */
static int discretise_channel(const struct h3 *l, const struct mode_tensors *t, size_t c,
                              float *coef, struct err *err)
{
    for (size_t n = 0; n < (size_t)l->n_modes; n++) {
        struct pair ab, gain;
        discretise(t, c, c * (size_t)l->n_modes + n, &ab, &gain);
        if (!isfinite(ab.re + ab.im + gain.re + gain.im))
            return err_set(err, ERR_FORMAT,
                           "kernel.kernel: channel %zu, mode %zu: expected finite "
                           "coefficients, found A %g, %g and C·B %g, %g",
                           c, n, ab.re, ab.im, gain.re, gain.im);
        float *at = coef + n * 4 * LANES + c % LANES;
        at[0] = (float)ab.re;
        at[LANES] = (float)ab.im;
        at[2 * LANES] = (float)gain.re;
        at[3 * LANES] = (float)gain.im;
    }
    return 0;
}

static int bind_modes(struct h3 *l, const struct bind *b, struct err *err)
{
    struct mode_tensors t;
    size_t blocks = (size_t)l->n_blocks, block = (size_t)l->n_modes * 4 * LANES;
    int rc = bind_mode_tensors(&t, l, b, err);
    if (rc)
        return rc;
    float *coef = arena_zalloc(b->arena, blocks * block, sizeof *coef);
    float *d = arena_zalloc(b->arena, blocks * LANES, sizeof *d);
    if (!coef || !d)
        return err_set(err, ERR_MEMORY, "out of memory for %d x %d state coefficients",
                       l->n_channels, l->n_modes);
    for (size_t c = 0; rc == 0 && c < (size_t)l->n_channels; c++)
        rc = discretise_channel(l, &t, c, coef + c / LANES * block, err);
    memcpy(d, t.d, (size_t)l->n_channels * sizeof *d);
    l->coef = coef;
    l->d = d;
    return rc ? err_prefix(err, "%s", b->prefix) : 0;
}

/* ---- the mixer -------------------------------------------------------------- */

/* Of the diagonal SSM, which lies before the rows of k. */
static size_t mode_bytes(const struct h3 *l)
{
    return (size_t)l->n_blocks * (size_t)l->n_modes * 2 * LANES * sizeof(float);
}

static int h3_bind(struct mixer *mx, const void *spec, const struct bind *b,
                   struct err *err)
{
    const struct h3_spec *s = spec;
    struct h3 *l = arena_zalloc(b->arena, 1, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for an H3 layer");
    int d = b->hidden_size;
    l->n_channels = d;
    l->n_modes = s->n_state / 2;
    l->n_blocks = (d + LANES - 1) / LANES;
    mx->impl = l;
    const struct matrix_spec all[] = {{"q_proj", d, d, QUANT_MATRIX, true},
                                      {"k_proj", d, d, QUANT_MATRIX, true},
                                      {"v_proj", d, d, QUANT_MATRIX, true},
                                      {"output_linear", d, d, QUANT_MATRIX, true}};
    int rc =
        bind_matrices((struct matrix *[]){&l->q, &l->k, &l->v, &l->o}, b, all, 4, err);
    if (rc == 0)
        rc = bind_shift(l, s->n_state, b, err);
    if (rc == 0)
        rc = bind_modes(l, b, err);
    mx->need.fixed_bytes = mode_bytes(l) + conv_state_bytes(&l->shift);
    return rc;
}

static size_t h3_scratch(const struct mixer *mx, int max_rows)
{
    const struct h3 *l = mx->impl;
    return 3 * mixer_floats_bytes((size_t)max_rows * (size_t)l->n_channels);
}

struct h3_job {
    struct conv_rows shift; /* first: conv_each_block hands it to mix_channels */
    const struct mixer *mx;
    const struct h3 *l;
    float *q, *k, *v; /* all with rows of n_channels */
};

/* y of block's channels goes where v was. */
static void scan_block(const struct h3_job *j, const struct ctx *c, const struct span *s,
                       int block)
{
    const struct h3 *l = j->l;
    size_t first = (size_t)block * LANES, n = (size_t)l->n_modes;
    size_t ld = (size_t)l->n_channels, at = (size_t)s->row0 * ld + first;
    int left = l->n_channels - block * LANES;
    struct s4d_args args = {
        .state = (float *)(void *)(s->fixed + j->mx->fixed_offset) + first * n * 2,
        .coef = l->coef + first * n * 4,
        .d = l->d + first,
        .x = j->k + at,
        .y = j->v + at,
        .ld_x = ld,
        .ld_y = ld,
        .n_rows = s->n_rows,
        .n_state = l->n_modes,
        .n_channels = left < LANES ? left : LANES,
    };
    c->gemm->k->s4d(&args);
}

/* v = q ⊙ SSM(shift(k) ⊙ v) for channels [c0, c1) of a span, c0 a multiple of 16. */
static void mix_channels(const struct conv_rows *r, const struct ctx *c,
                         const struct span *s, int c0, int c1)
{
    const struct h3_job *j = (const void *)r;
    const struct kernels *k = c->gemm->k;
    size_t ld = (size_t)j->l->n_channels, n = (size_t)(c1 - c0);
    size_t first = (size_t)s->row0 * ld + (size_t)c0,
           end = first + (size_t)s->n_rows * ld;
    conv_run_span(r, c, s, c0, c1);
    for (size_t at = first; at < end; at += ld)
        k->mul(j->k + at, j->v + at, n, j->k + at);
    for (int block = c0 / LANES; block * LANES < c1; block++)
        scan_block(j, c, s, block);
    for (size_t at = first; at < end; at += ld)
        k->mul(j->q + at, j->v + at, n, j->v + at);
}

static void h3_run(const struct mixer *mx, const struct ctx *c, const float *x, float *y)
{
    const struct h3 *l = mx->impl;
    size_t mark = arena_mark(c->scratch), ld = (size_t)l->n_channels;
    struct h3_job j = {.mx = mx, .l = l};
    j.q = mixer_floats(c, (size_t)c->n_rows * ld);
    j.k = mixer_floats(c, (size_t)c->n_rows * ld);
    j.v = mixer_floats(c, (size_t)c->n_rows * ld);
    j.shift = (struct conv_rows){.conv = &l->shift,
                                 .state_offset = mx->fixed_offset + mode_bytes(l),
                                 .x = j.k,
                                 .y = j.k,
                                 .ld_x = ld,
                                 .ld_y = ld};
    mixer_linears(c, x, (const struct matrix *[]){&l->q, &l->k, &l->v},
                  (float *[]){j.q, j.k, j.v}, 3);
    conv_each_block(&j.shift, c, mix_channels);
    mixer_linear(c, &l->o, j.v, y);
    arena_release(c->scratch, mark);
}

/* A mode of a channel costs what DSS's does. Its coefficients and the filter's taps are
 * as many as a matrix's weights. */
static void h3_cost(const struct mixer *mx, const struct engine_batch *s,
                    struct engine_cost *sum)
{
    const struct h3 *l = mx->impl;
    const struct matrix *const all[] = {&l->q, &l->k, &l->v, &l->o};
    double modes = (double)l->n_channels * l->n_modes;
    double taps = (double)l->n_channels * l->shift.taps;
    cost_linears(sum, all, 4, cost_rows(s));
    cost_state(sum, s, (size_t)(2 * modes) * sizeof(float) + conv_state_bytes(&l->shift));
    conv_cost(&l->shift, s, sum);
    sum->weight_bytes += (4 * modes + taps) * sizeof(float);
    sum->f32_ops += 11 * modes * cost_rows(s);
}

const struct mixer_kind mixer_h3 = {"H3 state spaces", h3_bind, h3_scratch, h3_run,
                                    h3_cost};
