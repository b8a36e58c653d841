/*
 * Gated DeltaNet. The delta rule runs token by token in one fixed order, prefill as
 * decode; the chunked form of the literature sums in another order and is not used.
 * Threads divide (sequence, value head, columns of the head).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/gdn.h"

#include "engine/kernel/math64.h"
#include "engine/mixer/conv.h"
#include "engine/mixer/norm.h"

#include <math.h>

/* A unit of work: columns of a head, whose states are contiguous. */
enum { UNIT_COLUMNS = 64 };

static const float l2_eps = 1e-6f;

struct gdn {
    struct matrix qkv[3], z, b, a, out;
    int n_qkv; /* 1: joined */
    struct conv conv;
    struct norm norm;
    const float *rate;    /* [Hv] -exp(A_log) */
    const float *dt_bias; /* [Hv] */
    int hk, hv, dk, dv;
    float q_scale, beta_scale;
    size_t conv_offset; /* of its state, behind S */
};

static size_t key_width(const struct gdn *l)
{
    return (size_t)l->hk * (size_t)l->dk;
}

static size_t value_width(const struct gdn *l)
{
    return (size_t)l->hv * (size_t)l->dv;
}

static size_t row_width(const struct gdn *l)
{
    return 2 * key_width(l) + value_width(l);
}

/* Floats of a value head's state. */
static size_t head_state(const struct gdn *l)
{
    return (size_t)((l->dv + LANES - 1) / LANES * LANES) * (size_t)l->dk;
}

/* ---- binding ---------------------------------------------------------------- */

static int bind_qkv(struct gdn *l, const struct gdn_spec *s, const struct bind *b,
                    struct err *err)
{
    int nk = (int)key_width(l), nv = (int)value_width(l);
    int widths[] = {nk, nk, nv};
    l->n_qkv = s->qkv[1] ? 3 : 1;
    if (l->n_qkv == 1)
        widths[0] = (int)row_width(l);
    int rc = 0;
    for (int i = 0; rc == 0 && i < l->n_qkv; i++) {
        const struct matrix_spec m = {
            .name = s->qkv[i], .n_out = widths[i], .n_in = b->hidden_size};
        rc = bind_matrix(&l->qkv[i], b, &m, err);
    }
    return rc;
}

static int bind_others(struct gdn *l, const struct gdn_spec *s, const struct bind *b,
                       struct err *err)
{
    int d = b->hidden_size, nv = (int)value_width(l);
    const struct matrix_spec all[] = {
        {.name = s->z, .n_out = nv, .n_in = d},
        {.name = s->b, .n_out = l->hv, .n_in = d, .role = QUANT_EXACT},
        {.name = s->a, .n_out = l->hv, .n_in = d, .role = QUANT_EXACT},
        {.name = s->out, .n_out = d, .n_in = nv}};
    return bind_matrices((struct matrix *[]){&l->z, &l->b, &l->a, &l->out}, b, all, 4,
                         err);
}

static double rate_of(double a_log)
{
    return -math64_exp(a_log);
}

static int bind_decay(struct gdn *l, const struct gdn_spec *s, const struct bind *b,
                      struct err *err)
{
    int rc = bind_mapped(&l->rate, b, s->a_log, l->hv, rate_of, err);
    return rc ? rc : bind_vector(&l->dt_bias, b, s->dt_bias, l->hv, err);
}

static int bind_conv(struct gdn *l, const struct gdn_spec *s, const struct bind *b,
                     struct err *err)
{
    int nk = (int)key_width(l), nv = (int)value_width(l);
    struct conv_spec conv = {
        .parts = {{s->conv[0], nk}, {s->conv[1], nk}, {s->conv[2], nv}},
        .taps = s->n_taps,
        .silu = true,
    };
    if (!s->conv[1])
        conv.parts[0].channels = (int)row_width(l);
    return conv_bind(&l->conv, b, &conv, err);
}

