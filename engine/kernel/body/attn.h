/*
 * Body shared by the vector sets: attention.
 *
 * Up to ATTN_BATCH queries process the keys together, ATTN_TILE of them at a time in
 * registers, so that a key or value is read and widened once for several queries. Scores
 * have keys along the lanes, values have head_dim along the lanes; neither needs a sum
 * across lanes. Queries of a batch may see different keys: scores of keys that a query does
 * not see are computed and discarded, their values are not read. A query whose window
 * begins behind a block takes no part in it; of one whose keys end before a block the
 * block changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

enum { ATTN_TILE = 4, ATTN_BATCH = 16, BLOCK_PAGES = ATTN_BLOCK / PAGE_TOKENS };

/* Blocks that are prefetched: a read from memory takes longer than one block. */
enum { ATTN_AHEAD = 2, ATTN_LINE = 64 };

/* The queries of a batch, and the state of the online softmax from block to block beside
 * the rows of results. A tile's m, l and c are one vector, four lanes a query. */
struct batch {
    const struct attn_args *a;
    const float *q[ATTN_BATCH];
    float *o[ATTN_BATCH];
    int first[ATTN_BATCH], n_keys[ATTN_BATCH]; /* it sees [first, n_keys) */
    int n;
    _Alignas(64) float m[ATTN_BATCH * 4], l[ATTN_BATCH * 4], c[ATTN_BATCH * 4];
    _Alignas(64) float p[ATTN_BATCH][ATTN_BLOCK]; /* scores, then their exponentials */
};

/* A block of keys from key0 on. For pages that no query of the batch sees page 0 is read
 * again; results from them are discarded. */
struct block {
    const char *page[BLOCK_PAGES];
    const char *ahead[BLOCK_PAGES]; /* pages to prefetch meanwhile */
    int key0, n_pages;
};

/* Queries [first, first + n) of the batch; n is constant where it matters. */
struct heads {
    int first, n;
};

INLINE size_t value_bytes(enum engine_kv type)
{
    return type == ENGINE_KV_F32   ? sizeof(float)
           : type == ENGINE_KV_F16 ? sizeof(uint16_t)
                                   : 1;
}

/* Widened values i … of a half. */
INLINE vec load_page(enum engine_kv type, const char *half, size_t i, size_t n)
{
    if (type == ENGINE_KV_F32)
        return load_lanes((const float *)(const void *)half + i, n);
    if (type == ENGINE_KV_F16) {
        const uint16_t *at = (const uint16_t *)(const void *)half + i;
        uint16_t whole[LANES] = {0};
        if (n == LANES)
            return v_load_f16(at);
        memcpy(whole, at, n * sizeof *at);
        return v_load_f16(whole);
    }
    const int8_t *at = (const int8_t *)half + i;
    int8_t whole[LANES] = {0};
    if (n == LANES)
        return v_load_i8(at);
    memcpy(whole, at, n);
    return v_load_i8(whole);
}

/* x[0] b + c for several b. */
INLINE vec fma_of(enum engine_kv type, const float *x, vec b, vec c)
{
    return type == ENGINE_KV_F32 ? v_fma(v_set1(*x), b, c) : v_fma_from(x, b, c);
}

/* q8: where the scales of the page's tokens for group g of head_dim lie. */
INLINE size_t scales_at(const struct attn_args *a, int g)
{
    return (size_t)(a->head_dim + 2 * g) * PAGE_TOKENS;
}

INLINE vec load_scales(const struct attn_args *a, const char *half, int g)
{
    return v_load_f16((const uint16_t *)(const void *)(half + scales_at(a, g)));
}

/* ---- scores ----------------------------------------------------------------- */

/* Part of a chain: values [d0, d1) of head_dim, keys of ATTN_PAGES pages from page on. */
struct chain {
    int page, d0, d1;
};

