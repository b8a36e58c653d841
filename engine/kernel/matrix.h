/*
 * A weight matrix [n_out][n_in] as the linear kernels read it (kernel.h has the layout).
 *
 * Outputs lie in panels of PANEL, inputs of a quantised type in groups of QUANT_GROUP;
 * the last panel and the last group are padded. Whoever makes a matrix sets type, n_out
 * and n_in first: all sizes follow from these, so they are known before there are values.
 * Made on the opening thread, constant afterwards, read by any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_MATRIX_H
#define ENGINE_KERNEL_MATRIX_H

#include "engine/kernel/kernel.h"

struct matrix {
    enum dtype type;
    int n_out, n_in;
    /* Floats or codes, 64-byte aligned. This pointer and those below borrow until the
     * model ends, from its arena or from the mapping of its files. */
    const void *panels;
    const uint16_t *scales; /* of a quantised type, else NULL */
    const float *bias;      /* [n_out] or NULL */
    const float *rows;      /* f32 [n_out][n_in] for BLAS, or NULL */
};

static inline int matrix_panels(int n_out)
{
    return (n_out + PANEL - 1) / PANEL;
}

static inline size_t matrix_groups(int n_in)
{
    return ((size_t)n_in + QUANT_GROUP - 1) / QUANT_GROUP;
}

/* Codes of one group of one panel. */
static inline size_t matrix_tile_bytes(enum dtype type)
{
    return type == DTYPE_Q8 ? PANEL * QUANT_GROUP : PANEL * QUANT_GROUP / 2;
}

/* All panels: floats or codes. */
static inline size_t matrix_panel_bytes(const struct matrix *m)
{
    size_t panels = (size_t)matrix_panels(m->n_out);
    if (dtype_quantised(m->type))
        return panels * matrix_groups(m->n_in) * matrix_tile_bytes(m->type);
    return panels * PANEL * (size_t)m->n_in * dtype_bytes(m->type);
}

/* Of a quantised type; 0 for floats. */
static inline size_t matrix_scale_bytes(const struct matrix *m)
{
    if (!dtype_quantised(m->type))
        return 0;
    size_t tiles = (size_t)matrix_panels(m->n_out) * matrix_groups(m->n_in);
    return tiles * PANEL * sizeof *m->scales;
}

#endif
