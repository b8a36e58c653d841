/*
 * Hedgehog's linear attention. Threads divide (sequence, query head): a task takes its head
 * from features to outputs, so that its two maps, its features and its state stay in its
 * processor's cache. The recurrence runs token by token in one order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/hedgehog.h"

#include "engine/base/mem.h"

#include <string.h>

static const float epsilon = 1e-12f; /* least feature, and added to the denominator */
static const float one = 1;

struct hedgehog {
    struct matrix q, k, v, o;
    struct matrix *map_q, *map_k; /* [H], each [f][hd]: Wᵀ */
    int n_heads, n_kv_heads, head_dim, n_features;
    const struct rope *rope;
};

/* Heads of [hd][f] each, transposed and packed. */
static int pack_heads(struct matrix *out, const struct hedgehog *l, const float *map,
                      const struct bind *b, struct err *err)
{
    size_t hd = (size_t)l->head_dim, f = (size_t)l->n_features;
    float *rows = mem_alloc(hd * f * sizeof *rows);
    int rc =
        rows ? 0 : err_set(err, ERR_MEMORY, "out of memory for a feature map's rows");
    for (int h = 0; rc == 0 && h < l->n_heads; h++) {
        const float *from = map + (size_t)h * hd * f;
        for (size_t o = 0; o < f; o++)
            for (size_t i = 0; i < hd; i++)
                rows[o * hd + i] = from[i * f + o];
        out[h] = (struct matrix){
            .type = DTYPE_F32, .n_out = l->n_features, .n_in = l->head_dim};
        rc = gemm_pack(&out[h], b->arena, rows, false, err);
    }
    mem_free(rows);
    return rc;
}

static int bind_map(struct matrix **out, const struct hedgehog *l, const char *name,
                    const struct bind *b, struct err *err)
{
    const int64_t shape[] = {l->n_heads, l->head_dim, l->n_features};
    const struct tensor_spec s = {.name = name, .n_dims = 3, .shape = shape};
    const float *map = NULL;
    int rc = bind_tensor(&map, b, &s, err);
    if (rc)
        return rc;
    *out = arena_zalloc(b->arena, (size_t)l->n_heads, sizeof **out);
    return *out ? pack_heads(*out, l, map, b, err)
                : err_set(err, ERR_MEMORY, "out of memory for %d feature maps",
                          l->n_heads);
}

static int hedgehog_bind(struct mixer *mx, const void *spec, const struct bind *b,
                         struct err *err)
{
    const struct hedgehog_spec *s = spec;
    struct hedgehog *l = arena_zalloc(b->arena, 1, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for a linear attention layer");
    int d = b->hidden_size, wide = s->n_heads * s->head_dim,
        narrow = s->n_kv_heads * s->head_dim;
    *l = (struct hedgehog){.n_heads = s->n_heads,
                           .n_kv_heads = s->n_kv_heads,
                           .head_dim = s->head_dim,
                           .n_features = s->n_features,
                           .rope = s->rope};
    mx->impl = l;
    mx->need.fixed_bytes = (size_t)s->n_heads * 2 * (size_t)s->n_features *
                           ((size_t)s->head_dim + 1) * sizeof(float);
    const struct matrix_spec all[] = {{s->q, wide, d, QUANT_MATRIX, s->bias},
                                      {s->k, narrow, d, QUANT_MATRIX, s->bias},
                                      {s->v, narrow, d, QUANT_MATRIX, s->bias},
                                      {s->o, d, wide, QUANT_MATRIX, s->bias}};
    int rc =
        bind_matrices((struct matrix *[]){&l->q, &l->k, &l->v, &l->o}, b, all, 4, err);
    if (rc == 0)
        rc = bind_map(&l->map_q, l, s->map_q, b, err);
    return rc ? rc : bind_map(&l->map_k, l, s->map_k, b, err);
}

/* Floats a row: features of all query heads, values and outputs with their 1. */
struct widths {
    size_t features, values, outputs;
};

static struct widths widths_of(const struct hedgehog *l)
{
    size_t column = (size_t)l->head_dim + 1;
    return (struct widths){(size_t)l->n_heads * 2 * (size_t)l->n_features,
                           (size_t)l->n_kv_heads * column, (size_t)l->n_heads * column};
}

static size_t hedgehog_scratch(const struct mixer *mx, int max_rows)
{
    const struct hedgehog *l = mx->impl;
    struct widths w = widths_of(l);
    size_t rows = (size_t)max_rows;
    return mixer_floats_bytes(rows * (size_t)l->q.n_out) +
           2 * mixer_floats_bytes(rows * (size_t)l->k.n_out) +
           2 * mixer_floats_bytes(rows * w.features) +
           mixer_floats_bytes(rows * w.values) + mixer_floats_bytes(rows * w.outputs);
}

struct hedgehog_job {
    const struct mixer *mx;
    const struct hedgehog *l;
    struct widths w;
    float *q, *k, *v;
    float *phi_q, *phi_k; /* [rows][H][2f] */
    float *v1, *y;        /* [rows][K][hd + 1], [rows][H][hd + 1] */
};

/* In place. A NaN stays one. */
static void softmax(const struct kernels *k, float *x, size_t n)
{
    float max = k->max(x, n), scale = 1 / k->sum_exp(x, max, n);
    for (size_t i = 0; i < n; i++)
        x[i] -= max;
    k->exp(x, n, x);
    k->scale(x, scale, n, x);
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] < epsilon ? epsilon : x[i];
}

