/*
 * The reference kernels of attention: storing keys and values in pages of every type, and
 * attending to them. Any thread; no state of their own.
 *
 * Types differ only in how a page is read. In q8 a token has one scale for 32 values of a
 * head; it is applied to that group's sum of a score, and to the weight of a value.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>
#include <string.h>

/* ---- one value of a page ---------------------------------------------------- */

static uint16_t half_at(const char *p, size_t i)
{
    uint16_t h;
    memcpy(&h, p + 2 * i, sizeof h);
    return h;
}

static void put_half(char *p, size_t i, uint16_t h)
{
    memcpy(p + 2 * i, &h, sizeof h);
}

typedef float read_fn(const char *half, size_t i);

static float read_f32(const char *half, size_t i)
{
    return ((const float *)(const void *)half)[i];
}

static float read_f16(const char *half, size_t i)
{
    return math_c_from_f16(half_at(half, i));
}

static float read_q8(const char *half, size_t i)
{
    return ((const int8_t *)half)[i];
}

/* q8: the scale of a token's group, behind the codes. */
static float scale_at(const char *half, int head_dim, int group, int token)
{
    const char *scales = half + (size_t)head_dim * PAGE_TOKENS;
    return math_c_from_f16(half_at(scales, (size_t)(group * PAGE_TOKENS + token)));
}

/* ---- storing ---------------------------------------------------------------- */

static char *page_of(const struct kv_args *a, int pos)
{
    return a->pages + (size_t)a->table[pos / PAGE_TOKENS] * a->page_bytes;
}

/* The index of value d of a token in a half of a page. */
static size_t key_place(const struct kv_args *a, int token, int d)
{
    (void)a;
    return (size_t)(d * PAGE_TOKENS + token);
}

static size_t value_place(const struct kv_args *a, int token, int d)
{
    return (size_t)(token * a->head_dim + d);
}

typedef size_t place_fn(const struct kv_args *a, int token, int d);
typedef void put_fn(const struct kv_args *a, const float *x, char *half, int token,
                    place_fn *place);

static void put_f32(const struct kv_args *a, const float *x, char *half, int token,
                    place_fn *place)
{
    for (int d = 0; d < a->head_dim; d++)
        ((float *)(void *)half)[place(a, token, d)] = x[d];
}

static void put_f16(const struct kv_args *a, const float *x, char *half, int token,
                    place_fn *place)
{
    for (int d = 0; d < a->head_dim; d++)
        put_half(half, place(a, token, d), math_c_to_f16(x[d]));
}

/* The scale of a group of n values; NaN where one of them is not finite or the half
 * would not be. */
static uint16_t group_scale(const float *x, int n)
{
    float m = 0.0f;
    for (int i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return MATH_C_F16_NAN;
        m = fabsf(x[i]) > m ? fabsf(x[i]) : m;
    }
    uint16_t h = math_c_to_f16(m / 127.0f);
    return h < MATH_C_F16_INF ? h : MATH_C_F16_NAN;
}

static int8_t code(float x, float scale)
{
    if (!(scale > 0.0f))
        return 0;
    float q = x / scale;
    q = q > 127.0f ? 127.0f : q;
    q = q < -127.0f ? -127.0f : q;
    return (int8_t)rintf(q);
}

static void put_q8(const struct kv_args *a, const float *x, char *half, int token,
                   place_fn *place)
{
    char *scales = half + (size_t)a->head_dim * PAGE_TOKENS;
    for (int d0 = 0, g = 0; d0 < a->head_dim; d0 += QUANT_GROUP, g++) {
        int left = a->head_dim - d0, n = left < QUANT_GROUP ? left : QUANT_GROUP;
        uint16_t h = group_scale(x + d0, n);
        put_half(scales, (size_t)(g * PAGE_TOKENS + token), h);
        float scale = math_c_from_f16(h);
        for (int d = d0; d < d0 + n; d++)
            ((int8_t *)half)[place(a, token, d)] = code(x[d], scale);
    }
}

static void store(const struct kv_args *a, put_fn *put)
{
    for (int r = 0; r < a->n_rows; r++) {
        int pos = a->pos + r, token = pos % PAGE_TOKENS;
        char *page = page_of(a, pos);
        put(a, a->k + (size_t)r * a->ld, page + a->k_offset, token, key_place);
        put(a, a->v + (size_t)r * a->ld, page + a->v_offset, token, value_place);
    }
}

void attn_c_store_f32(const struct kv_args *a)
{
    store(a, put_f32);
}

