/* Counts a step's bytes and operations. Any thread; no state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/cost.h"

double cost_rows(const struct engine_batch *s)
{
    return (double)s->n_seqs * s->n_rows;
}

/* A quantised group includes its scale; the last group of a row counts whole. */
static double weight_bytes(const struct matrix *m)
{
    static const double group[] = {[DTYPE_Q8] = 34, [DTYPE_Q4] = 18};
    if (dtype_quantised(m->type))
        return m->n_out * ((double)matrix_groups(m->n_in) * group[m->type]);
    return (double)m->n_out * m->n_in * (double)dtype_bytes(m->type);
}

void cost_linears(struct engine_cost *sum, const struct matrix *const *m, int n,
                  double rows)
{
    for (int i = 0; i < n; i++) {
        double ops = 2 * rows * m[i]->n_out * m[i]->n_in;
        sum->weight_bytes += weight_bytes(m[i]);
        *(dtype_quantised(m[i]->type) ? &sum->int8_ops : &sum->f32_ops) += ops;
    }
}

void cost_state(struct engine_cost *sum, const struct engine_batch *s, size_t fixed_bytes)
{
    sum->state_bytes += 2.0 * s->n_seqs * (double)fixed_bytes;
}
