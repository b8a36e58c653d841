/*
 * The reference linear layer: one fmaf chain over k per output, whatever the number of
 * rows. Any thread; no state. Weights are widened one by one, which is exact.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>

typedef float weight_fn(const void *panels, size_t i);

static float weight_f32(const void *panels, size_t i)
{
    return ((const float *)panels)[i];
}

static float weight_f16(const void *panels, size_t i)
{
    return math_c_from_f16(((const uint16_t *)panels)[i]);
}

static float weight_bf16(const void *panels, size_t i)
{
    return math_c_from_bf16(((const uint16_t *)panels)[i]);
}

static void one_panel(const struct linear_args *a, int panel, int row, weight_fn *weight)
{
    const float *x = a->x + (size_t)row * a->ldx;
    float *y = a->y + (size_t)row * a->ldy + (size_t)panel * PANEL;
    size_t base = (size_t)panel * PANEL * (size_t)a->n_in;
    int n = a->n_out - panel * PANEL;
    n = n < PANEL ? n : PANEL;

    float sum[PANEL] = {0};
    for (int k = 0; k < a->n_in; k++)
        for (int o = 0; o < n; o++)
            sum[o] = fmaf(x[k], weight(a->panels, base + (size_t)k * PANEL + (size_t)o),
                          sum[o]);
    for (int o = 0; o < n; o++)
        y[o] = a->bias ? sum[o] + a->bias[panel * PANEL + o] : sum[o];
}

static void linear(const struct linear_args *a, weight_fn *weight)
{
    for (int p = a->panel0; p < a->panel1; p++)
        for (int r = 0; r < a->n_rows; r++)
            one_panel(a, p, r, weight);
}

void linear_c_f32(const struct linear_args *a)
{
    linear(a, weight_f32);
}

void linear_c_f16(const struct linear_args *a)
{
    linear(a, weight_f16);
}

void linear_c_bf16(const struct linear_args *a)
{
    linear(a, weight_bf16);
}
