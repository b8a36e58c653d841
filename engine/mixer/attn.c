/*
 * Attention. The step's rows are cut into pieces that share a page. Two passes over them:
 * every piece's K and V go to its page, then every (piece, K/V head) attends, each row to
 * the keys up to its own position. A row's result depends on no other row, so any cut of
 * the prompt gives the same bits. A ring takes only so many rows at a time: the passes
 * alternate over groups of pieces.
 *
 * In a page K and V of a head are adjacent: attending with a head reads one contiguous
 * stretch of each page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/attn.h"

#include "engine/mixer/heads.h"
#include "engine/mixer/ring.h"

#include <math.h>
#include <string.h>

struct attn {
    struct matrix q, k, v, o;
    struct matrix qkv; /* where it has outputs, q, k and v are their sizes only */
    struct heads heads;
    int n_kv_heads, head_dim, group, window;
    struct kv_layout layout;
    struct ring ring;
    float scale;
};

static size_t half_bytes(enum engine_kv type, int head_dim)
{
    static const size_t each[ENGINE_KV_N] = {sizeof(float), sizeof(uint16_t),
                                             sizeof(int8_t)};
    size_t n = (size_t)head_dim, groups = (n + QUANT_GROUP - 1) / QUANT_GROUP;
    size_t bytes = n * PAGE_TOKENS * each[type];
    if (type == ENGINE_KV_Q8)
        bytes += groups * PAGE_TOKENS * sizeof(uint16_t);
    return (bytes + 63) / 64 * 64;
}

static float scale_of(const struct attn_spec *s)
{
    if (s->logit_scale)
        return 1;
    return s->score_scale ? (float)s->score_scale : (float)(1 / sqrt(s->head_dim));
}

static int bind_fused(struct attn *a, const struct attn_spec *s, const struct bind *b,
                      struct err *err)
{
    int d = b->hidden_size, wide = s->n_heads * s->head_dim,
        narrow = s->n_kv_heads * s->head_dim;
    const struct matrix_spec all[] = {
        {s->qkv, wide + 2 * narrow, d, QUANT_MATRIX, s->bias},
        {s->o, d, wide, QUANT_MATRIX, s->o_bias}};
    a->q.n_out = wide;
    a->k.n_out = a->v.n_out = narrow;
    return bind_matrices((struct matrix *[]){&a->qkv, &a->o}, b, all, 2, err);
}

static int bind_projections(struct attn *a, const struct attn_spec *s,
                            const struct bind *b, struct err *err)
{
    int d = b->hidden_size, wide = s->n_heads * s->head_dim,
        narrow = s->n_kv_heads * s->head_dim;
    const struct matrix_spec all[] = {
        {s->q, s->gated ? 2 * wide : wide, d, QUANT_MATRIX, s->bias},
        {s->k, narrow, d, QUANT_MATRIX, s->bias},
        {s->v, narrow, d, QUANT_MATRIX, s->bias},
        {s->o, d, wide, QUANT_MATRIX, s->o_bias}};
    return bind_matrices((struct matrix *[]){&a->q, &a->k, &a->v, &a->o}, b, all, 4, err);
}

static int attn_bind(struct mixer *mx, const void *spec, const struct bind *b,
                     struct err *err)
{
    const struct attn_spec *s = spec;
    struct attn *a = arena_zalloc(b->arena, 1, sizeof *a);
    if (!a)
        return err_set(err, ERR_MEMORY, "out of memory for an attention layer");
    *a = (struct attn){
        .n_kv_heads = s->n_kv_heads,
        .head_dim = s->head_dim,
        .group = s->n_heads / s->n_kv_heads,
        .window = s->window,
        .layout = {b->kv, s->n_kv_heads, s->head_dim, half_bytes(b->kv, s->head_dim)},
        .scale = scale_of(s)};
    mx->impl = a;
    int rc = ring_bind(&a->ring, s->window, &a->layout, b, err);
    bool ring = a->ring.n_pages > 0;
    mx->need = (struct state_need){
        .fixed_bytes = ring ? ring_bytes(&a->ring) : 0,
        .ring = ring ? &a->ring : NULL,
        .page_bytes = ring ? 0 : kv_layout_page_bytes(&a->layout),
    };
    if (rc == 0)
        rc = s->qkv ? bind_fused(a, s, b, err) : bind_projections(a, s, b, err);
    return rc ? rc : heads_bind(&a->heads, s, b, err);
}

/* Rows of one span that share a page. */
struct piece {
    int span, row0, n_rows;
};

static size_t attn_scratch(const struct mixer *mx, int max_rows)
{
    const struct attn *a = mx->impl;
    size_t rows = (size_t)max_rows;
    size_t gates = a->heads.gated ? rows * (size_t)a->q.n_out : 0;
    return 2 * mixer_floats_bytes(rows * (size_t)a->o.n_in) + mixer_floats_bytes(gates) +
           mixer_floats_bytes(rows * (size_t)a->qkv.n_out) +
           2 * mixer_floats_bytes(rows * (size_t)a->k.n_out) +
           mixer_floats_bytes(rows * sizeof(struct piece) / sizeof(float));
}

