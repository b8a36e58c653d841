/*
 * Attention. Two passes over the rows: every row's K and V go to their pages, then every
 * (row, K/V head) attends to the keys up to its own position. A row's result depends on
 * no other row, so any cut of the prompt gives the same bits.
 */
#include "engine/mixer/attn.h"

#include "engine/kernel/math64.h"

#include <math.h>
#include <string.h>

struct attn {
    struct matrix q, k, v, o;
    int n_heads, n_kv_heads, head_dim, group;
    float scale;
    const struct rope *rope;  /* or NULL */
    const float *temperature; /* [H] τ of cosine scores, or NULL */
};

/* τ_h = exp(min(logit_scale_h, ln 100)): scaled cosine attention (arXiv 2111.09883, eq.
 * 2). */
static int bind_temperature(struct attn *a, const char *name, const struct bind *b,
                            struct err *err)
{
    const float *raw = NULL;
    int rc = bind_vector(&raw, b, name, a->n_heads, err);
    if (rc)
        return rc;
    float *t = arena_alloc(b->arena, (size_t)a->n_heads * sizeof *t);
    if (!t)
        return err_set(err, ERR_MEMORY, "out of memory for attention temperatures");
    for (int h = 0; h < a->n_heads; h++)
        t[h] = (float)math64_exp(fmin(raw[h], math64_log(100)));
    a->temperature = t;
    a->scale = 1;
    return 0;
}

static int attn_bind(struct mixer *mx, const void *spec, const struct bind *b,
                     struct err *err)
{
    const struct attn_spec *s = spec;
    struct attn *a = arena_zalloc(b->arena, 1, sizeof *a);
    if (!a)
        return err_set(err, ERR_MEMORY, "out of memory for an attention layer");
    int d = b->hidden_size, wide = s->n_heads * s->head_dim,
        narrow = s->n_kv_heads * s->head_dim;
    *a = (struct attn){.n_heads = s->n_heads,
                       .n_kv_heads = s->n_kv_heads,
                       .head_dim = s->head_dim,
                       .group = s->n_heads / s->n_kv_heads,
                       .scale = (float)(1 / sqrt(s->head_dim)),
                       .rope = s->rope};
    mx->impl = a;
    mx->need.page_bytes = (size_t)narrow * 2 * PAGE_TOKENS * sizeof(float);
    int rc = bind_matrix(&a->q, b, s->q, wide, d, s->bias, err);
    if (rc == 0)
        rc = bind_matrix(&a->k, b, s->k, narrow, d, s->bias, err);
    if (rc == 0)
        rc = bind_matrix(&a->v, b, s->v, narrow, d, s->bias, err);
    if (rc == 0)
        rc = bind_matrix(&a->o, b, s->o, d, wide, s->bias, err);
    if (rc == 0 && s->logit_scale)
        rc = bind_temperature(a, s->logit_scale, b, err);
    return rc;
}

static size_t attn_scratch(const struct mixer *mx, int max_rows)
{
    const struct attn *a = mx->impl;
    size_t rows = (size_t)max_rows;
    return 2 * mixer_floats_bytes(rows * (size_t)a->q.n_out) +
           2 * mixer_floats_bytes(rows * (size_t)a->k.n_out);
}

struct attn_job {
    const struct mixer *mx;
    const struct attn *a;
    const struct ctx *c;
    float *q, *k, *v, *out;
};

/* x / max(|x|, 1e-6) * s for one head. */
static void normalise(const struct kernels *kn, float *x, int n, float s)
{
    float length = sqrtf(kn->sum_squares(x, n));
    kn->scale(x, s / (length > 1e-6f ? length : 1e-6f), (size_t)n, x);
}

