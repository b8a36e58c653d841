/* RMSNorm (arXiv 1910.07467) and LayerNorm over rows. Weights are f32, bound at open.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MIXER_NORM_H
#define ENGINE_MIXER_NORM_H

#include "engine/mixer/mixer.h"

struct norm {
    const float *w; /* [n]; NULL: the norm is absent and copies */
    const float *b; /* [n] for LayerNorm, NULL for RMSNorm */
    float eps;
    int n;
};

/* RMSNorm whose weight is prefix + name. */
int norm_bind(struct norm *m, const struct bind *b, const char *name, int n, double eps,
              struct err *err);

/* RMSNorm by 1 + w (Gemma's form): the weight of the file is w, and 1 + w, rounded once, is
 * computed here. */
int norm_bind_one_plus(struct norm *m, const struct bind *b, const char *name, int n,
                       double eps, struct err *err);

/* LayerNorm: prefix + name + ".weight" and ".bias". */
int norm_bind_layer(struct norm *m, const struct bind *b, const char *name, int n,
                    double eps, struct err *err);

/* y[r] = norm(x[r]) for rows [row0, row1), both with stride n; in place allowed. */
void norm_rows(const struct norm *m, const struct kernels *k, const float *x, float *y,
               int row0, int row1);

#endif
