/* The logarithm of sampling and log-probabilities; libm's may differ between machines. */
#include "engine/kernel/log.h"

#include <stdint.h>
#include <string.h>

double log_natural(double x)
{
    int e = 0;
    uint64_t u;
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
    /* ln m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.172: the series ends below 1e-17. */
    double s = (x - 1) / (x + 1), s2 = s * s, sum = 0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return e * 0.6931471805599453 + 2 * s * sum;
}
