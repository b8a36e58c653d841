/*
 * Body shared by the vector sets: attention.
 *
 * Up to ATTN_HEADS query heads run together, ATTN_TILE at a time, so that a key or value
 * is loaded once for several of them. Scores have keys along the lanes, values have
 * head_dim along the lanes; neither needs a sum across lanes.
 */

enum { ATTN_TILE = 4, ATTN_HEADS = 16, BLOCK_PAGES = ATTN_BLOCK / PAGE_TOKENS };

/* What lies between the blocks of up to ATTN_HEADS heads, beside the output rows. */
struct heads {
    float m[ATTN_HEADS], l[ATTN_HEADS], c[ATTN_HEADS];
    _Alignas(64) float p[ATTN_HEADS][ATTN_BLOCK]; /* scores, then their exponentials */
};

/* A block of keys: its pages, and how many keys the last of them has. */
struct block {
    const char *page[BLOCK_PAGES];
    int n_pages, n_keys;
};

/* Scores of `heads` heads against `pages` pages from page0 on, of `lanes` keys each. */
INLINE void score_tile(const struct attn_args *a, const struct block *b, const float *q,
                       float (*s)[ATTN_BLOCK], int page0, int heads, int pages,
                       size_t lanes)
{
    vec sum[ATTN_TILE][BLOCK_PAGES];
    const float *k[BLOCK_PAGES];
    UNROLL
    for (int g = 0; g < pages; g++) {
        k[g] = (const float *)(const void *)(b->page[page0 + g] + a->k_offset);
        UNROLL
        for (int h = 0; h < heads; h++)
            sum[h][g] = v_zero();
    }
    for (int d = 0; d < a->head_dim; d++) {
        vec key[BLOCK_PAGES];
        UNROLL
        for (int g = 0; g < pages; g++) {
            key[g] = load_lanes(k[g] + d * PAGE_TOKENS, lanes);
            /* V has as many lines as K and is wanted next. */
            v_prefetch((const char *)(k[g] + d * PAGE_TOKENS) - a->k_offset +
                       a->v_offset);
        }
        UNROLL
        for (int h = 0; h < heads; h++) {
            vec x = v_set1(q[h * a->head_dim + d]);
            UNROLL
            for (int g = 0; g < pages; g++)
                sum[h][g] = v_fma(x, key[g], sum[h][g]);
        }
    }
    vec scale_by = v_set1(a->scale);
    UNROLL
    for (int h = 0; h < heads; h++) {
        UNROLL
        for (int g = 0; g < pages; g++)
            store_lanes(&s[h][(page0 + g) * PAGE_TOKENS], v_mul(sum[h][g], scale_by),
                        lanes);
    }
}

/* Scores of all keys of the block; absent places hold -infinity. */
INLINE void score_heads(const struct attn_args *a, const struct block *b, const float *q,
                        float (*s)[ATTN_BLOCK], int heads)
{
    int whole = b->n_keys / PAGE_TOKENS, page = 0;
    size_t rest = (size_t)(b->n_keys % PAGE_TOKENS);
    for (; page + ATTN_PAGES <= whole; page += ATTN_PAGES)
        score_tile(a, b, q, s, page, heads, ATTN_PAGES, LANES);
    for (; page < whole; page++)
        score_tile(a, b, q, s, page, heads, 1, LANES);
    for (; page < BLOCK_PAGES; page++, rest = 0) {
        for (int h = 0; h < heads; h++)
            v_store(&s[h][page * PAGE_TOKENS], v_set1(-INFINITY));
        if (rest)
            score_tile(a, b, q, s, page, heads, 1, rest);
    }
}

/* The online softmax of one head: scores become exponentials. An absent place's is 0. */
INLINE void soften(struct heads *f, int h)
{
    float *p = f->p[h];
    vec v[BLOCK_PAGES];
    UNROLL
    for (int g = 0; g < BLOCK_PAGES; g++)
        v[g] = v_load(p + g * LANES);
    float m = v_greatest(v_max(v_max(v[0], v[1]), v_max(v[2], v[3])));
    m = m > f->m[h] ? m : f->m[h];
    vec sum = v_zero(), vm = v_set1(m);
    UNROLL
    for (int g = 0; g < BLOCK_PAGES; g++) {
        v[g] = v_exp(v_sub(v[g], vm));
        v_store(p + g * LANES, v[g]);
        sum = v_add(sum, v[g]);
    }
    float c[LANES];
    v_store(c, v_exp(v_set1(f->m[h] - m)));
    f->c[h] = c[0];
    f->m[h] = m;
    f->l[h] = fmaf(f->l[h], c[0], v_join(sum));
}

/* o = o c + Σ p v for `heads` heads over `vecs` vectors of head_dim; the last has
 * `lanes`. */
