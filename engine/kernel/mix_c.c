/*
 * The reference kernels of the recurrences: SSD, GSS, DSS and S4D. Any thread; no state of
 * their own. Rows run in order, one after the other; no sum over time is regrouped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>

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
                float *s = g->state + (size_t)n * (size_t)g->n_head + p;
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

/* One step of a mode with the input x; adds what it puts out to acc. a and c are complex,
 * their imaginary part `im` floats behind the real one, as the state's is LANES. */
static float mode(float *state, const float *a, size_t im, const float *c, float x,
                  float acc)
{
    float old_re = state[0], old_im = state[LANES];
    state[0] = fmaf(a[0], old_re, fmaf(-a[im], old_im, x));
    state[LANES] = fmaf(a[0], old_im, a[im] * old_re);
    return fmaf(-c[LANES], state[LANES], fmaf(c[0], state[0], acc));
}

/* One token of one channel; returns its output. Absent channels run too, with an input of
 * 0, so that the sign of a zero in their state is the same in every set. */
static float dss_channel(const struct dss_args *g, int lane, float s)
{
    float sum[4] = {0};
    for (int n = 0; n < g->n_state; n++)
        sum[n % 4] = mode(g->state + n * 2 * LANES + lane, g->e + 2 * n, 1,
                          g->coef + n * 2 * LANES + lane, s, sum[n % 4]);
    return fmaf(g->d[lane], s, (sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static float s4d_channel(const struct s4d_args *g, int lane, float x)
{
    float sum[4] = {0};
    for (int n = 0; n < g->n_state; n++) {
        const float *a = g->coef + n * 4 * LANES + lane, *c = a + 2 * LANES;
        sum[n % 4] = mode(g->state + n * 2 * LANES + lane, a, LANES, c, x, sum[n % 4]);
    }
    return fmaf(g->d[lane], x, (sum[0] + sum[1]) + (sum[2] + sum[3]));
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

void mix_c_s4d(const struct s4d_args *g)
{
    for (int t = 0; t < g->n_rows; t++) {
        for (int lane = 0; lane < LANES; lane++) {
            bool present = lane < g->n_channels;
            float x = present ? g->x[(size_t)t * g->ld_x + (size_t)lane] : 0.0f;
            float y = s4d_channel(g, lane, x);
            if (present)
                g->y[(size_t)t * g->ld_y + (size_t)lane] = y;
        }
    }
}