/* Prefetches the cache lines of this part of the next pages; a line holds several d. */
INLINE void fetch_keys(enum engine_kv type, const struct batch *f, const struct block *b,
                       int page, int d)
{
    size_t row = PAGE_TOKENS * value_bytes(type);
    if ((size_t)d % (ATTN_LINE / row) != 0)
        return;
    UNROLL
    for (int g = 0; g < ATTN_PAGES; g++)
        v_prefetch_far(b->ahead[page + g] + f->a->k_offset + (size_t)d * row);
}

/* s[h][g] = Σ q[d] k[d]. */
INLINE void score_chain(enum engine_kv type, const struct batch *f, struct heads t,
                        const struct block *b, struct chain c, vec (*s)[BLOCK_PAGES])
{
    const char *half[BLOCK_PAGES];
    UNROLL
    for (int g = 0; g < ATTN_PAGES; g++) {
        half[g] = b->page[c.page + g] + f->a->k_offset;
        UNROLL
        for (int h = 0; h < t.n; h++)
            s[h][g] = v_zero();
    }
    for (int d = c.d0; d < c.d1; d++) {
        vec key[BLOCK_PAGES];
        fetch_keys(type, f, b, c.page, d);
        UNROLL
        for (int g = 0; g < ATTN_PAGES; g++)
            key[g] = load_page(type, half[g], (size_t)(d * PAGE_TOKENS), LANES);
        UNROLL
        for (int h = 0; h < t.n; h++) {
            UNROLL
            for (int g = 0; g < ATTN_PAGES; g++)
                s[h][g] = fma_of(type, &f->q[t.first + h][d], key[g], s[h][g]);
        }
    }
}

INLINE void store_scores(struct batch *f, struct heads t, int page, vec (*s)[BLOCK_PAGES])
{
    vec scale = v_set1(f->a->scale);
    UNROLL
    for (int h = 0; h < t.n; h++) {
        UNROLL
        for (int g = 0; g < ATTN_PAGES; g++)
            v_store(&f->p[t.first + h][(page + g) * PAGE_TOKENS], v_mul(s[h][g], scale));
    }
}

INLINE void score_plain(enum engine_kv type, struct batch *f, struct heads t,
                        const struct block *b, int page)
{
    vec s[ATTN_TILE][BLOCK_PAGES];
    score_chain(type, f, t, b, (struct chain){page, 0, f->a->head_dim}, s);
    store_scores(f, t, page, s);
}

/* q8: chains over the groups of head_dim, of what chains over a group's codes give. */
INLINE void score_groups(struct batch *f, struct heads t, const struct block *b, int page)
{
    int hd = f->a->head_dim;
    vec s[ATTN_TILE][BLOCK_PAGES], sum[ATTN_TILE][BLOCK_PAGES];
    UNROLL
    for (int h = 0; h < t.n; h++) {
        UNROLL
        for (int g = 0; g < ATTN_PAGES; g++)
            sum[h][g] = v_zero();
    }
    for (int d = 0, group = 0; d < hd; d += QUANT_GROUP, group++) {
        int end = d + QUANT_GROUP < hd ? d + QUANT_GROUP : hd;
        score_chain(ENGINE_KV_Q8, f, t, b, (struct chain){page, d, end}, s);
        UNROLL
        for (int g = 0; g < ATTN_PAGES; g++) {
            vec scale = load_scales(f->a, b->page[page + g] + f->a->k_offset, group);
            v_prefetch_far(b->ahead[page + g] + f->a->k_offset + scales_at(f->a, group));
            UNROLL
            for (int h = 0; h < t.n; h++)
                sum[h][g] = v_fma(s[h][g], scale, sum[h][g]);
        }
    }
    store_scores(f, t, page, sum);
}

/* Scores of a tile against all pages of the block. */
INLINE void score_tile(enum engine_kv type, struct batch *f, struct heads t,
                       const struct block *b)
{
    for (int page = 0; page < b->n_pages; page += ATTN_PAGES) {
        if (type == ENGINE_KV_Q8)
            score_groups(f, t, b, page);
        else
            score_plain(type, f, t, b, page);
    }
}

/* ---- softmax ---------------------------------------------------------------- */

/* Keys [from, to) of a block. */
struct keys {
    int from, to;
};