INLINE void value_tile(const struct attn_args *a, const struct block *b, const float *c,
                       float (*p)[ATTN_BLOCK], float *o, size_t d, int heads, int vecs,
                       size_t lanes)
{
    vec sum[ATTN_TILE][ATTN_VECS];
    UNROLL
    for (int h = 0; h < heads; h++) {
        vec vc = v_set1(c[h]);
        UNROLL
        for (int i = 0; i < vecs; i++)
            sum[h][i] = v_mul(load_lanes(o + h * a->head_dim + i * LANES, lanes), vc);
    }
    for (int j = 0; j < b->n_keys; j++) {
        const char *page = b->page[j / PAGE_TOKENS] + a->v_offset;
        const float *v = (const float *)(const void *)page;
        v += (size_t)(j % PAGE_TOKENS * a->head_dim) + d;
        vec value[ATTN_VECS];
        UNROLL
        for (int i = 0; i < vecs; i++)
            value[i] = load_lanes(v + i * LANES, lanes);
        UNROLL
        for (int h = 0; h < heads; h++) {
            vec x = v_set1(p[h][j]);
            UNROLL
            for (int i = 0; i < vecs; i++)
                sum[h][i] = v_fma(x, value[i], sum[h][i]);
        }
    }
    UNROLL
    for (int h = 0; h < heads; h++) {
        UNROLL
        for (int i = 0; i < vecs; i++)
            store_lanes(o + h * a->head_dim + i * LANES, sum[h][i], lanes);
    }
}

INLINE void value_heads(const struct attn_args *a, const struct block *b, const float *c,
                        float (*p)[ATTN_BLOCK], float *o, int heads)
{
    size_t d = 0, n = (size_t)a->head_dim;
    for (; d + ATTN_VECS * LANES <= n; d += ATTN_VECS * LANES)
        value_tile(a, b, c, p, o + d, d, heads, ATTN_VECS, LANES);
    for (; d + LANES <= n; d += LANES)
        value_tile(a, b, c, p, o + d, d, heads, 1, LANES);
    if (d < n)
        value_tile(a, b, c, p, o + d, d, heads, 1, n - d);
}

static void score_any(const struct attn_args *a, const struct block *b, const float *q,
                      float (*s)[ATTN_BLOCK], int heads)
{
    switch (heads) {
    case 1:
        score_heads(a, b, q, s, 1);
        break;
    case 2:
        score_heads(a, b, q, s, 2);
        break;
    case 3:
        score_heads(a, b, q, s, 3);
        break;
    default:
        score_heads(a, b, q, s, ATTN_TILE);
    }
}

static void value_any(const struct attn_args *a, const struct block *b, const float *c,
                      float (*p)[ATTN_BLOCK], float *o, int heads)
{
    switch (heads) {
    case 1:
        value_heads(a, b, c, p, o, 1);
        break;
    case 2:
        value_heads(a, b, c, p, o, 2);
        break;
    case 3:
        value_heads(a, b, c, p, o, 3);
        break;
    default:
        value_heads(a, b, c, p, o, ATTN_TILE);
    }
}

static void attn_block(const struct attn_args *a, const struct block *b, struct heads *f,
                       int head0, int n_heads)
{
    const float *q = a->q + head0 * a->head_dim;
    float *o = a->out + head0 * a->head_dim;
    for (int h = 0; h < n_heads; h += ATTN_TILE) {
        int n = n_heads - h < ATTN_TILE ? n_heads - h : ATTN_TILE;
        score_any(a, b, q + h * a->head_dim, &f->p[h], n);
    }
    for (int h = 0; h < n_heads; h++)
        soften(f, h);
    for (int h = 0; h < n_heads; h += ATTN_TILE) {
        int n = n_heads - h < ATTN_TILE ? n_heads - h : ATTN_TILE;
        value_any(a, b, &f->c[h], &f->p[h], o + h * a->head_dim, n);
    }
}

static void find_block(const struct attn_args *a, int key0, struct block *b)
{
    b->n_keys = a->n_keys - key0 < ATTN_BLOCK ? a->n_keys - key0 : ATTN_BLOCK;
    b->n_pages = (b->n_keys + PAGE_TOKENS - 1) / PAGE_TOKENS;
    for (int g = 0; g < b->n_pages; g++) {
        size_t page = (size_t)a->table[key0 / PAGE_TOKENS + g];
        b->page[g] = a->pages + page * a->page_bytes;
    }
}

static void attn_heads(const struct attn_args *a, int head0, int n_heads)
{
    struct heads f;
    struct block b;
    float *o = a->out + head0 * a->head_dim;
    size_t n = (size_t)n_heads * (size_t)a->head_dim;
    for (size_t i = 0; i < n; i++)
        o[i] = 0.0f;
    for (int h = 0; h < n_heads; h++) {
        f.m[h] = -INFINITY;
        f.l[h] = 0.0f;
    }
    for (int key = 0; key < a->n_keys; key += ATTN_BLOCK) {
        find_block(a, key, &b);
        attn_block(a, &b, &f, head0, n_heads);
    }
    for (int h = 0; h < n_heads; h++)
        for (int d = 0; d < a->head_dim; d++)
            o[h * a->head_dim + d] /= f.l[h];
}

static void attn_f32(const struct attn_args *a)
{
    struct attn_args row = *a;
    row.n_rows = 1;
    for (int r = 0; r < a->n_rows; r++) {
        row.q = a->q + (size_t)r * a->ld;
        row.out = a->out + (size_t)r * a->ld;
        row.n_keys = a->n_keys + r;
        for (int h = 0; h < a->group; h += ATTN_HEADS)
            attn_heads(&row, h, a->group - h < ATTN_HEADS ? a->group - h : ATTN_HEADS);
    }
}
