/*
 * The reference kernels that mix tokens: attention over pages, and the recurrences of
 * SSD, GSS and DSS. Any thread; no state of their own. Rows of a recurrence run one after
 * the other in order; nothing is ever regrouped over time.
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>

static const float *key_page(const struct attn_args *a, int key)
{
    size_t page = (size_t)a->table[key / PAGE_TOKENS];
    return (const float *)(const void *)(a->pages + page * a->page_bytes + a->k_offset);
}

static const float *value_row(const struct attn_args *a, int key)
{
    size_t page = (size_t)a->table[key / PAGE_TOKENS];
    const char *at = a->pages + page * a->page_bytes + a->v_offset;
    return (const float *)(const void *)at + key % PAGE_TOKENS * a->head_dim;
}

static float score(const struct attn_args *a, const float *q, int key)
{
    const float *k = key_page(a, key) + key % PAGE_TOKENS;
    float s = 0.0f;
    for (int d = 0; d < a->head_dim; d++)
        s = fmaf(q[d], k[d * PAGE_TOKENS], s);
    return s * a->scale;
}

/* What the online softmax carries from block to block, beside the output row. */
struct softmax {
    float m, l;
};

static void attn_block(const struct attn_args *a, const float *q, int key0,
                       struct softmax *f, float *o)
{
    int n = a->n_keys - key0 < ATTN_BLOCK ? a->n_keys - key0 : ATTN_BLOCK;
    float p[ATTN_BLOCK], partial[LANES] = {0}, m = f->m;

    for (int j = 0; j < n; j++) {
        p[j] = score(a, q, key0 + j);
        m = p[j] > m ? p[j] : m; /* a NaN is lost here and comes back with its own p */
    }
    for (int j = 0; j < n; j++) {
        p[j] = math_c_exp(p[j] - m);
        partial[j % LANES] += p[j];
    }
    float c = math_c_exp(f->m - m);
    f->m = m;
    f->l = fmaf(f->l, c, row_c_join(partial));
    for (int d = 0; d < a->head_dim; d++)
        o[d] *= c;
    for (int j = 0; j < n; j++) {
        const float *v = value_row(a, key0 + j);
        for (int d = 0; d < a->head_dim; d++)
            o[d] = fmaf(p[j], v[d], o[d]);
    }
}

void mix_c_attn(const struct attn_args *a)
{
    for (int g = 0; g < a->group; g++) {
        const float *q = a->q + g * a->head_dim;
        float *o = a->out + g * a->head_dim;
        struct softmax f = {-INFINITY, 0.0f};
        for (int d = 0; d < a->head_dim; d++)
            o[d] = 0.0f;
        for (int key = 0; key < a->n_keys; key += ATTN_BLOCK)
            attn_block(a, q, key, &f, o);
        for (int d = 0; d < a->head_dim; d++)
            o[d] /= f.l;
    }
}

void mix_c_ssd(const struct ssd_args *g)
{
    for (int t = 0; t < g->n_rows; t++) {
        size_t row = (size_t)t;
        const float *x = g->x + row * g->ld_x;
        const float *b = g->b + row * g->ld_bc, *c = g->c + row * g->ld_bc;
        float a = g->a[row * g->ld_t], dt = g->dt[row * g->ld_t];
        for (int p = 0; p < g->n_head; p++) {
            float dx = dt * x[p], sum[4] = {0};
            for (int n = 0; n < g->n_state; n++) {
                float *s = g->state + n * g->n_head + p;
                *s = fmaf(b[n], dx, a * *s);
                sum[n % 4] = fmaf(*s, c[n], sum[n % 4]);
            }
            g->y[row * g->ld_y + (size_t)p] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
    }
}

void mix_c_gss(const struct gss_args *s)
{
    for (int t = 0; t < s->n_rows; t++) {
        const float *g = s->g + (size_t)t * s->ld_g, *b = s->b + (size_t)t * s->ld_b;
        float *y = s->y + (size_t)t * s->ld_y;
        for (int i = 0; i < s->n; i++) {
            s->h[i] = g[i] * fmaf(s->a[i], s->h[i], b[i]);
            y[i] = s->h[i];
        }
    }
}

/* One token of one channel; returns its output. Absent channels run too, with s = 0, for
 * the sign of a zero in their state must not depend on the set. */
static float dss_channel(const struct dss_args *g, int lane, float s)
{
    float sum[4] = {0};
    for (int n = 0; n < g->n_state; n++) {
        float *state = g->state + n * 2 * LANES + lane;
        const float *c = g->coef + n * 2 * LANES + lane;
        float e_re = g->e[2 * n], e_im = g->e[2 * n + 1];
        float re = state[0], im = state[LANES];
        state[0] = fmaf(e_re, re, fmaf(-e_im, im, s));
        state[LANES] = fmaf(e_re, im, e_im * re);
        float acc = fmaf(c[0], state[0], sum[n % 4]);
        sum[n % 4] = fmaf(-c[LANES], state[LANES], acc);
    }
    return fmaf(g->d[lane], s, (sum[0] + sum[1]) + (sum[2] + sum[3]));
}

void mix_c_dss(const struct dss_args *g)
{
    for (int t = 0; t < g->n_rows; t++) {
        for (int lane = 0; lane < LANES; lane++) {
            bool present = lane < g->n_channels;
            float s = present ? g->s[(size_t)t * g->ld_s + (size_t)lane] : 0.0f;
            float y = dss_channel(g, lane, s);
            if (present)
                g->y[(size_t)t * g->ld_y + (size_t)lane] = y;
        }
    }
}