static int gdn_bind(struct mixer *mx, const void *spec, const struct bind *b,
                    struct err *err)
{
    const struct gdn_spec *s = spec;
    struct gdn *l = arena_zalloc(b->arena, 1, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for a gated DeltaNet layer");
    l->hk = s->n_key_heads;
    l->hv = s->n_value_heads;
    l->dk = s->key_dim;
    l->dv = s->value_dim;
    l->q_scale = (float)(1 / sqrt(l->dk));
    l->beta_scale = s->beta_scale;
    mx->impl = l;
    int rc = bind_qkv(l, s, b, err);
    if (rc == 0)
        rc = bind_others(l, s, b, err);
    if (rc == 0)
        rc = bind_conv(l, s, b, err);
    if (rc == 0)
        rc = bind_decay(l, s, b, err);
    if (rc == 0)
        rc = norm_bind(&l->norm, b, s->norm, l->dv, s->norm_eps, err);
    l->conv_offset = (size_t)l->hv * head_state(l) * sizeof(float);
    mx->need.fixed_bytes = l->conv_offset + conv_state_bytes(&l->conv);
    return rc;
}

/* ---- running ---------------------------------------------------------------- */

struct gdn_job {
    const struct mixer *mx;
    const struct gdn *l;
    float *qkv;          /* [n_rows][row_width] */
    float *z;            /* [n_rows][value_width] */
    float *beta, *decay; /* [n_rows][hv] */
};

static size_t gdn_scratch(const struct mixer *mx, int max_rows)
{
    const struct gdn *l = mx->impl;
    size_t rows = (size_t)max_rows;
    return mixer_floats_bytes(rows * row_width(l)) +
           mixer_floats_bytes(rows * value_width(l)) +
           2 * mixer_floats_bytes(rows * (size_t)l->hv);
}

/* All that reads x: four products or six, in groups that the pool takes at once. */
static void project(const struct gdn_job *j, const struct ctx *c, const float *x)
{
    const struct gdn *l = j->l;
    const struct gemm_input in = {x, (size_t)l->z.n_in, c->n_rows};
    struct gemm_product p[6];
    size_t at = 0;
    int n = 0;
    for (; n < l->n_qkv; n++) {
        p[n] = (struct gemm_product){&l->qkv[n], j->qkv + at, row_width(l)};
        at += (size_t)l->qkv[n].n_out;
    }
    p[n++] = (struct gemm_product){&l->z, j->z, value_width(l)};
    p[n++] = (struct gemm_product){&l->b, j->beta, (size_t)l->hv};
    p[n++] = (struct gemm_product){&l->a, j->decay, (size_t)l->hv};
    for (int i = 0; i < n; i += GEMM_GROUP)
        gemm_run_group(c->gemm, &in, p + i, n - i < GEMM_GROUP ? n - i : GEMM_GROUP);
}

/* x · scale / √(Σx² + 1e-6) for each of the heads, n wide. */
static void unit_heads(const struct kernels *k, float *x, int heads, int n, float scale)
{
    for (int h = 0; h < heads; h++, x += n) {
        float length = sqrtf(k->sum_squares(x, n) + l2_eps);
        k->scale(x, 1.0f / length * scale, (size_t)n, x);
    }
}

static void prepare_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct gdn_job *j = arg;
    const struct gdn *l = j->l;
    const struct kernels *k = c->gemm->k;
    size_t hv = (size_t)l->hv;
    for (size_t r = (size_t)row0; r < (size_t)row1; r++) {
        float *q = j->qkv + r * row_width(l);
        float *beta = j->beta + r * hv, *decay = j->decay + r * hv;
        unit_heads(k, q, l->hk, l->dk, l->q_scale);
        unit_heads(k, q + key_width(l), l->hk, l->dk, 1.0f);
        k->sigmoid(beta, hv, beta);
        k->scale(beta, l->beta_scale, hv, beta);
        k->add(decay, l->dt_bias, hv, decay);
        k->softplus(decay, hv, decay);
        k->mul(decay, l->rate, hv, decay);
        k->exp(decay, hv, decay);
    }
}

/* Units of a head. */
static int units_of(const struct gdn *l)
{
    return (l->dv + UNIT_COLUMNS - 1) / UNIT_COLUMNS;
}