void attn_c_store_f16(const struct kv_args *a)
{
    store(a, put_f16);
}

void attn_c_store_q8(const struct kv_args *a)
{
    store(a, put_q8);
}

/* ---- attending -------------------------------------------------------------- */

/* One query, the keys it sees, and how pages are read. */
struct query {
    const struct attn_args *a;
    const float *q;
    float *o;
    float m, l;        /* of the online softmax, from block to block, beside o */
    int first, n_keys; /* it sees keys [first, n_keys) */
    read_fn *read;
    bool scaled; /* q8 */
};

static const char *half_of(const struct query *f, int key, size_t offset)
{
    size_t page = (size_t)f->a->table[key / PAGE_TOKENS];
    return f->a->pages + page * f->a->page_bytes + offset;
}

/* s + Σ_d q[d] k[d] over values [d0, d1) of a key. */
static float chain(const struct query *f, const char *half, int token, int d0, int d1)
{
    float s = 0.0f;
    for (int d = d0; d < d1; d++)
        s = fmaf(f->q[d], f->read(half, (size_t)(d * PAGE_TOKENS + token)), s);
    return s;
}

static float score(const struct query *f, int key)
{
    const char *half = half_of(f, key, f->a->k_offset);
    int token = key % PAGE_TOKENS, hd = f->a->head_dim;
    if (!f->scaled)
        return chain(f, half, token, 0, hd) * f->a->scale;
    float s = 0.0f;
    for (int d = 0, g = 0; d < hd; d += QUANT_GROUP, g++) {
        int end = d + QUANT_GROUP < hd ? d + QUANT_GROUP : hd;
        s = fmaf(chain(f, half, token, d, end), scale_at(half, hd, g, token), s);
    }
    return s * f->a->scale;
}

static void add_value(const struct query *f, int key, float p)
{
    const char *half = half_of(f, key, f->a->v_offset);
    int token = key % PAGE_TOKENS, hd = f->a->head_dim;
    for (int d = 0; d < hd; d++) {
        float w = f->scaled ? p * scale_at(half, hd, d / QUANT_GROUP, token) : p;
        f->o[d] = fmaf(w, f->read(half, (size_t)(token * hd + d)), f->o[d]);
    }
}

static void attend_block(struct query *f, int key0)
{
    int n = f->n_keys - key0 < ATTN_BLOCK ? f->n_keys - key0 : ATTN_BLOCK;
    int from = f->first > key0 ? f->first - key0 : 0;
    float p[ATTN_BLOCK], partial[LANES] = {0}, m = f->m;

    for (int j = from; j < n; j++) {
        p[j] = score(f, key0 + j);
        m = p[j] > m ? p[j] : m; /* the maximum drops a NaN; its own p brings it back */
    }
    for (int j = from; j < n; j++) {
        p[j] = math_c_exp(p[j] - m);
        partial[j % LANES] += p[j];
    }
    float c = math_c_exp(f->m - m);
    f->m = m;
    f->l = fmaf(f->l, c, row_c_join(partial));
    for (int d = 0; d < f->a->head_dim; d++)
        f->o[d] *= c;
    for (int j = from; j < n; j++)
        add_value(f, key0 + j, p[j]);
}

static void attend(struct query *f)
{
    f->m = -INFINITY;
    f->l = 0.0f;
    for (int d = 0; d < f->a->head_dim; d++)
        f->o[d] = 0.0f;
    for (int key = f->first / ATTN_BLOCK * ATTN_BLOCK; key < f->n_keys; key += ATTN_BLOCK)
        attend_block(f, key);
    for (int d = 0; d < f->a->head_dim; d++)
        f->o[d] /= f->l;
}

static void attend_all(const struct attn_args *a, read_fn *read, bool scaled)
{
    for (int r = 0; r < a->n_rows; r++)
        for (int g = 0; g < a->group; g++) {
            size_t at = (size_t)r * a->ld + (size_t)(g * a->head_dim);
            int n_keys = a->n_keys + r;
            struct query f = {
                .a = a,
                .q = a->q + at,
                .o = a->out + at,
                .first = a->window && n_keys > a->window ? n_keys - a->window : 0,
                .n_keys = n_keys,
                .read = read,
                .scaled = scaled};
            attend(&f);
        }
}

void attn_c_f32(const struct attn_args *a)
{
    attend_all(a, read_f32, false);
}

void attn_c_f16(const struct attn_args *a)
{
    attend_all(a, read_f16, false);
}

void attn_c_q8(const struct attn_args *a)
{
    attend_all(a, read_q8, true);
}