/* Scores of keys other than these become -infinity. */
INLINE void hide(float *p, struct keys shown)
{
    vec hidden = v_set1(-INFINITY);
    for (int at = 0; at < shown.from; at += LANES)
        v_store_n(p + at, hidden,
                  (size_t)(shown.from - at < LANES ? shown.from - at : LANES));
    for (int at = shown.to / LANES * LANES; at < ATTN_BLOCK; at += LANES) {
        vec s = v_load(p + at);
        v_store(p + at, hidden);
        if (at < shown.to)
            v_store_n(p + at, s, (size_t)(shown.to - at));
    }
}

INLINE int within_block(int key)
{
    return key < 0 ? 0 : key < ATTN_BLOCK ? key : ATTN_BLOCK;
}

/* Keys of the block that query h sees. */
INLINE struct keys seen(const struct batch *f, const struct block *b, int h)
{
    return (struct keys){within_block(f->first[h] - b->key0),
                         within_block(f->n_keys[h] - b->key0)};
}

INLINE vec greatest(const float *p)
{
    return v_max(v_max(v_load(p), v_load(p + LANES)),
                 v_max(v_load(p + 2 * LANES), v_load(p + 3 * LANES)));
}

/* Scores become exponentials; adds the 16 partial sums. An absent key's is 0. */
INLINE vec exponentials(float *p, vec m)
{
    vec sum = v_zero();
    UNROLL
    for (int g = 0; g < BLOCK_PAGES; g++) {
        vec v = v_exp(v_sub(v_load(p + g * LANES), m));
        v_store(p + g * LANES, v);
        sum = v_add(sum, v);
    }
    return sum;
}

/* The online softmax of a tile. */
INLINE void soften_tile(struct batch *f, struct heads t, const struct block *b)
{
    vec x[ATTN_TILE];
    UNROLL
    for (int h = 0; h < ATTN_TILE; h++) {
        x[h] = v_zero();
        if (h >= t.n)
            continue;
        struct keys shown = seen(f, b, t.first + h);
        if (shown.from > 0 || shown.to < ATTN_BLOCK)
            hide(f->p[t.first + h], shown);
        x[h] = greatest(f->p[t.first + h]);
    }
    vec before = v_load(&f->m[t.first * 4]), m = v_greatest_4(x);
    m = v_if_greater(m, before, m, before);
    vec c = v_exp(v_sub(before, m));
    UNROLL
    for (int h = 0; h < t.n; h++)
        x[h] = exponentials(f->p[t.first + h], v_quarter(m, h));
    vec l = v_fma(v_load(&f->l[t.first * 4]), c, v_join_4(x));
    store_lanes(&f->m[t.first * 4], m, (size_t)t.n * 4);
    store_lanes(&f->c[t.first * 4], c, (size_t)t.n * 4);
    store_lanes(&f->l[t.first * 4], l, (size_t)t.n * 4);
}

/* ---- values ----------------------------------------------------------------- */

enum { VALUE_GROUPS = (ATTN_VECS * LANES + QUANT_GROUP - 1) / QUANT_GROUP };

/* Part of head_dim: `vecs` vectors from d on, the last of `lanes`. */
struct part {
    size_t d, lanes;
    int vecs;
};

/* q8: the weights of keys times the scales of the part's groups. */
INLINE void weigh(const struct batch *f, struct heads t, const struct block *b,
                  struct part part, float (*w)[VALUE_GROUPS][ATTN_BLOCK])
{
    for (int page = 0; page < b->n_pages; page++)
        for (int g = 0; g < (part.vecs + 1) / 2; g++) {
            int group = (int)part.d / QUANT_GROUP + g;
            vec scale = load_scales(f->a, b->page[page] + f->a->v_offset, group);
            v_prefetch_far(b->ahead[page] + f->a->v_offset + scales_at(f->a, group));
            UNROLL
            for (int h = 0; h < t.n; h++) {
                const float *p = &f->p[t.first + h][page * PAGE_TOKENS];
                v_store(&w[h][g][page * PAGE_TOKENS], v_mul(v_load(p), scale));
            }
        }
}