struct attn_job {
    const struct mixer *mx;
    const struct attn *a;
    const struct ctx *c;
    float *qg;  /* projections of a gated layer, or NULL */
    float *qkv; /* of one matrix, or NULL */
    float *q, *k, *v, *out;
    struct piece *pieces; /* [n_pieces], at most one a row */
    int n_pieces;
    int n_parts; /* of the query heads of a K/V head */
};

/* Cuts each span's rows [from, to) at pages; false: they were the last of all. */
static bool cut(struct attn_job *j, int group)
{
    bool more = false;
    j->n_pieces = 0;
    for (int s = 0; s < j->c->n_spans; s++) {
        const struct span *span = &j->c->spans[s];
        int from = span->pos, to = span->pos + span->n_rows, next;
        if (j->a->ring.n_pages) {
            int end = ring_group_end(span->pos, group);
            from = group ? ring_group_end(span->pos, group - 1) : from;
            more |= end < to;
            to = end < to ? end : to;
        }
        for (int pos = from; pos < to; pos = next) {
            next = (pos / PAGE_TOKENS + 1) * PAGE_TOKENS;
            next = next < to ? next : to;
            j->pieces[j->n_pieces++] =
                (struct piece){s, span->row0 + pos - span->pos, next - pos};
        }
    }
    return more;
}

/* Where the keys and values of a piece's sequence lie, from key0 on. */
struct place {
    char *pages;
    const int32_t *table;
    size_t page_bytes, offset;
    int key0;
};

static struct place place_of(const struct attn_job *j, const struct piece *p)
{
    const struct span *s = &j->c->spans[p->span];
    const struct ring *r = &j->a->ring;
    if (!r->n_pages)
        return (struct place){j->c->pages, s->pages, j->c->page_bytes, j->mx->page_offset,
                              0};
    struct place at = {.pages = s->fixed + j->mx->fixed_offset,
                       .page_bytes = kv_layout_page_bytes(&r->layout)};
    at.table = ring_table(r, j->c->positions[p->row0], &at.key0);
    return at;
}

static size_t k_offset(const struct attn_job *j, const struct place *at, int head)
{
    return at->offset + (size_t)head * 2 * j->a->layout.half_bytes;
}

static void store_piece(void *arg, int task, int thread)
{
    (void)thread;
    const struct attn_job *j = arg;
    const struct attn *a = j->a;
    const struct piece *p = &j->pieces[task];
    struct place where = place_of(j, p);
    heads_prepare(&a->heads, j->c, j->qg, j->q, j->k, p->row0, p->row0 + p->n_rows);
    for (int h = 0; h < a->n_kv_heads; h++) {
        size_t width = (size_t)a->k.n_out;
        size_t at = (size_t)p->row0 * width + (size_t)(h * a->head_dim);
        struct kv_args args = {
            .pages = where.pages,
            .table = where.table,
            .page_bytes = where.page_bytes,
            .k_offset = k_offset(j, &where, h),
            .v_offset = k_offset(j, &where, h) + a->layout.half_bytes,
            .k = j->k + at,
            .v = j->v + at,
            .ld = width,
            .pos = j->c->positions[p->row0] - where.key0,
            .n_rows = p->n_rows,
            .head_dim = a->head_dim,
        };
        j->c->gemm->k->kv_store[a->layout.type](&args);
    }
}

/* All query heads of a K/V head attend together, unless threads would be idle. Even then
 * some stay together, because every part reads the keys and values. */
static int head_parts(const struct attn_job *j)
{
    enum { TASKS_PER_THREAD = 2, HEADS_TOGETHER = 4 };
    int tasks = j->n_pieces * j->a->n_kv_heads;
    int wanted = TASKS_PER_THREAD * pool_threads(j->c->gemm->pool);
    int most = (j->a->group + HEADS_TOGETHER - 1) / HEADS_TOGETHER;
    int parts = (wanted + tasks - 1) / tasks;
    return parts < most ? parts : most;
}

/* The last pieces see the most keys and run first, so that the threads end together. */
static void attend_part(void *arg, int task, int thread)
{
    (void)thread;
    const struct attn_job *j = arg;
    const struct attn *a = j->a;
    int part = task % j->n_parts, h = task / j->n_parts % a->n_kv_heads;
    const struct piece *p =
        &j->pieces[j->n_pieces - 1 - task / j->n_parts / a->n_kv_heads];
    int first = a->group * part / j->n_parts, end = a->group * (part + 1) / j->n_parts;
    size_t width = (size_t)a->o.n_in;
    size_t at = (size_t)p->row0 * width + (size_t)((h * a->group + first) * a->head_dim);
    struct place where = place_of(j, p);
    struct attn_args args = {
        .pages = where.pages,
        .table = where.table,
        .page_bytes = where.page_bytes,
        .k_offset = k_offset(j, &where, h),
        .v_offset = k_offset(j, &where, h) + a->layout.half_bytes,
        .q = j->q + at,
        .out = j->out + at,
        .ld = width,
        .scale = a->scale,
        .n_keys = j->c->positions[p->row0] + 1 - where.key0,
        .n_rows = p->n_rows,
        .group = end - first,
        .head_dim = a->head_dim,
        .window = a->window,
    };
    j->c->gemm->k->attn[a->layout.type](&args);
}

