/*
 * Body shared by the vector sets: attention, and the recurrences of SSD, GSS and DSS.
 *
 * Attention runs up to ATTN_HEADS query heads together, ATTN_TILE at a time, so that a
 * key or value is loaded once for several of them. Scores have keys along the lanes,
 * values have head_dim along the lanes; neither needs a sum across lanes.
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

static void attn(const struct attn_args *a)
{
    for (int h = 0; h < a->group; h += ATTN_HEADS)
        attn_heads(a, h, a->group - h < ATTN_HEADS ? a->group - h : ATTN_HEADS);
}

/* ---- recurrences ------------------------------------------------------------ */

/* Four chains by n mod 4: i counts n within a round of four. */
INLINE vec join_chains(const vec s[4])
{
    return v_add(v_add(s[0], s[1]), v_add(s[2], s[3]));
}

/* One token over `vecs` vectors of the head from p on; the last vector has `lanes` lanes.
 */
INLINE void ssd_token(const struct ssd_args *g, size_t row, size_t p, int vecs,
                      size_t lanes)
{
    const float *x = g->x + row * g->ld_x + p;
    const float *b = g->b + row * g->ld_bc, *c = g->c + row * g->ld_bc;
    float *state = g->state + p, *y = g->y + row * g->ld_y + p;
    vec a = v_set1(g->a[row * g->ld_t]), dt = v_set1(g->dt[row * g->ld_t]);
    vec dx[SSD_VECS], sum[SSD_VECS][4];
    UNROLL
    for (int i = 0; i < vecs; i++) {
        dx[i] = v_mul(dt, load_lanes(x + i * LANES, lanes));
        UNROLL
        for (int j = 0; j < 4; j++)
            sum[i][j] = v_zero();
    }
    for (int n = 0; n < g->n_state; n += 4) {
        UNROLL
        for (int j = 0; j < 4; j++) {
            if (n + j >= g->n_state)
                break;
            vec vb = v_set1(b[n + j]), vc = v_set1(c[n + j]);
            float *s = state + (size_t)(n + j) * (size_t)g->n_head;
            UNROLL
            for (int i = 0; i < vecs; i++) {
                vec old = load_lanes(s + i * LANES, lanes);
                vec new = v_fma(vb, dx[i], v_mul(a, old));
                store_lanes(s + i * LANES, new, lanes);
                sum[i][j] = v_fma(new, vc, sum[i][j]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < vecs; i++)
        store_lanes(y + i * LANES, join_chains(sum[i]), lanes);
}

/* A column of the state stays in the L1 cache for all rows. */
INLINE void ssd_columns(const struct ssd_args *g, size_t p, int vecs, size_t lanes)
{
    for (size_t t = 0; t < (size_t)g->n_rows; t++)
        ssd_token(g, t, p, vecs, lanes);
}

static void ssd(const struct ssd_args *g)
{
    size_t p = 0, n = (size_t)g->n_head;
    for (; p + SSD_VECS * LANES <= n; p += SSD_VECS * LANES)
        ssd_columns(g, p, SSD_VECS, LANES);
    for (; p + LANES <= n; p += LANES)
        ssd_columns(g, p, 1, LANES);
    if (p < n)
        ssd_columns(g, p, 1, n - p);
}

INLINE void gss_columns(const struct gss_args *s, size_t i, size_t lanes)
{
    vec h = load_lanes(s->h + i, lanes), a = load_lanes(s->a + i, lanes);
    for (size_t t = 0; t < (size_t)s->n_rows; t++) {
        vec g = load_lanes(s->g + t * s->ld_g + i, lanes);
        vec b = load_lanes(s->b + t * s->ld_b + i, lanes);
        h = v_mul(g, v_fma(a, h, b));
        store_lanes(s->y + t * s->ld_y + i, h, lanes);
    }
    store_lanes(s->h + i, h, lanes);
}

static void gss(const struct gss_args *s)
{
    size_t i = 0, n = (size_t)s->n;
    for (; i + LANES <= n; i += LANES)
        gss_columns(s, i, LANES);
    if (i < n)
        gss_columns(s, i, n - i);
}

/* One step of state n; adds its output to sum. */
INLINE void dss_state(const struct dss_args *g, int n, vec s, vec *sum)
{
    float *state = g->state + n * 2 * LANES;
    const float *c = g->coef + n * 2 * LANES;
    vec e_re = v_set1(g->e[2 * n]), e_im = v_set1(g->e[2 * n + 1]);
    vec re = v_load(state), im = v_load(state + LANES);
    vec new_re = v_fma(e_re, re, v_fnma(e_im, im, s));
    vec new_im = v_fma(e_re, im, v_mul(e_im, re));
    v_store(state, new_re);
    v_store(state + LANES, new_im);
    *sum = v_fma(v_load(c), new_re, *sum);
    *sum = v_fnma(v_load(c + LANES), new_im, *sum);
}

static void dss(const struct dss_args *g)
{
    size_t lanes = (size_t)g->n_channels;
    for (size_t t = 0; t < (size_t)g->n_rows; t++) {
        vec s = load_lanes(g->s + t * g->ld_s, lanes), sum[4];
        UNROLL
        for (int j = 0; j < 4; j++)
            sum[j] = v_zero();
        int n = 0;
        for (; n + 4 <= g->n_state; n += 4) {
            UNROLL
            for (int j = 0; j < 4; j++)
                dss_state(g, n + j, s, &sum[j]);
        }
        UNROLL
        for (int j = 0; j < 3; j++)
            if (n + j < g->n_state)
                dss_state(g, n + j, s, &sum[j]);
        vec y = v_fma(v_load(g->d), s, join_chains(sum));
        store_lanes(g->y + t * g->ld_y, y, lanes);
    }
}
