/*
 * Body shared by the vector sets: the recurrences of SSD, GSS, DSS and S4D.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* Four chains by n mod 4: i counts n within a round of four. */
INLINE vec join_chains(const vec s[4])
{
    return v_add(v_add(s[0], s[1]), v_add(s[2], s[3]));
}

/* One token over `vecs` vectors of the head from p on; the last one has `lanes` lanes. */
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

/* One step of a mode; adds its output to sum. The state and c are [2][LANES]. */
INLINE void mode(float *state, vec a_re, vec a_im, const float *c, vec x, vec *sum)
{
    vec re = v_load(state), im = v_load(state + LANES);
    vec new_re = v_fma(a_re, re, v_fnma(a_im, im, x));
    vec new_im = v_fma(a_re, im, v_mul(a_im, re));
    v_store(state, new_re);
    v_store(state + LANES, new_im);
    *sum = v_fma(v_load(c), new_re, *sum);
    *sum = v_fnma(v_load(c + LANES), new_im, *sum);
}

/* One row of all modes, in 4 chains by mode; `mode_of` is known where this is inlined. */
typedef void mode_fn(const void *args, int n, vec x, vec *sum);

INLINE vec modes(const void *args, mode_fn *mode_of, int n_state, vec x)
{
    vec sum[4];
    UNROLL
    for (int j = 0; j < 4; j++)
        sum[j] = v_zero();
    int n = 0;
    for (; n + 4 <= n_state; n += 4) {
        UNROLL
        for (int j = 0; j < 4; j++)
            mode_of(args, n + j, x, &sum[j]);
    }
    UNROLL
    for (int j = 0; j < 3; j++)
        if (n + j < n_state)
            mode_of(args, n + j, x, &sum[j]);
    return join_chains(sum);
}

INLINE void dss_mode(const void *args, int n, vec s, vec *sum)
{
    const struct dss_args *g = args;
    mode(g->state + n * 2 * LANES, v_set1(g->e[2 * n]), v_set1(g->e[2 * n + 1]),
         g->coef + n * 2 * LANES, s, sum);
}

static void dss(const struct dss_args *g)
{
    size_t lanes = (size_t)g->n_channels;
    for (size_t t = 0; t < (size_t)g->n_rows; t++) {
        vec s = load_lanes(g->s + t * g->ld_s, lanes);
        vec y = v_fma(v_load(g->d), s, modes(g, dss_mode, g->n_state, s));
        store_lanes(g->y + t * g->ld_y, y, lanes);
    }
}

INLINE void s4d_mode(const void *args, int n, vec x, vec *sum)
{
    const struct s4d_args *g = args;
    const float *a = g->coef + n * 4 * LANES;
    mode(g->state + n * 2 * LANES, v_load(a), v_load(a + LANES), a + 2 * LANES, x, sum);
}

static void s4d(const struct s4d_args *g)
{
    size_t lanes = (size_t)g->n_channels;
    for (size_t t = 0; t < (size_t)g->n_rows; t++) {
        vec x = load_lanes(g->x + t * g->ld_x, lanes);
        vec y = v_fma(v_load(g->d), x, modes(g, s4d_mode, g->n_state, x));
        store_lanes(g->y + t * g->ld_y, y, lanes);
    }
}