static void prepare_heads(const struct attn_job *j, int row0, int row1)
{
    const struct attn *a = j->a;
    const struct kernels *kn = j->c->gemm->k;
    int hd = a->head_dim;
    if (a->rope) {
        rope_rows(a->rope, j->c, j->q, (size_t)a->q.n_out, a->n_heads, row0, row1);
        rope_rows(a->rope, j->c, j->k, (size_t)a->k.n_out, a->n_kv_heads, row0, row1);
    }
    for (int r = row0; a->temperature && r < row1; r++) {
        for (int h = 0; h < a->n_heads; h++)
            normalise(kn, j->q + (size_t)r * (size_t)a->q.n_out + (size_t)(h * hd), hd,
                      a->temperature[h]);
        for (int h = 0; h < a->n_kv_heads; h++)
            normalise(kn, j->k + (size_t)r * (size_t)a->k.n_out + (size_t)(h * hd), hd,
                      1);
    }
}

/* K goes in with the token along the lanes, V as a row. */
static void store_row(const struct attn_job *j, int row)
{
    const struct attn *a = j->a;
    const struct ctx *c = j->c;
    size_t hd = (size_t)a->head_dim, width = (size_t)a->k.n_out;
    int pos = c->positions[row],
        page = c->spans[c->row_span[row]].pages[pos / PAGE_TOKENS];
    size_t lane = (size_t)(pos % PAGE_TOKENS);
    float *base =
        (float *)(void *)(c->pages + (size_t)page * c->page_bytes + j->mx->page_offset);
    for (size_t h = 0; h < (size_t)a->n_kv_heads; h++) {
        const float *k = j->k + (size_t)row * width + h * hd;
        const float *v = j->v + (size_t)row * width + h * hd;
        float *kp = base + h * hd * PAGE_TOKENS + lane;
        float *vp = base + (width + h * hd) * PAGE_TOKENS + lane * hd;
        for (size_t d = 0; d < hd; d++)
            kp[d * PAGE_TOKENS] = k[d];
        memcpy(vp, v, hd * sizeof *vp);
    }
}

static void store_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    (void)c;
    const struct attn_job *j = arg;
    prepare_heads(j, row0, row1);
    for (int r = row0; r < row1; r++)
        store_row(j, r);
}

static void attend(void *arg, int task, int thread)
{
    (void)thread;
    const struct attn_job *j = arg;
    const struct attn *a = j->a;
    const struct ctx *c = j->c;
    size_t row = (size_t)(task / a->n_kv_heads), h = (size_t)(task % a->n_kv_heads);
    size_t hd = (size_t)a->head_dim, head_floats = hd * PAGE_TOKENS;
    size_t at = row * (size_t)a->q.n_out + h * (size_t)a->group * hd;
    size_t k_offset = j->mx->page_offset + h * head_floats * sizeof(float);
    struct attn_args args = {
        .pages = c->pages,
        .table = c->spans[c->row_span[row]].pages,
        .page_bytes = c->page_bytes,
        .k_offset = k_offset,
        .v_offset = k_offset + (size_t)a->n_kv_heads * head_floats * sizeof(float),
        .q = j->q + at,
        .out = j->out + at,
        .scale = a->scale,
        .n_keys = c->positions[row] + 1,
        .group = a->group,
        .head_dim = a->head_dim,
    };
    c->gemm->k->attn(&args);
}

static void attn_run(const struct mixer *mx, const struct ctx *c, const float *x,
                     float *y)
{
    const struct attn *a = mx->impl;
    size_t mark = arena_mark(c->scratch), rows = (size_t)c->n_rows;
    struct attn_job j = {.mx = mx, .a = a, .c = c};
    j.q = mixer_floats(c, rows * (size_t)a->q.n_out);
    j.k = mixer_floats(c, rows * (size_t)a->k.n_out);
    j.v = mixer_floats(c, rows * (size_t)a->v.n_out);
    j.out = mixer_floats(c, rows * (size_t)a->q.n_out);
    mixer_linears(c, x, (const struct matrix *[]){&a->q, &a->k, &a->v},
                  (float *[]){j.q, j.k, j.v}, 3);
    mixer_rows(c, store_rows, &j, 4 * (size_t)a->q.n_out);
    pool_run(c->gemm->pool, attend, &j, c->n_rows * a->n_kv_heads);
    mixer_linear(c, &a->o, j.out, y);
    arena_release(c->scratch, mark);
}

const struct mixer_kind mixer_attn = {"attention", attn_bind, attn_scratch, attn_run};
