/*
 * A causal depthwise convolution as a part of a mixer: its weights, and running it over a
 * step's rows.
 *
 *   y_t[c] = act(b[c] + Σ_j w[c, j] x_{t-J+1+j}[c])
 *
 * State: the last J-1 rows of its input, f32, zero before the first token; it lies
 * anywhere in the mixer's part of the slot, 4-byte aligned. A row's bits do not depend on
 * how rows are divided into spans, nor on spans shorter than J-1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_CONV_H
#define ENGINE_MIXER_CONV_H

#include "engine/mixer/mixer.h"

enum { CONV_PARTS = 3 };

/* Tensors [channels, 1, taps], names without ".weight", joined along the channels. Of
 * several parts only the sum of channels is strict: a part that the file has in another
 * size is taken in that one. */
struct conv_spec {
    struct {
        const char *name; /* NULL ends the list */
        int channels;
    } parts[CONV_PARTS];
    int taps;
    bool bias; /* of the first part, the only one then: [channels] */
    bool silu;
};

struct conv {
    float *w;          /* [taps][n] */
    const float *bias; /* [n] or NULL */
    int n, taps;
    bool silu;
};

/* ERR_FORMAT for a tensor of another shape, ERR_MEMORY. */
int conv_bind(struct conv *cv, const struct bind *b, const struct conv_spec *s,
              struct err *err);

/* Multiplies the input of channels [c0, c1) by a constant, from now on. At open. */
void conv_scale_input(struct conv *cv, int c0, int c1, float by);

size_t conv_state_bytes(const struct conv *cv);

/* A step's rows; x and y may be the same. */
struct conv_rows {
    const struct conv *conv;
    size_t state_offset; /* in the slot */
    const float *x;
    float *y;
    size_t ld_x, ld_y;
};

/* Runs channels [c0, c1) of one span. Any pool thread. */
void conv_run_span(const struct conv_rows *r, const struct ctx *c, const struct span *s,
                   int c0, int c1);

/* Runs all rows, divided over the pool by span and channels. */
void conv_run(const struct conv_rows *r, const struct ctx *c);

/* Divides the step so, and calls fn in place of conv_run_span, which it calls. */
typedef void conv_block_fn(const struct conv_rows *r, const struct ctx *c,
                           const struct span *s, int c0, int c1);
void conv_each_block(const struct conv_rows *r, const struct ctx *c, conv_block_fn *fn);

/* Adds the operations of a step; the weights are vectors and do not count. */
void conv_cost(const struct conv *cv, const struct engine_batch *s,
               struct engine_cost *sum);

#endif
