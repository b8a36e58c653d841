/*
 * Mamba-2. What in_proj gives stays in one buffer, where the convolution works in place;
 * the recurrence is SSD's kernel, token by token in one order, so that splitting a prompt
 * changes no bit. Threads divide (sequence, head), or rows.
 *
 * The subtle point: multipliers of x, B and C are in the convolution's weights.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/mamba2.h"

#include "engine/kernel/math64.h"
#include "engine/mixer/conv.h"

#include <inttypes.h>
#include <math.h>

enum { MAMBA2_WIDTH_MAX = 1 << 24 };

struct mamba2 {
    struct matrix in, out;
    struct conv conv;
    const float *a, *dt_bias, *d; /* [H]; a < 0 */
    const float *norm;            /* [H·P] or NULL */
    int n_heads, head_dim, n_state, n_groups;
    int norm_size; /* values of one mean square */
    bool norm_before_gate;
    float eps, dt_min, dt_max, z_scale, dt_scale;
};

static int width(const struct mamba2 *l)
{
    return l->n_heads * l->head_dim;
}

/* Where x, dt, B and C begin in a row of in_proj. */
static size_t at_x(const struct mamba2 *l)
{
    return (size_t)width(l);
}

static size_t at_dt(const struct mamba2 *l)
{
    return at_x(l) + (size_t)l->conv.n;
}

static size_t at_b(const struct mamba2 *l, int head)
{
    int group = head / (l->n_heads / l->n_groups);
    return 2 * at_x(l) + (size_t)group * (size_t)l->n_state;
}

static size_t at_c(const struct mamba2 *l, int head)
{
    return at_b(l, head) + (size_t)l->n_groups * (size_t)l->n_state;
}

/* ---- binding ---------------------------------------------------------------- */

static int bind_conv(struct mamba2 *l, const struct mamba2_spec *s, const struct bind *b,
                     struct err *err)
{
    int x = width(l), bc = s->n_groups * s->n_state;
    const struct conv_spec conv = {.parts = {{"conv1d", x + 2 * bc}},
                                   .taps = s->n_taps,
                                   .bias = s->conv_bias,
                                   .silu = true};
    int rc = conv_bind(&l->conv, b, &conv, err);
    if (rc || !s->scales)
        return rc;
    conv_scale_input(&l->conv, 0, x, (float)s->scales[MAMBA2_X]);
    conv_scale_input(&l->conv, x, x + bc, (float)s->scales[MAMBA2_B]);
    conv_scale_input(&l->conv, x + bc, x + 2 * bc, (float)s->scales[MAMBA2_C]);
    return 0;
}

static double a_of(double a_log)
{
    return -math64_exp(a_log);
}

static int bind_vectors(struct mamba2 *l, const struct mamba2_spec *s,
                        const struct bind *b, struct err *err)
{
    int rc = bind_mapped(&l->a, b, "A_log", l->n_heads, a_of, err);
    if (rc == 0)
        rc = bind_vector(&l->dt_bias, b, "dt_bias", l->n_heads, err);
    if (rc == 0)
        rc = bind_vector(&l->d, b, "D", l->n_heads, err);
    if (rc == 0 && s->norm != MAMBA2_NORM_NONE)
        rc = bind_vector(&l->norm, b, "norm.weight", width(l), err);
    return rc;
}

static struct mamba2 sizes_of(const struct mamba2_spec *s)
{
    int whole = s->n_heads * s->head_dim;
    return (struct mamba2){
        .n_heads = s->n_heads,
        .head_dim = s->head_dim,
        .n_state = s->n_state,
        .n_groups = s->n_groups,
        .norm_size = s->norm == MAMBA2_NORM_GROUPS ? whole / s->n_groups : whole,
        .norm_before_gate = s->norm_before_gate,
        .eps = (float)s->eps,
        .dt_min = (float)s->dt_min,
        .dt_max = (float)s->dt_max,
        .z_scale = s->scales ? (float)s->scales[MAMBA2_Z] : 1,
        .dt_scale = s->scales ? (float)s->scales[MAMBA2_DT] : 1,
    };
}

