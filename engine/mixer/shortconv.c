/*
 * Gated short convolution. What in_proj gives stays in one buffer, where everything
 * happens in place. Threads divide (sequence, channels): a task takes its channels from
 * the first product to the last.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/shortconv.h"

#include "engine/mixer/conv.h"

struct shortconv {
    struct matrix in, out;
    struct conv conv;
};

static int shortconv_bind(struct mixer *mx, const void *spec, const struct bind *b,
                          struct err *err)
{
    const struct shortconv_spec *s = spec;
    struct shortconv *l = arena_zalloc(b->arena, 1, sizeof *l);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for a short convolution");
    mx->impl = l;
    int d = b->hidden_size;
    const struct matrix_spec all[] = {{s->in, 3 * d, d, QUANT_MATRIX, s->bias},
                                      {s->out, d, d, QUANT_MATRIX, s->bias}};
    const struct conv_spec conv = {
        .parts = {{s->conv, d}}, .taps = s->n_taps, .bias = s->bias};
    int rc = bind_matrices((struct matrix *[]){&l->in, &l->out}, b, all, 2, err);
    if (rc == 0)
        rc = conv_bind(&l->conv, b, &conv, err);
    mx->need.fixed_bytes = conv_state_bytes(&l->conv);
    return rc;
}

static size_t shortconv_scratch(const struct mixer *mx, int max_rows)
{
    const struct shortconv *l = mx->impl;
    return mixer_floats_bytes((size_t)max_rows * (size_t)l->in.n_out);
}

/* x = C ⊙ conv(B ⊙ x) for channels [c0, c1) of a span. */
static void mix_channels(const struct conv_rows *r, const struct ctx *c,
                         const struct span *s, int c0, int c1)
{
    const struct kernels *k = c->gemm->k;
    size_t d = (size_t)r->conv->n, n = (size_t)(c1 - c0);
    float *first = r->y + (size_t)s->row0 * r->ld_y + c0;
    float *end = first + (size_t)s->n_rows * r->ld_y;
    for (float *x = first; x < end; x += r->ld_y)
        k->mul(x - 2 * d, x, n, x);
    conv_run_span(r, c, s, c0, c1);
    for (float *x = first; x < end; x += r->ld_y)
        k->mul(x - d, x, n, x);
}

static void shortconv_run(const struct mixer *mx, const struct ctx *c, const float *u,
                          float *y)
{
    const struct shortconv *l = mx->impl;
    size_t mark = arena_mark(c->scratch), ld = (size_t)l->in.n_out;
    float *in = mixer_floats(c, (size_t)c->n_rows * ld), *x = in + 2 * l->conv.n;
    const struct conv_rows rows = {.conv = &l->conv,
                                   .state_offset = mx->fixed_offset,
                                   .x = x,
                                   .y = x,
                                   .ld_x = ld,
                                   .ld_y = ld};
    mixer_linear(c, &l->in, u, in);
    conv_each_block(&rows, c, mix_channels);
    gemm_run(c->gemm, &l->out, x, ld, c->n_rows, y, (size_t)l->out.n_out);
    arena_release(c->scratch, mark);
}

static void shortconv_cost(const struct mixer *mx, const struct engine_batch *s,
                           struct engine_cost *sum)
{
    const struct shortconv *l = mx->impl;
    cost_linears(sum, (const struct matrix *[]){&l->in, &l->out}, 2, cost_rows(s));
    cost_state(sum, s, mx->need.fixed_bytes);
    conv_cost(&l->conv, s, sum);
}

const struct mixer_kind mixer_shortconv = {"short convolution", shortconv_bind,
                                           shortconv_scratch, shortconv_run,
                                           shortconv_cost};