/* Prefetches the same values of the next page. */
INLINE void fetch_values(enum engine_kv type, const char *half, size_t at, int vecs)
{
    size_t n = value_bytes(type), end = (size_t)(vecs * LANES) * n;
    UNROLL
    for (size_t i = 0; i < end; i += ATTN_LINE)
        v_prefetch_far(half + at * n + i);
}

/* sum += Σ p v over keys [from, to) of one page; p is w[h][g] for group g of the part. */
INLINE void value_page(enum engine_kv type, const struct batch *f, struct heads t,
                       const char *const half[2], struct part part, struct keys keys,
                       const float *(*w)[VALUE_GROUPS], vec (*sum)[ATTN_VECS])
{
    size_t hd = (size_t)f->a->head_dim;
    size_t at = (size_t)(keys.from % PAGE_TOKENS) * hd + part.d;
    for (int j = keys.from; j < keys.to; j++, at += hd) {
        vec value[ATTN_VECS];
        fetch_values(type, half[1], at, part.vecs);
        UNROLL
        for (int i = 0; i < part.vecs; i++)
            value[i] = load_page(type, half[0], at + (size_t)i * LANES, part.lanes);
        UNROLL
        for (int h = 0; h < t.n; h++) {
            UNROLL
            for (int i = 0; i < part.vecs; i++)
                sum[h][i] = fma_of(type, &w[h][i / 2][j], value[i], sum[h][i]);
        }
    }
}

/* o = o c + Σ p v over some keys. */
INLINE void value_tile(enum engine_kv type, struct batch *f, struct heads t,
                       const struct block *b, struct part part, struct keys keys)
{
    vec sum[ATTN_TILE][ATTN_VECS];
    float scaled[ATTN_TILE][VALUE_GROUPS][ATTN_BLOCK];
    const float *w[ATTN_TILE][VALUE_GROUPS];
    if (type == ENGINE_KV_Q8)
        weigh(f, t, b, part, scaled);
    UNROLL
    for (int h = 0; h < t.n; h++) {
        vec c = v_set1(f->c[(t.first + h) * 4]);
        UNROLL
        for (int g = 0; g < VALUE_GROUPS; g++)
            w[h][g] = type == ENGINE_KV_Q8 ? scaled[h][g] : f->p[t.first + h];
        UNROLL
        for (int i = 0; i < part.vecs; i++)
            sum[h][i] =
                v_mul(load_lanes(f->o[t.first + h] + part.d + i * LANES, part.lanes), c);
    }
    for (int j = keys.from, end; j < keys.to; j = end) {
        int page = j / PAGE_TOKENS;
        const char *half[2] = {b->page[page] + f->a->v_offset,
                               b->ahead[page] + f->a->v_offset};
        end = (page + 1) * PAGE_TOKENS < keys.to ? (page + 1) * PAGE_TOKENS : keys.to;
        value_page(type, f, t, half, part, (struct keys){j, end}, w, sum);
    }
    UNROLL
    for (int h = 0; h < t.n; h++) {
        UNROLL
        for (int i = 0; i < part.vecs; i++)
            store_lanes(f->o[t.first + h] + part.d + i * LANES, sum[h][i], part.lanes);
    }
}

INLINE void value_parts(enum engine_kv type, struct batch *f, struct heads t,
                        const struct block *b, struct keys keys)
{
    size_t d = 0, n = (size_t)f->a->head_dim;
    for (; d + ATTN_VECS * LANES <= n; d += ATTN_VECS * LANES)
        value_tile(type, f, t, b, (struct part){d, LANES, ATTN_VECS}, keys);
    for (; d + LANES <= n; d += LANES)
        value_tile(type, f, t, b, (struct part){d, LANES, 1}, keys);
    if (d < n)
        value_tile(type, f, t, b, (struct part){d, n - d, 1}, keys);
}

/* ---- one page type ---------------------------------------------------------- */

typedef void score_fn(struct batch *f, struct heads t, const struct block *b);
typedef void value_fn(struct batch *f, struct heads t, const struct block *b,
                      struct keys keys);