static int check_sizes(const struct mamba2_spec *s, const struct bind *b, struct err *err)
{
    int64_t bc = (int64_t)s->n_groups * s->n_state;
    int64_t row = 2 * ((int64_t)s->n_heads * s->head_dim + bc) + s->n_heads;
    if (s->n_heads % s->n_groups)
        return err_set(
            err, ERR_FORMAT,
            "config.json: %s: Mamba-2: expected a number of heads that its %d groups "
            "divide, found %d",
            b->prefix, s->n_groups, s->n_heads);
    if (row > MAMBA2_WIDTH_MAX)
        return err_set(
            err, ERR_FORMAT,
            "config.json: %s: Mamba-2: expected at most %d outputs of in_proj, found "
            "%" PRId64,
            b->prefix, MAMBA2_WIDTH_MAX, row);
    return 0;
}

static int mamba2_bind(struct mixer *mx, const void *spec, const struct bind *b,
                       struct err *err)
{
    const struct mamba2_spec *s = spec;
    int rc = check_sizes(s, b, err);
    if (rc)
        return rc;
    struct mamba2 *l = arena_alloc(b->arena, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for a Mamba-2 layer");
    *l = sizes_of(s);
    mx->impl = l;
    int d = b->hidden_size, bc = s->n_groups * s->n_state;
    int n_in = 2 * width(l) + 2 * bc + s->n_heads;
    const struct matrix_spec all[] = {
        {"in_proj", n_in, d, QUANT_MATRIX, s->in_bias},
        {"out_proj", d, width(l), QUANT_MATRIX, s->out_bias}};
    rc = bind_matrices((struct matrix *[]){&l->in, &l->out}, b, all, 2, err);
    if (rc == 0)
        rc = bind_conv(l, s, b, err);
    if (rc == 0)
        rc = bind_vectors(l, s, b, err);
    mx->need.fixed_bytes = conv_state_bytes(&l->conv) +
                           (size_t)width(l) * (size_t)l->n_state * sizeof(float);
    return rc;
}

static size_t mamba2_scratch(const struct mixer *mx, int max_rows)
{
    const struct mamba2 *l = mx->impl;
    size_t rows = (size_t)max_rows;
    return mixer_floats_bytes(rows * (size_t)l->in.n_out) +
           2 * mixer_floats_bytes(rows * (size_t)l->n_heads) +
           mixer_floats_bytes(rows * (size_t)width(l));
}

/* ---- running ---------------------------------------------------------------- */

struct mamba2_job {
    const struct mixer *mx;
    const struct mamba2 *l;
    float *in, *dt, *decay, *y;
};

/* NaN stays NaN. */
static void clamp(float *x, int n, float lo, float hi)
{
    for (int i = 0; i < n; i++) {
        x[i] = x[i] < lo ? lo : x[i];
        x[i] = x[i] > hi ? hi : x[i];
    }
}

static void discretise(const void *arg, const struct ctx *ctx, int row0, int row1)
{
    const struct mamba2_job *j = arg;
    const struct mamba2 *l = j->l;
    const struct kernels *k = ctx->gemm->k;
    size_t h = (size_t)l->n_heads;
    for (size_t r = (size_t)row0; r < (size_t)row1; r++) {
        float *dt = j->dt + r * h, *decay = j->decay + r * h;
        k->scale(j->in + r * (size_t)l->in.n_out + at_dt(l), l->dt_scale, h, dt);
        k->add(dt, l->dt_bias, h, dt);
        k->softplus(dt, h, dt);
        if (l->dt_min > 0 || l->dt_max < INFINITY)
            clamp(dt, l->n_heads, l->dt_min, l->dt_max);
        k->mul(dt, l->a, h, decay);
        k->exp(decay, h, decay);
    }
}

static void scan_head(const void *arg, const struct ctx *ctx, const struct span *s,
                      int head)
{
    const struct mamba2_job *j = arg;
    const struct mamba2 *l = j->l;
    const struct kernels *k = ctx->gemm->k;
    size_t h = (size_t)head, p = (size_t)l->head_dim, ld = (size_t)l->in.n_out;
    size_t row = (size_t)s->row0,
           state = j->mx->fixed_offset + conv_state_bytes(&l->conv);
    const float *in = j->in + row * ld;
    struct ssd_args args = {
        .state = (float *)(void *)(s->fixed + state) + h * p * (size_t)l->n_state,
        .x = in + at_x(l) + h * p,
        .b = in + at_b(l, head),
        .c = in + at_c(l, head),
        .a = j->decay + row * (size_t)l->n_heads + h,
        .dt = j->dt + row * (size_t)l->n_heads + h,
        .y = j->y + row * (size_t)width(l) + h * p,
        .ld_x = ld,
        .ld_bc = ld,
        .ld_t = (size_t)l->n_heads,
        .ld_y = (size_t)width(l),
        .n_rows = s->n_rows,
        .n_head = l->head_dim,
        .n_state = l->n_state,
    };
    k->ssd(&args);
    for (size_t r = 0; r < (size_t)s->n_rows; r++)
        k->axpy(l->d[h], args.x + r * args.ld_x, p, args.y + r * args.ld_y);
}

static void normalise(const struct mamba2 *l, const struct kernels *k, float *y)
{
    for (int at = 0; at < width(l); at += l->norm_size)
        k->rmsnorm(y + at, l->norm + at, l->eps, l->norm_size, y + at);
}

static void gate_rows(const void *arg, const struct ctx *ctx, int row0, int row1)
{
    const struct mamba2_job *j = arg;
    const struct mamba2 *l = j->l;
    const struct kernels *k = ctx->gemm->k;
    size_t n = (size_t)width(l);
    for (size_t r = (size_t)row0; r < (size_t)row1; r++) {
        float *z = j->in + r * (size_t)l->in.n_out, *y = j->y + r * n;
        if (l->z_scale != 1)
            k->scale(z, l->z_scale, n, z);
        if (l->norm && l->norm_before_gate)
            normalise(l, k, y);
        k->silu_mul(z, y, n, y);
        if (l->norm && !l->norm_before_gate)
            normalise(l, k, y);
    }
}

static void mamba2_run(const struct mixer *mx, const struct ctx *ctx, const float *u,
                       float *y)
{
    const struct mamba2 *l = mx->impl;
    size_t mark = arena_mark(ctx->scratch), rows = (size_t)ctx->n_rows;
    size_t ld = (size_t)l->in.n_out;
    struct mamba2_job j = {.mx = mx, .l = l};
    j.in = mixer_floats(ctx, rows * ld);
    j.dt = mixer_floats(ctx, rows * (size_t)l->n_heads);
    j.decay = mixer_floats(ctx, rows * (size_t)l->n_heads);
    j.y = mixer_floats(ctx, rows * (size_t)width(l));
    mixer_linear(ctx, &l->in, u, j.in);
    const struct conv_rows conv = {.conv = &l->conv,
                                   .state_offset = mx->fixed_offset,
                                   .x = j.in + at_x(l),
                                   .y = j.in + at_x(l),
                                   .ld_x = ld,
                                   .ld_y = ld};
    conv_run(&conv, ctx);
    mixer_rows(ctx, discretise, &j, 4 * (size_t)l->n_heads);
    mixer_units(ctx, scan_head, &j, l->n_heads);
    mixer_rows(ctx, gate_rows, &j, 4 * (size_t)width(l));
    mixer_linear(ctx, &l->out, j.y, y);
    arena_release(ctx->scratch, mark);
}

/* For each element of the state as SSD; for each output the product with D. */
static void mamba2_cost(const struct mixer *mx, const struct engine_batch *s,
                        struct engine_cost *sum)
{
    const struct mamba2 *l = mx->impl;
    cost_linears(sum, (const struct matrix *[]){&l->in, &l->out}, 2, cost_rows(s));
    cost_state(sum, s, mx->need.fixed_bytes);
    conv_cost(&l->conv, s, sum);
    sum->f32_ops += (5.0 * l->n_state + 2.0) * width(l) * cost_rows(s);
}

const struct mixer_kind mixer_mamba2 = {"Mamba-2", mamba2_bind, mamba2_scratch,
                                        mamba2_run, mamba2_cost};
