/*
 * The reference kernels over one row: norms, sums by 16 partials, maximum, rotary
 * embedding. Any thread; no state. Element i always goes to partial i mod 16, so the
 * vector sets need no other order than their own lanes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>

float row_c_join(const float s[LANES])
{
    float t[LANES];
    for (int i = 0; i < LANES; i++)
        t[i] = s[i];
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++)
            t[i] += t[i + step];
    return t[0];
}

float row_c_sum_squares(const float *x, int n)
{
    float s[LANES] = {0};
    for (int i = 0; i < n; i++)
        s[i % LANES] = fmaf(x[i], x[i], s[i % LANES]);
    return row_c_join(s);
}

void row_c_rmsnorm(const float *x, const float *w, float eps, int n, float *y)
{
    float inverse = 1.0f / sqrtf(row_c_sum_squares(x, n) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = w[i] * (x[i] * inverse);
}

void row_c_layernorm(const float *x, const float *wb[2], float eps, int n, float *y)
{
    float s[LANES] = {0}, v[LANES] = {0};
    for (int i = 0; i < n; i++)
        s[i % LANES] += x[i];
    float mean = row_c_join(s) / (float)n;
    for (int i = 0; i < n; i++) {
        float d = x[i] - mean;
        v[i % LANES] = fmaf(d, d, v[i % LANES]);
    }
    float inverse = 1.0f / sqrtf(row_c_join(v) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = fmaf((x[i] - mean) * inverse, wb[0][i], wb[1][i]);
}

/* Adding 0 makes a zero +0: the order must not decide between -0 and +0. */
float row_c_max(const float *x, size_t n)
{
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            return x[i];
        m = x[i] > m ? x[i] : m;
    }
    return m + 0.0f;
}

float row_c_sum_exp(const float *x, float max, size_t n)
{
    float s[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        s[i % LANES] += math_c_exp(x[i] - max);
    return row_c_join(s);
}

void row_c_rope(float *x, const float *cos, const float *sin, int d)
{
    float *lo = x, *hi = x + d / 2;
    for (int i = 0; i < d / 2; i++) {
        float a = lo[i], b = hi[i];
        lo[i] = fmaf(a, cos[i], -(b * sin[i]));
        hi[i] = fmaf(b, cos[i], a * sin[i]);
    }
}
