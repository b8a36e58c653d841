/* Making, running and comparing. On the test's one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/mixer_bench.h"

#include "engine/load/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = MIXER_BENCH_ROWS, PAGES = MIXER_BENCH_POSITIONS / PAGE_TOKENS + 1 };

void mixer_bench_open(struct mixer_bench *b, mixer_bench_add_fn *add, int hidden)
{
    struct err err = {0};
    memset(b, 0, sizeof *b);
    maker_open(&b->maker);
    add(&b->maker);
    maker_save(&b->maker, "model.safetensors");
    arena_init(&b->arena);
    assert_true(arena_fixed(&b->scratch, 1 << 22));
    assert_int_equal(pool_open(&b->pool, 2, &err), 0);
    assert_int_equal(safetensors_open(&b->weights, b->maker.dir, &err), 0);
    b->gemm = (struct gemm){&kernel_c, b->pool, false, NULL};
    b->bind = (struct bind){
        .weights = &b->weights, .arena = &b->arena, .prefix = "", .hidden_size = hidden};
    for (int i = 0; i < PAGES; i++)
        b->table[i] = i;
}

void mixer_bench_close(struct mixer_bench *b)
{
    free(b->fixed);
    free(b->pages);
    weights_close(&b->weights);
    pool_close(b->pool);
    arena_free(&b->scratch);
    arena_free(&b->arena);
    maker_close(&b->maker);
}

void mixer_bench_bind(struct mixer_bench *b, const struct mixer_kind *kind,
                      const void *spec)
{
    struct err err = {0};
    b->mx = (struct mixer){.kind = kind};
    if (kind->bind(&b->mx, spec, &b->bind, &err))
        fail_msg("%s", err.text);
    free(b->fixed);
    free(b->pages);
    b->fixed =
        aligned_alloc(64, b->mx.need.fixed_bytes + 64 - b->mx.need.fixed_bytes % 64);
    b->pages = calloc(1, b->mx.need.page_bytes * PAGES + 1);
    assert_true(b->fixed && b->pages);
}

void mixer_bench_run(struct mixer_bench *b, const float *x, float *y, int shift)
{
    int32_t positions[ROWS], row_span[ROWS] = {0};
    for (int i = 0; i < ROWS; i++)
        positions[i] = shift + i;
    struct span span = {0, ROWS, shift, b->fixed, b->table};
    struct ctx c = {.gemm = &b->gemm,
                    .scratch = &b->scratch,
                    .spans = &span,
                    .n_spans = 1,
                    .n_rows = ROWS,
                    .positions = positions,
                    .row_span = row_span,
                    .pages = b->pages,
                    .page_bytes = b->mx.need.page_bytes};
    memset(b->fixed, 0, b->mx.need.fixed_bytes);
    b->mx.kind->run(&b->mx, &c, x, y);
    assert_int_equal(arena_mark(&b->scratch), 0);
}

const float *mixer_bench_values(const struct mixer_bench *b, const char *name)
{
    const float *out = NULL;
    const struct tensor *t = weights_find(&b->weights, name);
    struct bind root = b->bind;
    struct err err = {0};
    assert_non_null(t);
    const struct tensor_spec s = {.name = name, .n_dims = t->n_dims, .shape = t->shape};
    assert_int_equal(bind_tensor(&out, &root, &s, &err), 0);
    return out;
}

void mixer_bench_input(float *x, size_t n)
{
    uint64_t s = 12345;
    for (size_t i = 0; i < n; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(s >> 32) / 2147483648.0f;
    }
}

void mixer_bench_near(const double *want, const float *got, size_t n, double tolerance)
{
    double max = 1e-3;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs(want[i] - (double)got[i]) <= tolerance * max))
            fail_msg("element %zu: expected %g, found %g", i, want[i], (double)got[i]);
}

void mixer_bench_multiply(const double *in, const float *w, int n_in, int n_out,
                          double *out)
{
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < n_out; o++) {
            double sum = 0;
            for (int k = 0; k < n_in; k++)
                sum += in[r * n_in + k] * (double)w[o * n_in + k];
            out[r * n_out + o] = sum;
        }
}
