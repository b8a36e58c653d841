/*
 * The reference kernel of the causal convolution. Any thread; no state of its own. The
 * state is moved by one row for each token.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel_c.h"

#include <math.h>

/* The next token of channel i; returns the sum. */
static float conv_token(const struct conv_args *g, size_t i, float x)
{
    float sum = g->bias ? g->bias[i] : 0.0f;
    float *state = g->state + i;
    const float *w = g->w + i;
    for (int j = 1; j < g->n_taps; j++, state += g->ld, w += g->ld) {
        sum = fmaf(*w, *state, sum);
        *state = j + 1 < g->n_taps ? state[g->ld] : x;
    }
    return fmaf(*w, x, sum);
}

void conv_c(const struct conv_args *g)
{
    for (size_t t = 0; t < (size_t)g->n_rows; t++)
        for (size_t i = 0; i < (size_t)g->n; i++) {
            float y = conv_token(g, i, g->x[t * g->ld_x + i]);
            g->y[t * g->ld_y + i] = g->silu ? math_c_silu(y) : y;
        }
}