struct page_type {
    score_fn *score;
    value_fn *value;
};

INLINE void score_any(enum engine_kv type, struct batch *f, struct heads t,
                      const struct block *b)
{
    switch (t.n) {
    case 1:
        score_tile(type, f, (struct heads){t.first, 1}, b);
        break;
    case 2:
        score_tile(type, f, (struct heads){t.first, 2}, b);
        break;
    case 3:
        score_tile(type, f, (struct heads){t.first, 3}, b);
        break;
    default:
        score_tile(type, f, (struct heads){t.first, ATTN_TILE}, b);
    }
}

INLINE void value_any(enum engine_kv type, struct batch *f, struct heads t,
                      const struct block *b, struct keys keys)
{
    switch (t.n) {
    case 1:
        value_parts(type, f, (struct heads){t.first, 1}, b, keys);
        break;
    case 2:
        value_parts(type, f, (struct heads){t.first, 2}, b, keys);
        break;
    case 3:
        value_parts(type, f, (struct heads){t.first, 3}, b, keys);
        break;
    default:
        value_parts(type, f, (struct heads){t.first, ATTN_TILE}, b, keys);
    }
}

#define PAGE_TYPE(name, type)                                                            \
    static void score_##name(struct batch *f, struct heads t, const struct block *b)     \
    {                                                                                    \
        score_any(type, f, t, b);                                                        \
    }                                                                                    \
    static void value_##name(struct batch *f, struct heads t, const struct block *b,     \
                             struct keys keys)                                           \
    {                                                                                    \
        value_any(type, f, t, b, keys);                                                  \
    }                                                                                    \
    static const struct page_type page_##name = {score_##name, value_##name};

PAGE_TYPE(f32, ENGINE_KV_F32)
PAGE_TYPE(f16, ENGINE_KV_F16)
PAGE_TYPE(q8, ENGINE_KV_Q8)

/* ---- all together ----------------------------------------------------------- */

static void soften(struct batch *f, struct heads t, const struct block *b)
{
    switch (t.n) {
    case 1:
        soften_tile(f, (struct heads){t.first, 1}, b);
        break;
    case 2:
        soften_tile(f, (struct heads){t.first, 2}, b);
        break;
    case 3:
        soften_tile(f, (struct heads){t.first, 3}, b);
        break;
    default:
        soften_tile(f, (struct heads){t.first, ATTN_TILE}, b);
    }
}

/* Adds values of some keys, if any; the sums are rescaled by c once a block. */
static void add_some(struct batch *f, struct heads t, const struct block *b,
                     const struct page_type *type, struct keys keys)
{
    if (keys.from >= keys.to)
        return;
    type->value(f, t, b, keys);
    for (int h = t.first; h < t.first + t.n; h++)
        f->c[h * 4] = 1;
}

/* The keys that all queries of the tile see, together; before and behind them each
 * query's own. */
static void add_values(struct batch *f, struct heads t, const struct block *b,
                       const struct page_type *type)
{
    struct keys all = {0, ATTN_BLOCK};
    for (int h = t.first; h < t.first + t.n; h++) {
        struct keys own = seen(f, b, h);
        all.from = own.from > all.from ? own.from : all.from;
        all.to = own.to < all.to ? own.to : all.to;
    }
    if (all.from > all.to) /* each for itself */
        all.from = all.to = ATTN_BLOCK;
    for (int h = t.first; h < t.first + t.n; h++) {
        struct keys own = seen(f, b, h);
        int end = own.to < all.from ? own.to : all.from;
        add_some(f, (struct heads){h, 1}, b, type, (struct keys){own.from, end});
    }
    add_some(f, t, b, type, all);
    for (int h = t.first; h < t.first + t.n; h++) {
        struct keys own = seen(f, b, h);
        int begin = own.from > all.to ? own.from : all.to;
        add_some(f, (struct heads){h, 1}, b, type, (struct keys){begin, own.to});
    }
}

