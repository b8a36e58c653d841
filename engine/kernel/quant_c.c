/*
 * The levels of q4, and the reference kernels of the quantised formats: quantising rows
 * of x in groups, and their products with q8 and q4 weights. Any thread; no state. It
 * computes with signed weights and does not use the groups' offsets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>

static const float TINY = 1e-30f; /* 127 / m stays finite above it */

/* The sixteen values of a q4 code: the levels of least squared error for groups of 32
 * normal numbers when each group may choose its scale and its sign (the algorithm of
 * Lloyd and Max: choose scales and codes for the levels, move each level to the mean of
 * the values with its code, until nothing moves; then scale to 127 and round). Trained
 * matrices, divided by their groups' deviations, give the same levels within 0.2. Levels
 * that are not symmetric are two sets, one for each sign of the scale; that and the
 * search for the scale give 22.7 dB of signal to noise, against 21.8 dB with equal steps
 * and 20.5 dB with one scale by the maximum. */
const int8_t quant_levels[16] = {-127, -100, -78, -62, -47, -33, -21, -9,
                                 2,    13,   24,  36,  50,  65,  82,  106};

/* max |x|; NaN when one is NaN or infinite. */
static float magnitude(const float *x, size_t n)
{
    float m = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return NAN;
        m = fabsf(x[i]) > m ? fabsf(x[i]) : m;
    }
    return m;
}

static struct quant_group group_of(const float *x, size_t n)
{
    struct quant_group g = {.scale = 0};
    float m = magnitude(x, n);
    int sum = 0;
    if (isnan(m))
        g.scale = NAN;
    if (!(m >= TINY))
        return g;
    g.scale = m / 127.0f;
    float inverse = 127.0f / m;
    for (size_t i = 0; i < n; i++) {
        g.q[i] = (int8_t)rintf(x[i] * inverse);
        sum += g.q[i];
    }
    g.offset = -128 * sum;
    return g;
}

void quant_c_row(const float *x, size_t n, struct quant_group *q, size_t stride)
{
    for (size_t i = 0; i < n; i += QUANT_GROUP, q += stride)
        *q = group_of(x + i, n - i < QUANT_GROUP ? n - i : QUANT_GROUP);
}

/* The weight of output o at place k of a group that begins at codes. */
typedef int weight_fn(const uint8_t *codes, int o, int k);

static int weight_q8(const uint8_t *codes, int o, int k)
{
    return codes[(k / 4 * PANEL + o) * 4 + k % 4] - 128;
}

static int weight_q4(const uint8_t *codes, int o, int k)
{
    int byte = codes[(k / 4 % 4 * PANEL + o) * 4 + k % 4];
    return quant_levels[k < QUANT_GROUP / 2 ? byte & 15 : byte >> 4];
}

static void one_panel(const struct linear_args *a, int panel, int row, weight_fn *weight,
                      size_t group_bytes)
{
    size_t n_groups = ((size_t)a->n_in + QUANT_GROUP - 1) / QUANT_GROUP;
    size_t group0 = (size_t)panel * n_groups;
    const uint8_t *codes = (const uint8_t *)a->panels + group0 * group_bytes;
    const uint16_t *scales = a->scales + group0 * PANEL;
    const int block = row / QUANT_BLOCK * QUANT_BLOCK; /* its first row */
    const int rows = a->n_rows - block < QUANT_BLOCK ? a->n_rows - block : QUANT_BLOCK;
    const struct quant_group *x = a->q + (size_t)block * n_groups + (row - block);
    float *y = a->y + (size_t)row * a->ldy + (size_t)panel * PANEL;
    int n = a->n_out - panel * PANEL;
    n = n < PANEL ? n : PANEL;

    float sum[PANEL] = {0};
    for (size_t g = 0; g < n_groups;
         g++, codes += group_bytes, scales += PANEL, x += rows)
        for (int o = 0; o < n; o++) {
            int s = 0;
            for (int k = 0; k < QUANT_GROUP; k++)
                s += weight(codes, o, k) * x->q[k];
            sum[o] = fmaf((float)s, math_c_from_f16(scales[o]) * x->scale, sum[o]);
        }
    for (int o = 0; o < n; o++)
        y[o] = a->bias ? sum[o] + a->bias[panel * PANEL + o] : sum[o];
}

static void linear(const struct linear_args *a, weight_fn *weight, size_t group_bytes)
{
    for (int p = a->panel0; p < a->panel1; p++)
        for (int r = 0; r < a->n_rows; r++)
            one_panel(a, p, r, weight, group_bytes);
}

void quant_c_linear_q8(const struct linear_args *a)
{
    linear(a, weight_q8, QUANT_GROUP * PANEL);
}

void quant_c_linear_q4(const struct linear_args *a)
{
    linear(a, weight_q4, QUANT_GROUP * PANEL / 2);
}