/* phi [rows][2f] of one head, rows `ld` apart, from x with its stride. */
static void map_head(const struct kernels *k, const struct matrix *map,
                     const struct gemm_input *in, float *phi, size_t ld)
{
    size_t f = (size_t)map->n_out;
    struct linear_args args = {.panels = map->panels,
                               .x = in->x,
                               .y = phi,
                               .ldx = in->ldx,
                               .ldy = ld,
                               .n_in = map->n_in,
                               .n_out = map->n_out,
                               .n_rows = in->n_rows,
                               .panel1 = matrix_panels(map->n_out)};
    k->linear[map->type](&args);
    for (int r = 0; r < in->n_rows; r++) {
        float *row = phi + (size_t)r * ld;
        k->scale(row, -1, f, row + f);
        softmax(k, row, f);
        softmax(k, row + f, f);
    }
}

static void append_ones(const struct hedgehog_job *j, size_t row)
{
    const struct hedgehog *l = j->l;
    size_t hd = (size_t)l->head_dim;
    const float *from = j->v + row * (size_t)l->v.n_out;
    float *to = j->v1 + row * j->w.values;
    for (int g = 0; g < l->n_kv_heads; g++, from += hd, to += hd + 1) {
        memcpy(to, from, hd * sizeof *to);
        to[hd] = one;
    }
}

static void prepare_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct hedgehog_job *j = arg;
    const struct hedgehog *l = j->l;
    if (l->rope) {
        const struct rope_heads q = {j->q, l->n_heads, l->head_dim};
        const struct rope_heads k = {j->k, l->n_kv_heads, l->head_dim};
        rope_rows(l->rope, c, &q, row0, row1);
        rope_rows(l->rope, c, &k, row0, row1);
    }
    for (int r = row0; r < row1; r++)
        append_ones(j, (size_t)r);
}

/* A span's rows of one query head, which reads K/V head g. */
struct head {
    const struct span *s;
    size_t h, g;
};

static void map_rows(const struct hedgehog_job *j, const struct kernels *k,
                     const struct head *at)
{
    const struct hedgehog *l = j->l;
    size_t row = (size_t)at->s->row0, hd = (size_t)l->head_dim, ld = j->w.features;
    size_t ldq = (size_t)l->q.n_out, ldk = (size_t)l->k.n_out;
    size_t phi = row * ld + at->h * 2 * (size_t)l->n_features;
    struct gemm_input q = {j->q + row * ldq + at->h * hd, ldq, at->s->n_rows};
    struct gemm_input key = {j->k + row * ldk + at->g * hd, ldk, at->s->n_rows};
    map_head(k, &l->map_q[at->h], &q, j->phi_q + phi, ld);
    map_head(k, &l->map_k[at->h], &key, j->phi_k + phi, ld);
}

