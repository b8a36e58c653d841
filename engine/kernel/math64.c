/* Series after argument reduction; see each function. Pure, any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/math64.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 in two parts: the first has trailing zeros, so that a small integer times it is
 * exact. */
static const double LN2_HIGH = 6.93147180369123816490e-01;
static const double LN2_LOW = 1.90821492927058770002e-10;

static double scale_by_pow2(double x, int e)
{
    uint64_t u = (uint64_t)(e + 1023) << 52;
    double p;
    memcpy(&p, &u, sizeof p);
    return x * p;
}

/* ln m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.172: the series ends below 1e-17. */
double math64_log(double x)
{
    int e = 0;
    uint64_t u;
    if (!(x > 0) || x > 0x1.fffffffffffffp1023)
        return x == 0 ? -INFINITY : x > 0 ? x : NAN;
    if (x < 0x1p-1022) { /* subnormal: scale into the normal range */
        x *= 0x1p54;
        e = -54;
    }
    memcpy(&u, &x, sizeof u);
    e += (int)(u >> 52) - 1023;
    u = (u & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    memcpy(&x, &u, sizeof x); /* now in [1, 2) */
    if (x > 1.4142135623730951) {
        x *= 0.5;
        e++;
    }
    double s = (x - 1) / (x + 1), s2 = s * s, sum = 0;
    for (int k = 21; k >= 3; k -= 2)
        sum = (sum + 1.0 / k) * s2;
    return fma(e, LN2_HIGH, fma(2 * s, sum, fma(e, LN2_LOW, 2 * s)));
}

/* e^x = 2^n e^r, |r| <= ln 2 / 2: fourteen terms end below 1e-17. */
double math64_exp(double x)
{
    if (!(x > -745.2))
        return x != x ? x : 0;
    if (x > 709.78)
        return INFINITY;
    double n = floor(x * 1.4426950408889634 + 0.5);
    double r = fma(-n, LN2_LOW, fma(-n, LN2_HIGH, x)), sum = 1;
    for (int k = 14; k >= 1; k--)
        sum = fma(sum, r / k, 1);
    int e = (int)n, half = e / 2; /* in two steps: 2^n may lie outside the normal range */
    return scale_by_pow2(scale_by_pow2(sum, half), e - half);
}

double math64_pow(double x, double y)
{
    return math64_exp(y * math64_log(x));
}

/* r = x - n·π/2 with π/2 in three parts; returns n mod 4. */
static int reduce(double x, double *r)
{
    double n = floor(x * 0.63661977236758138 + 0.5);
    *r = fma(-n, 1.57079632679489655800e+00, x);
    *r = fma(-n, 6.12323399573676603587e-17, *r);
    *r = fma(-n, -1.49738490485916983294e-33, *r);
    return (int)((int64_t)n & 3);
}

static double sin_series(double r)
{
    double r2 = r * r, sum = 0;
    for (int k = 18; k >= 2; k -= 2)
        sum = -r2 / (k * (k + 1)) * (1 + sum);
    return fma(r, sum, r);
}

static double cos_series(double r)
{
    double r2 = r * r, sum = 0;
    for (int k = 18; k >= 2; k -= 2)
        sum = -r2 / (k * (k - 1)) * (1 + sum);
    return 1 + sum;
}

double math64_sin(double x)
{
    double r;
    if (!(fabs(x) < 0x1p52))
        return NAN;
    switch (reduce(x, &r)) {
    case 0:
        return sin_series(r);
    case 1:
        return cos_series(r);
    case 2:
        return -sin_series(r);
    default:
        return -cos_series(r);
    }
}

double math64_cos(double x)
{
    double r;
    if (!(fabs(x) < 0x1p52))
        return NAN;
    switch (reduce(x, &r)) {
    case 0:
        return cos_series(r);
    case 1:
        return -sin_series(r);
    case 2:
        return -cos_series(r);
    default:
        return sin_series(r);
    }
}
