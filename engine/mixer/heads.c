/* Prepares queries and keys, and applies gates. Opening and engine thread; rows are
 * divided over the pool.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/heads.h"

#include "engine/kernel/math64.h"

#include <math.h>
#include <string.h>

/* ---- binding ---------------------------------------------------------------- */

/* τ of a head. */
static double temperature_of(double logit_scale)
{
    return math64_exp(fmin(logit_scale, math64_log(100)));
}

static int bind_norm(struct norm *m, const char *name, int n_heads,
                     const struct attn_spec *s, const struct bind *b, struct err *err)
{
    int n = s->norm_whole ? n_heads * s->head_dim : s->head_dim;
    if (!name)
        return 0;
    return s->norm_one_plus ? norm_bind_one_plus(m, b, name, n, s->norm_eps, err)
                            : norm_bind(m, b, name, n, s->norm_eps, err);
}

int heads_bind(struct heads *a, const struct attn_spec *s, const struct bind *b,
               struct err *err)
{
    *a = (struct heads){.n_heads = s->n_heads,
                        .n_kv_heads = s->n_kv_heads,
                        .head_dim = s->head_dim,
                        .whole = s->norm_whole,
                        .gated = s->gated,
                        .k_scale = s->k_scale ? (float)s->k_scale : 1,
                        .rope = s->rope};
    int rc = bind_norm(&a->q_norm, s->q_norm, s->n_heads, s, b, err);
    if (rc == 0)
        rc = bind_norm(&a->k_norm, s->k_norm, s->n_kv_heads, s, b, err);
    if (rc == 0 && s->logit_scale)
        rc = bind_mapped(&a->temperature, b, s->logit_scale, s->n_heads, temperature_of,
                         err);
    return rc;
}

/* ---- before ----------------------------------------------------------------- */

/* The queries of [H][2][head_dim]. */
static void take_queries(const struct heads *a, const float *qg, float *q, int row0,
                         int row1)
{
    size_t hd = (size_t)a->head_dim, n = (size_t)a->n_heads;
    for (size_t i = (size_t)row0 * n; i < (size_t)row1 * n; i++)
        memcpy(q + i * hd, qg + 2 * i * hd, hd * sizeof *q);
}

/* A norm over the head is one over rows of head_dim. */
static void norm_heads(const struct heads *a, const struct norm *m, int n_heads,
                       const struct kernels *kn, float *x, int row0, int row1)
{
    int each = a->whole ? 1 : n_heads;
    if (m->n)
        norm_rows(m, kn, x, x, row0 * each, row1 * each);
}

/* x / max(|x|, 1e-6) * s for one head. */
static void normalise(const struct kernels *kn, float *x, int n, float s)
{
    float length = sqrtf(kn->sum_squares(x, n));
    kn->scale(x, s / (length > 1e-6f ? length : 1e-6f), (size_t)n, x);
}

static void to_cosines(const struct heads *a, const struct kernels *kn, float *q,
                       float *k, int row0, int row1)
{
    size_t hd = (size_t)a->head_dim;
    for (int r = row0; r < row1; r++) {
        for (int h = 0; h < a->n_heads; h++)
            normalise(kn, q + (size_t)(r * a->n_heads + h) * hd, a->head_dim,
                      a->temperature[h]);
        for (int h = 0; h < a->n_kv_heads; h++)
            normalise(kn, k + (size_t)(r * a->n_kv_heads + h) * hd, a->head_dim, 1);
    }
}

void heads_prepare(const struct heads *a, const struct ctx *c, const float *qg, float *q,
                   float *k, int row0, int row1)
{
    const struct kernels *kn = c->gemm->k;
    size_t narrow = (size_t)(a->n_kv_heads * a->head_dim), n = (size_t)(row1 - row0);
    float *keys = k + (size_t)row0 * narrow;
    if (a->gated)
        take_queries(a, qg, q, row0, row1);
    if (a->k_scale != 1)
        kn->scale(keys, a->k_scale, n * narrow, keys);
    norm_heads(a, &a->q_norm, a->n_heads, kn, q, row0, row1);
    norm_heads(a, &a->k_norm, a->n_kv_heads, kn, k, row0, row1);
    if (a->rope) {
        const struct rope_heads queries = {q, a->n_heads, a->head_dim};
        const struct rope_heads all_keys = {k, a->n_kv_heads, a->head_dim};
        rope_rows(a->rope, c, &queries, row0, row1);
        rope_rows(a->rope, c, &all_keys, row0, row1);
    }
    if (a->temperature)
        to_cosines(a, kn, q, k, row0, row1);
}

/* ---- behind ----------------------------------------------------------------- */

struct gates {
    const struct heads *a;
    float *qg, *out;
};

static void gate_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct gates *g = arg;
    const struct kernels *kn = c->gemm->k;
    size_t hd = (size_t)g->a->head_dim, n = (size_t)g->a->n_heads;
    for (size_t i = (size_t)row0 * n; i < (size_t)row1 * n; i++) {
        float *gate = g->qg + (2 * i + 1) * hd, *out = g->out + i * hd;
        kn->sigmoid(gate, hd, gate);
        kn->mul(out, gate, hd, out);
    }
}

void heads_gate(const struct heads *a, const struct ctx *c, float *qg, float *out)
{
    struct gates g = {a, qg, out};
    mixer_rows(c, gate_rows, &g, (size_t)(2 * a->n_heads * a->head_dim));
}
