/* Binds at open; runs on the engine thread, which divides work over the pool.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/conv.h"

#include <stdio.h>

enum { NAME_CAP = 256 };

/* ---- weights ---------------------------------------------------------------- */

static int n_parts(const struct conv_spec *s)
{
    int n = 0;
    while (n < CONV_PARTS && s->parts[n].name)
        n++;
    return n;
}

/* The channels of a part: the file's, where there are several parts. */
static int channels_of(const struct conv_spec *s, int part, const struct bind *b,
                       const char *name)
{
    const struct tensor *t = n_parts(s) > 1 ? bind_find(b, name) : NULL;
    bool other = t && t->n_dims == 3 && t->shape[0] > 0 && t->shape[0] <= 1 << 24;
    return other ? (int)t->shape[0] : s->parts[part].channels;
}

/* One part into the columns from `at` on. */
static int take_part(struct conv *cv, const struct conv_spec *s, int part, int *at,
                     const struct bind *b, struct err *err)
{
    char name[NAME_CAP];
    const float *w = NULL;
    struct arena passing; /* for the file's layout */
    struct bind into = *b;
    snprintf(name, sizeof name, "%s.weight", s->parts[part].name);
    int n = channels_of(s, part, b, name);
    const struct tensor_spec t = {name, 3, (int64_t[]){n, 1, s->taps}, NULL};
    if (n > cv->n - *at)
        return err_set(err, ERR_FORMAT,
                       "tensor %s%s: expected %d channels in all parts of the "
                       "convolution, found %d or more",
                       b->prefix, name, cv->n, *at + n);
    arena_init(&passing);
    into.arena = &passing;
    int rc = bind_tensor(&w, &into, &t, err);
    size_t first = (size_t)*at, taps = (size_t)s->taps;
    for (size_t c = 0; rc == 0 && c < (size_t)n; c++)
        for (size_t j = 0; j < taps; j++)
            cv->w[j * (size_t)cv->n + first + c] = w[c * taps + j];
    arena_free(&passing);
    *at += n;
    return rc;
}

static int take_parts(struct conv *cv, const struct conv_spec *s, const struct bind *b,
                      struct err *err)
{
    int rc = 0, at = 0;
    for (int i = 0; rc == 0 && i < n_parts(s); i++)
        rc = take_part(cv, s, i, &at, b, err);
    if (rc || at == cv->n)
        return rc;
    return err_set(err, ERR_FORMAT,
                   "tensor %s%s.weight: expected %d channels in all parts of the "
                   "convolution, found %d",
                   b->prefix, s->parts[n_parts(s) - 1].name, cv->n, at);
}

int conv_bind(struct conv *cv, const struct bind *b, const struct conv_spec *s,
              struct err *err)
{
    char name[NAME_CAP];
    *cv = (struct conv){.taps = s->taps, .silu = s->silu};
    for (int i = 0; i < n_parts(s); i++)
        cv->n += s->parts[i].channels;
    cv->w = arena_alloc(b->arena, (size_t)cv->n * (size_t)cv->taps * sizeof *cv->w);
    if (!cv->w)
        return err_set(err, ERR_MEMORY, "out of memory for a convolution");
    int rc = take_parts(cv, s, b, err);
    if (rc || !s->bias)
        return rc;
    snprintf(name, sizeof name, "%s.bias", s->parts[0].name);
    return bind_vector(&cv->bias, b, name, cv->n, err);
}

void conv_scale_input(struct conv *cv, int c0, int c1, float by)
{
    for (size_t j = 0; j < (size_t)cv->taps; j++)
        for (size_t c = (size_t)c0; c < (size_t)c1; c++)
            cv->w[j * (size_t)cv->n + c] *= by;
}

size_t conv_state_bytes(const struct conv *cv)
{
    return (size_t)(cv->taps - 1) * (size_t)cv->n * sizeof(float);
}

/* ---- running ---------------------------------------------------------------- */

void conv_run_span(const struct conv_rows *r, const struct ctx *c, const struct span *s,
                   int c0, int c1)
{
    const struct conv *cv = r->conv;
    size_t row = (size_t)s->row0, first = (size_t)c0;
    struct conv_args args = {
        .state = (float *)(void *)(s->fixed + r->state_offset) + first,
        .w = cv->w + first,
        .bias = cv->bias ? cv->bias + first : NULL,
        .x = r->x + row * r->ld_x + first,
        .y = r->y + row * r->ld_y + first,
        .ld = (size_t)cv->n,
        .ld_x = r->ld_x,
        .ld_y = r->ld_y,
        .n_rows = s->n_rows,
        .n = c1 - c0,
        .n_taps = cv->taps,
        .silu = cv->silu,
    };
    c->gemm->k->conv(&args);
}

struct conv_job {
    const struct conv_rows *r;
    const struct ctx *c;
    conv_block_fn *fn;
    int n_blocks, channels; /* of a span; of a block */
};

static void run_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct conv_job *j = arg;
    int c0 = task % j->n_blocks * j->channels, n = j->r->conv->n;
    int c1 = c0 + j->channels < n ? c0 + j->channels : n;
    j->fn(j->r, j->c, &j->c->spans[task / j->n_blocks], c0, c1);
}

/* Channels of a task, a multiple of the vector's: a few microseconds of work (less takes
 * no longer than waking a worker), for the spans' mean number of rows. */
static int channels_per_task(const struct conv *cv, const struct ctx *c)
{
    enum { TASK_PRODUCTS = 16 * 1024, SILU_PRODUCTS = 8 };
    double each = (double)(cv->taps + (cv->silu ? SILU_PRODUCTS : 0)) * c->n_rows;
    double wanted = TASK_PRODUCTS * c->n_spans / each;
    if (wanted >= cv->n)
        return cv->n;
    return ((int)wanted + LANES) / LANES * LANES;
}

void conv_each_block(const struct conv_rows *r, const struct ctx *c, conv_block_fn *fn)
{
    struct conv_job j = {
        .r = r, .c = c, .fn = fn, .channels = channels_per_task(r->conv, c)};
    j.n_blocks = (r->conv->n + j.channels - 1) / j.channels;
    pool_run(c->gemm->pool, run_block, &j, c->n_spans * j.n_blocks);
}

void conv_run(const struct conv_rows *r, const struct ctx *c)
{
    conv_each_block(r, c, conv_run_span);
}

/* A product and a sum for each tap. */
void conv_cost(const struct conv *cv, const struct engine_batch *s,
               struct engine_cost *sum)
{
    sum->f32_ops += 2.0 * cv->taps * cv->n * cost_rows(s);
}
