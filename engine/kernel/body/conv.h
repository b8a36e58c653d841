/*
 * Body shared by the vector sets: the causal convolution. For the usual numbers of taps
 * a vector of channels keeps its weights and its last inputs in registers for all rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

enum { CONV_TAPS = 4 };

INLINE vec conv_bias(const struct conv_args *g, size_t i, size_t lanes)
{
    return g->bias ? load_lanes(g->bias + i, lanes) : v_zero();
}

INLINE void conv_store(const struct conv_args *g, size_t t, size_t i, size_t lanes, vec y)
{
    store_lanes(g->y + t * g->ld_y + i, g->silu ? v_silu(y) : y, lanes);
}

/* taps <= CONV_TAPS, a constant once inlined. */
INLINE void conv_few(const struct conv_args *g, size_t i, size_t lanes, int taps)
{
    vec w[CONV_TAPS], x[CONV_TAPS], bias = conv_bias(g, i, lanes);
    UNROLL
    for (int j = 0; j < taps; j++)
        w[j] = load_lanes(g->w + (size_t)j * g->ld + i, lanes);
    UNROLL
    for (int j = 0; j + 1 < taps; j++)
        x[j] = load_lanes(g->state + (size_t)j * g->ld + i, lanes);
    for (size_t t = 0; t < (size_t)g->n_rows; t++) {
        vec sum = bias;
        x[taps - 1] = load_lanes(g->x + t * g->ld_x + i, lanes);
        UNROLL
        for (int j = 0; j < taps; j++)
            sum = v_fma(w[j], x[j], sum);
        conv_store(g, t, i, lanes, sum);
        UNROLL
        for (int j = 0; j + 1 < taps; j++)
            x[j] = x[j + 1];
    }
    UNROLL
    for (int j = 0; j + 1 < taps; j++)
        store_lanes(g->state + (size_t)j * g->ld + i, x[j], lanes);
}

/* Moves the state by one row while it reads it. */
INLINE void conv_many(const struct conv_args *g, size_t i, size_t lanes)
{
    vec bias = conv_bias(g, i, lanes);
    for (size_t t = 0; t < (size_t)g->n_rows; t++) {
        vec x = load_lanes(g->x + t * g->ld_x + i, lanes), sum = bias;
        float *state = g->state + i;
        const float *w = g->w + i;
        for (int j = 1; j < g->n_taps; j++, state += g->ld, w += g->ld) {
            sum = v_fma(load_lanes(w, lanes), load_lanes(state, lanes), sum);
            bool last = j + 1 == g->n_taps;
            store_lanes(state, last ? x : load_lanes(state + g->ld, lanes), lanes);
        }
        conv_store(g, t, i, lanes, v_fma(load_lanes(w, lanes), x, sum));
    }
}

INLINE void conv_columns(const struct conv_args *g, size_t i, size_t lanes)
{
    switch (g->n_taps) {
    case 3:
        conv_few(g, i, lanes, 3);
        return;
    case 4:
        conv_few(g, i, lanes, 4);
        return;
    default:
        conv_many(g, i, lanes);
    }
}

static void conv(const struct conv_args *g)
{
    size_t i = 0, n = (size_t)g->n;
    for (; i + LANES <= n; i += LANES)
        conv_columns(g, i, LANES);
    if (i < n)
        conv_columns(g, i, n - i);
}