/* Storing a few rows takes less time than waking a thread. */
static void store_pieces(struct attn_job *j)
{
    enum { WORTH_FLOATS = 16 * 1024 };
    size_t floats = 4 * (size_t)j->a->o.n_in * (size_t)j->c->n_rows;
    if (floats >= WORTH_FLOATS)
        pool_run(j->c->gemm->pool, store_piece, j, j->n_pieces);
    else
        for (int i = 0; i < j->n_pieces; i++)
            store_piece(j, i, 0);
}

static void split_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    (void)c;
    const struct attn_job *j = arg;
    const struct {
        float *to;
        size_t n;
    } parts[] = {{j->q, (size_t)j->a->q.n_out},
                 {j->k, (size_t)j->a->k.n_out},
                 {j->v, (size_t)j->a->v.n_out}};
    const float *from = j->qkv + (size_t)row0 * (size_t)j->a->qkv.n_out;
    for (size_t r = (size_t)row0; r < (size_t)row1; r++)
        for (int i = 0; i < 3; from += parts[i].n, i++)
            memcpy(parts[i].to + r * parts[i].n, from, parts[i].n * sizeof *from);
}

static void project(struct attn_job *j, const float *x)
{
    const struct attn *a = j->a;
    if (!a->qkv.n_out) {
        mixer_linears(j->c, x, (const struct matrix *[]){&a->q, &a->k, &a->v},
                      (float *[]){j->qg ? j->qg : j->q, j->k, j->v}, 3);
        return;
    }
    j->qkv = mixer_floats(j->c, (size_t)j->c->n_rows * (size_t)a->qkv.n_out);
    mixer_linear(j->c, &a->qkv, x, j->qkv);
    mixer_rows(j->c, split_rows, j, (size_t)a->qkv.n_out);
}

static void run_groups(struct attn_job *j)
{
    bool more = true;
    for (int group = 0; more; group++) {
        more = cut(j, group);
        store_pieces(j);
        j->n_parts = head_parts(j);
        pool_run(j->c->gemm->pool, attend_part, j,
                 j->n_pieces * j->a->n_kv_heads * j->n_parts);
    }
}

static void attn_run(const struct mixer *mx, const struct ctx *c, const float *x,
                     float *y)
{
    const struct attn *a = mx->impl;
    size_t mark = arena_mark(c->scratch), rows = (size_t)c->n_rows;
    struct attn_job j = {.mx = mx, .a = a, .c = c};
    j.qg = a->heads.gated ? mixer_floats(c, rows * (size_t)a->q.n_out) : NULL;
    j.q = mixer_floats(c, rows * (size_t)a->o.n_in);
    j.k = mixer_floats(c, rows * (size_t)a->k.n_out);
    j.v = mixer_floats(c, rows * (size_t)a->v.n_out);
    j.out = mixer_floats(c, rows * (size_t)a->o.n_in);
    j.pieces = arena_alloc(c->scratch, rows * sizeof *j.pieces);
    project(&j, x);
    run_groups(&j);
    if (j.qg)
        heads_gate(&a->heads, c, j.qg, j.out);
    mixer_linear(c, &a->o, j.out, y);
    arena_release(c->scratch, mark);
}

/* ---- cost ------------------------------------------------------------------- */

/* Bytes of n values in a page: f16 scales for every 32 bytes of q8. */
static double kv_bytes(const struct attn *a, double n)
{
    static const double each[] = {
        [ENGINE_KV_F32] = 4, [ENGINE_KV_F16] = 2, [ENGINE_KV_Q8] = 34.0 / 32};
    return n * each[a->layout.type];
}

/* Keys that n rows from depth on see, added up; their own before the window is full. */
static double seen_keys(const struct attn *a, double depth, double n)
{
    double growing = a->window ? fmin(fmax(a->window - depth, 0), n) : n;
    return growing * (depth + (growing + 1) / 2) + (n - growing) * a->window;
}

static void attn_cost(const struct mixer *mx, const struct engine_batch *s,
                      struct engine_cost *sum)
{
    const struct attn *a = mx->impl;
    double rows = cost_rows(s), last = (double)s->depth + s->n_rows;
    const struct matrix *const fused[] = {&a->qkv, &a->o};
    if (a->window)
        last = fmin(last, a->window - 1 + (double)s->n_rows);
    const struct matrix *const all[] = {&a->q, &a->k, &a->v, &a->o};
    if (a->qkv.n_out)
        cost_linears(sum, fused, 2, rows);
    else
        cost_linears(sum, all, 4, rows);
    sum->kv_bytes += s->n_seqs * kv_bytes(a, 2.0 * a->k.n_out * last);
    sum->f32_ops += 4.0 * a->o.n_in * s->n_seqs * seen_keys(a, s->depth, s->n_rows);
}

const struct mixer_kind mixer_attn = {"attention", attn_bind, attn_scratch, attn_run,
                                      attn_cost};