/* Tile h of the batch without queries whose windows begin behind the block: the last
 * ones, since windows move on with the rows. */
static struct heads tile_at(const struct batch *f, const struct block *b, int h)
{
    struct heads t = {h, f->n - h < ATTN_TILE ? f->n - h : ATTN_TILE};
    while (t.n > 0 && f->first[h + t.n - 1] >= b->key0 + ATTN_BLOCK)
        t.n--;
    return t;
}

static void attend_block(struct batch *f, const struct block *b,
                         const struct page_type *type)
{
    for (int h = 0; h < f->n; h += ATTN_TILE) {
        struct heads t = tile_at(f, b, h);
        if (t.n == 0)
            continue;
        type->score(f, t, b);
        soften(f, t, b);
    }
    for (int h = 0; h < f->n; h += ATTN_TILE) {
        struct heads t = tile_at(f, b, h);
        if (t.n > 0)
            add_values(f, t, b, type);
    }
}

static const char *page_at(const struct attn_args *a, int page)
{
    return a->pages + (size_t)a->table[page] * a->page_bytes;
}

/* The block of keys from key0 on, of n keys in all. */
static void find_block(const struct attn_args *a, int key0, int n, struct block *b)
{
    int first = key0 / PAGE_TOKENS, last = (n - 1) / PAGE_TOKENS;
    b->key0 = key0;
    b->n_pages = last - first + 1 < BLOCK_PAGES ? last - first + 1 : BLOCK_PAGES;
    for (int g = 0; g < BLOCK_PAGES; g++) {
        int ahead = first + ATTN_AHEAD * BLOCK_PAGES + g;
        b->page[g] = page_at(a, g < b->n_pages ? first + g : first);
        b->ahead[g] = page_at(a, ahead < last ? ahead : last);
    }
}

/* Queries [first, first + n) of all rows; query i: head i mod group of row i / group. */
static void begin(struct batch *f, const struct attn_args *a, int first, int n)
{
    f->a = a;
    f->n = n;
    for (int i = 0; i < n; i++) {
        int row = (first + i) / a->group, head = (first + i) % a->group;
        size_t at = (size_t)row * a->ld + (size_t)(head * a->head_dim);
        f->q[i] = a->q + at;
        f->o[i] = a->out + at;
        f->n_keys[i] = a->n_keys + row;
        f->first[i] =
            a->window && f->n_keys[i] > a->window ? f->n_keys[i] - a->window : 0;
        memset(f->o[i], 0, (size_t)a->head_dim * sizeof *f->o[i]);
    }
    for (int i = 0; i < n * 4; i += LANES) {
        v_store(&f->m[i], v_set1(-INFINITY));
        v_store(&f->l[i], v_zero());
    }
}

static void finish(const struct batch *f)
{
    for (int i = 0; i < f->n; i++) {
        float *o = f->o[i];
        vec l = v_set1(f->l[i * 4]);
        for (size_t d = 0, n = (size_t)f->a->head_dim; d < n; d += LANES) {
            size_t lanes = n - d < LANES ? n - d : LANES;
            store_lanes(o + d, v_div(load_lanes(o + d, lanes), l), lanes);
        }
    }
}

static void attend(const struct attn_args *a, const struct page_type *type)
{
    int n = a->n_rows * a->group;
    struct batch f;
    struct block b;
    for (int first = 0; first < n; first += ATTN_BATCH) {
        begin(&f, a, first, n - first < ATTN_BATCH ? n - first : ATTN_BATCH);
        int n_keys = f.n_keys[f.n - 1], key0 = f.first[0] / ATTN_BLOCK * ATTN_BLOCK;
        for (int key = key0; key < n_keys; key += ATTN_BLOCK) {
            find_block(a, key, n_keys, &b);
            attend_block(&f, &b, type);
        }
        finish(&f);
    }
}

static void attn_f32(const struct attn_args *a)
{
    attend(a, &page_f32);
}

static void attn_f16(const struct attn_args *a)
{
    attend(a, &page_f16);
}

static void attn_q8(const struct attn_args *a)
{
    attend(a, &page_q8);
}
