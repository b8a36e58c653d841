/*
 * The reference kernel of the gated delta rule. Any thread; no state of its own. Columns
 * do not depend on each other; rows run in order, one after the other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>

/* Column p of the state is every 16th float from here on. */
static float *column(const struct gdn_args *g, int p)
{
    return g->state + (size_t)(p / LANES) * (size_t)g->n_key * LANES + p % LANES;
}

/* One token of column p. */
static void step(const struct gdn_args *g, size_t row, int p)
{
    const float *q = g->q + row * g->ld_qk, *k = g->k + row * g->ld_qk;
    float decay = g->decay[row * g->ld_t], beta = g->beta[row * g->ld_t];
    float *s = column(g, p), r[2] = {0}, o[2] = {0};
    for (int i = 0; i < g->n_key; i++)
        r[i % 2] = fmaf(s[i * LANES], k[i], r[i % 2]);
    float u = beta * fmaf(-decay, r[0] + r[1], g->v[row * g->ld_v + (size_t)p]);
    for (int i = 0; i < g->n_key; i++) {
        s[i * LANES] = fmaf(k[i], u, decay * s[i * LANES]);
        o[i % 2] = fmaf(s[i * LANES], q[i], o[i % 2]);
    }
    g->y[row * g->ld_y + (size_t)p] = o[0] + o[1];
}

void gdn_c(const struct gdn_args *g)
{
    for (int t = 0; t < g->n_rows; t++)
        for (int p = 0; p < g->n_value; p++)
            step(g, (size_t)t, p);
}
