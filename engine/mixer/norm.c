/* Norms over rows. Any pool thread, each on its own rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/norm.h"

#include <stdio.h>
#include <string.h>

int norm_bind(struct norm *m, const struct bind *b, const char *name, int n, double eps,
              struct err *err)
{
    *m = (struct norm){.eps = (float)eps, .n = n};
    return bind_vector(&m->w, b, name, n, err);
}

int norm_bind_one_plus(struct norm *m, const struct bind *b, const char *name, int n,
                       double eps, struct err *err)
{
    int rc = norm_bind(m, b, name, n, eps, err);
    if (rc)
        return rc;
    float *sum = arena_alloc(b->arena, (size_t)n * sizeof *sum);
    if (!sum)
        return err_set(err, ERR_MEMORY, "out of memory for tensor %s%.100s", b->prefix,
                       name);
    for (int i = 0; i < n; i++)
        sum[i] = 1 + m->w[i];
    m->w = sum;
    return 0;
}

int norm_bind_layer(struct norm *m, const struct bind *b, const char *name, int n,
                    double eps, struct err *err)
{
    char weight[128], bias[128];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    *m = (struct norm){.eps = (float)eps, .n = n};
    int rc = bind_vector(&m->w, b, weight, n, err);
    return rc ? rc : bind_vector(&m->b, b, bias, n, err);
}

void norm_rows(const struct norm *m, const struct kernels *k, const float *x, float *y,
               int row0, int row1)
{
    for (int r = row0; r < row1; r++) {
        const float *in = x + (size_t)r * (size_t)m->n;
        float *out = y + (size_t)r * (size_t)m->n;
        if (m->b)
            k->layernorm(in, (const float *[2]){m->w, m->b}, m->eps, m->n, out);
        else if (m->w)
            k->rmsnorm(in, m->w, m->eps, m->n, out);
        else if (in != out)
            memcpy(out, in, (size_t)m->n * sizeof *out);
    }
}