static void scan_rows(const struct hedgehog_job *j, const struct kernels *k,
                      const struct head *at)
{
    const struct span *s = at->s;
    size_t row = (size_t)s->row0, column = (size_t)j->l->head_dim + 1;
    size_t f2 = 2 * (size_t)j->l->n_features, head = at->h, g = at->g;
    struct ssd_args args = {
        .state = (float *)(void *)(s->fixed + j->mx->fixed_offset) + head * f2 * column,
        .x = j->v1 + row * j->w.values + g * column,
        .b = j->phi_k + row * j->w.features + head * f2,
        .c = j->phi_q + row * j->w.features + head * f2,
        .a = &one,
        .dt = &one,
        .y = j->y + row * j->w.outputs + head * column,
        .ld_x = j->w.values,
        .ld_bc = j->w.features,
        .ld_t = 0, /* the same 1 for every row */
        .ld_y = j->w.outputs,
        .n_rows = s->n_rows,
        .n_head = (int)column,
        .n_state = (int)f2,
    };
    k->ssd(&args);
}

/* Outputs over their denominators, into the head's part of q, which is used up. */
static void divide_rows(const struct hedgehog_job *j, const struct kernels *k,
                        const struct head *at)
{
    size_t hd = (size_t)j->l->head_dim, ldq = (size_t)j->l->q.n_out;
    size_t row0 = (size_t)at->s->row0, end = row0 + (size_t)at->s->n_rows;
    for (size_t r = row0; r < end; r++) {
        const float *y = j->y + r * j->w.outputs + at->h * (hd + 1);
        k->scale(y, 1 / (y[hd] + epsilon), hd, j->q + r * ldq + at->h * hd);
    }
}

static void run_head(const void *arg, const struct ctx *c, const struct span *s, int h)
{
    const struct hedgehog_job *j = arg;
    const struct kernels *k = c->gemm->k;
    size_t g = (size_t)h * (size_t)j->l->n_kv_heads / (size_t)j->l->n_heads;
    const struct head at = {s, (size_t)h, g};
    map_rows(j, k, &at);
    scan_rows(j, k, &at);
    divide_rows(j, k, &at);
}

static void hedgehog_run(const struct mixer *mx, const struct ctx *c, const float *x,
                         float *y)
{
    const struct hedgehog *l = mx->impl;
    size_t mark = arena_mark(c->scratch), rows = (size_t)c->n_rows;
    struct hedgehog_job j = {.mx = mx, .l = l, .w = widths_of(l)};
    j.q = mixer_floats(c, rows * (size_t)l->q.n_out);
    j.k = mixer_floats(c, rows * (size_t)l->k.n_out);
    j.v = mixer_floats(c, rows * (size_t)l->v.n_out);
    j.phi_q = mixer_floats(c, rows * j.w.features);
    j.phi_k = mixer_floats(c, rows * j.w.features);
    j.v1 = mixer_floats(c, rows * j.w.values);
    j.y = mixer_floats(c, rows * j.w.outputs);
    mixer_linears(c, x, (const struct matrix *[]){&l->q, &l->k, &l->v},
                  (float *[]){j.q, j.k, j.v}, 3);
    mixer_rows(c, prepare_rows, &j, 2 * (size_t)(l->q.n_out + l->k.n_out));
    mixer_units(c, run_head, &j, l->n_heads);
    mixer_linear(c, &l->o, j.q, y);
    arena_release(c->scratch, mark);
}

/* The maps are products of every head; an element of the state costs what SSD's does. */
static void hedgehog_cost(const struct mixer *mx, const struct engine_batch *s,
                          struct engine_cost *sum)
{
    const struct hedgehog *l = mx->impl;
    const struct matrix *const all[] = {&l->q, &l->k, &l->v, &l->o};
    double rows = cost_rows(s);
    cost_linears(sum, all, 4, rows);
    for (int h = 0; h < l->n_heads; h++)
        cost_linears(sum, (const struct matrix *[]){&l->map_q[h], &l->map_k[h]}, 2, rows);
    cost_state(sum, s, mx->need.fixed_bytes);
    sum->f32_ops += 5.0 * (double)(mx->need.fixed_bytes / sizeof(float)) * rows;
}

const struct mixer_kind mixer_hedgehog = {"linear attention", hedgehog_bind,
                                          hedgehog_scratch, hedgehog_run, hedgehog_cost};
