/*
 * Body shared by the vector sets: the gated delta rule.
 *
 * A block of GDN_VECS vectors of columns stays in the L1 cache for all rows. A row sweeps
 * over it once: while it updates the state and reads its output, it also reads what the
 * next row begins with, Sᵀk of the next k. Only before the first row is there a sweep
 * for that alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* Columns of the state; vecs and lanes are constants once inlined. */
struct gdn_block {
    float *state; /* vector i at i * panel */
    size_t panel, lanes;
    int vecs, n_key;
};

/* What the registers hold for a row; the second of two sums is that of odd keys. */
struct gdn_row {
    const float *q, *k, *next_k;
    vec decay, u[GDN_VECS];
    vec out[GDN_VECS][2];  /* Sᵀq */
    vec read[GDN_VECS][2]; /* Sᵀk of the next row's k */
};

INLINE void gdn_clear(vec sums[GDN_VECS][2])
{
    UNROLL
    for (int i = 0; i < GDN_VECS; i++)
        sums[i][0] = sums[i][1] = v_zero();
}

/* Key n, of which odd is n % 2, before the first row. */
INLINE void gdn_read(const struct gdn_block *b, struct gdn_row *r, int n, int odd)
{
    vec k = v_set1(r->next_k[n]);
    UNROLL
    for (int i = 0; i < b->vecs; i++) {
        const float *at = b->state + (size_t)i * b->panel + (size_t)n * LANES;
        r->read[i][odd] = v_fma(load_lanes(at, b->lanes), k, r->read[i][odd]);
    }
}

/* Key n of a row; more: there is a next one. */
INLINE void gdn_update(const struct gdn_block *b, struct gdn_row *r, int n, int odd,
                       bool more)
{
    vec q = v_set1(r->q[n]), k = v_set1(r->k[n]);
    vec next_k = more ? v_set1(r->next_k[n]) : k;
    UNROLL
    for (int i = 0; i < b->vecs; i++) {
        float *at = b->state + (size_t)i * b->panel + (size_t)n * LANES;
        vec new = v_fma(k, r->u[i], v_mul(r->decay, load_lanes(at, b->lanes)));
        store_lanes(at, new, b->lanes);
        r->out[i][odd] = v_fma(new, q, r->out[i][odd]);
        if (more)
            r->read[i][odd] = v_fma(new, next_k, r->read[i][odd]);
    }
}

INLINE void gdn_sweep(const struct gdn_block *b, struct gdn_row *r, bool more)
{
    int n = 0;
    for (; n + 2 <= b->n_key; n += 2) {
        gdn_update(b, r, n, 0, more);
        gdn_update(b, r, n + 1, 1, more);
    }
    if (n < b->n_key)
        gdn_update(b, r, n, 0, more);
}

INLINE void gdn_first(const struct gdn_block *b, struct gdn_row *r)
{
    int n = 0;
    for (; n + 2 <= b->n_key; n += 2) {
        gdn_read(b, r, n, 0);
        gdn_read(b, r, n + 1, 1);
    }
    if (n < b->n_key)
        gdn_read(b, r, n, 0);
}

/* Row t of columns p and up to its output: r->read is Sᵀk of its k. */
INLINE void gdn_token(const struct gdn_args *g, const struct gdn_block *b,
                      struct gdn_row *r, size_t t, size_t p)
{
    bool more = t + 1 < (size_t)g->n_rows;
    vec beta = v_set1(g->beta[t * g->ld_t]);
    r->decay = v_set1(g->decay[t * g->ld_t]);
    r->q = g->q + t * g->ld_qk;
    r->k = r->next_k;
    r->next_k = more ? r->k + g->ld_qk : NULL;
    UNROLL
    for (int i = 0; i < b->vecs; i++) {
        vec v = load_lanes(g->v + t * g->ld_v + p + i * LANES, b->lanes);
        vec had = v_add(r->read[i][0], r->read[i][1]);
        r->u[i] = v_mul(beta, v_fnma(r->decay, had, v));
    }
    gdn_clear(r->out);
    gdn_clear(r->read);
    if (more)
        gdn_sweep(b, r, true);
    else
        gdn_sweep(b, r, false);
    UNROLL
    for (int i = 0; i < b->vecs; i++)
        store_lanes(g->y + t * g->ld_y + p + i * LANES, v_add(r->out[i][0], r->out[i][1]),
                    b->lanes);
}

INLINE void gdn_columns(const struct gdn_args *g, size_t p, int vecs, size_t lanes)
{
    size_t panel = (size_t)g->n_key * LANES;
    struct gdn_block b = {g->state + p / LANES * panel, panel, lanes, vecs, g->n_key};
    struct gdn_row r = {.next_k = g->k};
    gdn_clear(r.read);
    gdn_first(&b, &r);
    for (size_t t = 0; t < (size_t)g->n_rows; t++)
        gdn_token(g, &b, &r, t, p);
}

static void gdn(const struct gdn_args *g)
{
    size_t p = 0, n = (size_t)g->n_value;
    for (; p + GDN_VECS * LANES <= n; p += GDN_VECS * LANES)
        gdn_columns(g, p, GDN_VECS, LANES);
    for (; p + LANES <= n; p += LANES)
        gdn_columns(g, p, 1, LANES);
    if (p < n)
        gdn_columns(g, p, 1, n - p);
}