/* The unit's columns of all rows of a span; o takes the place of v. */
static void scan_unit(const void *arg, const struct ctx *c, const struct span *s,
                      int unit)
{
    const struct gdn_job *j = arg;
    const struct gdn *l = j->l;
    int per_head = units_of(l), h = unit / per_head;
    int first = unit % per_head * UNIT_COLUMNS, left = l->dv - first;
    size_t row = (size_t)s->row0, at_t = row * (size_t)l->hv + (size_t)h;
    size_t key = (size_t)(h / (l->hv / l->hk)) * (size_t)l->dk;
    float *q = j->qkv + row * row_width(l) + key;
    float *v = j->qkv + row * row_width(l) + 2 * key_width(l) +
               (size_t)h * (size_t)l->dv + (size_t)first;
    float *state = (float *)(void *)(s->fixed + j->mx->fixed_offset);
    struct gdn_args args = {
        .state = state + (size_t)h * head_state(l) + (size_t)first * (size_t)l->dk,
        .q = q,
        .k = q + key_width(l),
        .v = v,
        .decay = j->decay + at_t,
        .beta = j->beta + at_t,
        .y = v,
        .ld_qk = row_width(l),
        .ld_v = row_width(l),
        .ld_t = (size_t)l->hv,
        .ld_y = row_width(l),
        .n_rows = s->n_rows,
        .n_key = l->dk,
        .n_value = left < UNIT_COLUMNS ? left : UNIT_COLUMNS,
    };
    c->gemm->k->gdn(&args);
}

/* z becomes the input of the last product. */
static void gate_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct gdn_job *j = arg;
    const struct gdn *l = j->l;
    for (size_t r = (size_t)row0; r < (size_t)row1; r++) {
        float *o = j->qkv + r * row_width(l) + 2 * key_width(l);
        float *z = j->z + r * value_width(l);
        norm_rows(&l->norm, c->gemm->k, o, o, 0, l->hv);
        c->gemm->k->silu_mul(z, o, value_width(l), z);
    }
}

static void gdn_run(const struct mixer *mx, const struct ctx *c, const float *x, float *y)
{
    const struct gdn *l = mx->impl;
    size_t mark = arena_mark(c->scratch), rows = (size_t)c->n_rows;
    struct gdn_job j = {.mx = mx, .l = l};
    j.qkv = mixer_floats(c, rows * row_width(l));
    j.z = mixer_floats(c, rows * value_width(l));
    j.beta = mixer_floats(c, rows * (size_t)l->hv);
    j.decay = mixer_floats(c, rows * (size_t)l->hv);
    project(&j, c, x);
    const struct conv_rows conv = {&l->conv,     mx->fixed_offset + l->conv_offset,
                                   j.qkv,        j.qkv,
                                   row_width(l), row_width(l)};
    conv_run(&conv, c);
    mixer_rows(c, prepare_rows, &j, 4 * key_width(l));
    mixer_units(c, scan_unit, &j, l->hv * units_of(l));
    mixer_rows(c, gate_rows, &j, 4 * value_width(l));
    mixer_linear(c, &l->out, j.z, y);
    arena_release(c->scratch, mark);
}

/* For each element of a state: a product and three fused ones. */
static void gdn_cost(const struct mixer *mx, const struct engine_batch *s,
                     struct engine_cost *sum)
{
    const struct gdn *l = mx->impl;
    const struct matrix *const others[] = {&l->z, &l->b, &l->a, &l->out};
    double elements = (double)value_width(l) * l->dk;
    for (int i = 0; i < l->n_qkv; i++)
        cost_linears(sum, (const struct matrix *[]){&l->qkv[i]}, 1, cost_rows(s));
    cost_linears(sum, others, 4, cost_rows(s));
    cost_state(sum, s, (size_t)elements * sizeof(float) + conv_state_bytes(&l->conv));
    sum->f32_ops += 7 * elements * cost_rows(s);
    conv_cost(&l->conv, s, sum);
}

const struct mixer_kind mixer_gdn = {"gated DeltaNet", gdn_bind, gdn_scratch, gdn_run,
                                     gdn_cost};
