/*
 * Packed linear layers: packing from any address, the product against its definition in
 * double, the same bits for any number of threads and any division of rows, and the BLAS
 * path beside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/kernel/blas.h"
#include "engine/kernel/cpu.h"
#include "engine/kernel/gemm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t rng_state = 2463534242u;

static float random_float(void)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (float)(rng_state >> 8) / 8388608.0f - 1.0f;
}

static float *random_floats(size_t n)
{
    float *x = mem_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = random_float();
    return x;
}

/* A matrix of a type at an odd address, and the same weights as f32. */
struct weights {
    enum dtype type;
    int n_out, n_in;
    char *block, *at; /* owns block; at points into it */
    float *wide;
};

static struct weights make_weights(enum dtype type, int n_out, int n_in)
{
    size_t n = (size_t)n_out * (size_t)n_in, width = type == DTYPE_F32 ? 4 : 2;
    struct weights w = {type, n_out,           n_in, mem_alloc(n * width + 1),
                        NULL, random_floats(n)};
    w.at = w.block + 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &w.wide[i], 4);
        uint16_t h = (uint16_t)(u >> 16);
        if (type == DTYPE_F16) /* sign, exponents 2^-3 to 2^0, mantissa */
            h = (uint16_t)((h & 0x8000) | (12 + (u >> 4 & 3)) << 10 | (u >> 6 & 1023));
        memcpy(w.at + i * width, type == DTYPE_F32 ? (void *)&u : (void *)&h, width);
    }
    kernel_c.widen[type](w.at, n, w.wide);
    return w;
}

static void free_weights(struct weights *w)
{
    mem_free(w->block);
    mem_free(w->wide);
}

static struct matrix packed(const struct weights *w, struct arena *a, bool blas)
{
    struct matrix m = {.type = w->type, .n_out = w->n_out, .n_in = w->n_in};
    struct err err;
    assert_int_equal(gemm_pack(&m, a, w->at, blas, &err), 0);
    assert_int_equal((uintptr_t)m.panels % 64, 0);
    return m;
}

static void expect_close(const struct weights *w, const float *bias, const float *x,
                         size_t ldx, int n_rows, const float *y, size_t ldy)
{
    for (int r = 0; r < n_rows; r++)
        for (int o = 0; o < w->n_out; o++) {
            double sum = 0, size = 1;
            for (int k = 0; k < w->n_in; k++) {
                double p = (double)x[(size_t)r * ldx + (size_t)k] *
                           (double)w->wide[(size_t)o * (size_t)w->n_in + (size_t)k];
                sum += p;
                size += fabs(p);
            }
            sum += bias ? (double)bias[o] : 0.0;
            double got = (double)y[(size_t)r * ldy + (size_t)o];
            if (!(fabs(got - sum) <= 1e-6 * size))
                fail_msg("row %d output %d: expected %g, found %g", r, o, sum, got);
        }
}

static void test_product(void **state)
{
    (void)state;
    static const int outs[] = {1, 31, 32, 33, 100}, ins[] = {1, 7, 300};
    struct pool *pool;
    const struct kernels *best;
    struct err err;
    assert_int_equal(pool_open(&pool, 2, &err), 0);
    assert_int_equal(cpu_kernels(&best, NULL, &err), 0);
    for (enum dtype type = 0; type < DTYPE_FLOATS; type++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++)
            for (size_t i = 0; i < sizeof ins / sizeof *ins; i++) {
                struct weights w = make_weights(type, outs[o], ins[i]);
                struct arena a;
                arena_init(&a);
                struct matrix m = packed(&w, &a, false);
                size_t ldx = (size_t)ins[i] + 3, ldy = (size_t)outs[o] + 2;
                int rows = 1 + (int)(o * 7 + i);
                float *x = random_floats((size_t)rows * ldx);
                float *y = random_floats((size_t)rows * ldy);
                float *bias = random_floats((size_t)outs[o]);
                struct gemm g = {best, pool, false, NULL};
                m.bias = o % 2 ? bias : NULL;
                gemm_run(&g, &m, x, ldx, rows, y, ldy);
                expect_close(&w, m.bias, x, ldx, rows, y, ldy);
                mem_free(x);
                mem_free(y);
                mem_free(bias);
                arena_free(&a);
                free_weights(&w);
            }
    pool_close(pool);
}

/* One row after the other by one thread, against all rows by several. */
static void check_division(int n_out, int n_in, int n_rows, int n_threads)
{
    struct weights w = make_weights(DTYPE_BF16, n_out, n_in);
    struct arena a;
    struct pool *one, *many;
    struct err err;
    const struct kernels *best;
    arena_init(&a);
    struct matrix m = packed(&w, &a, false);
    assert_int_equal(cpu_kernels(&best, NULL, &err), 0);
    assert_int_equal(pool_open(&one, 1, &err), 0);
    assert_int_equal(pool_open(&many, n_threads, &err), 0);
    size_t in = (size_t)n_in, out = (size_t)n_out;
    float *x = random_floats((size_t)n_rows * in),
          *y = random_floats((size_t)n_rows * out);
    float *z = random_floats(out);
    gemm_run(&(struct gemm){best, many, false, NULL}, &m, x, in, n_rows, y, out);
    for (int r = 0; r < n_rows; r++) {
        gemm_run(&(struct gemm){best, one, false, NULL}, &m, x + (size_t)r * in, in, 1, z,
                 out);
        assert_memory_equal(z, y + (size_t)r * out, out * sizeof *z);
    }
    pool_close(one);
    pool_close(many);
    mem_free(x);
    mem_free(y);
    mem_free(z);
    arena_free(&a);
    free_weights(&w);
}

static void test_division_never_shows(void **state)
{
    (void)state;
    check_division(500, 520, 1, 4);
    check_division(500, 520, 5, 3);
    check_division(40, 300, 300, 4);  /* few panels: rows are divided too */
    check_division(20, 600, 400, 8);  /* one panel */
    check_division(1000, 64, 37, 16); /* more threads than processors */
}

static void test_blas(void **state)
{
    (void)state;
    struct weights w = make_weights(DTYPE_F16, 45, 70);
    struct arena a;
    struct pool *pool;
    struct err err;
    const struct kernels *best;
    arena_init(&a);
    assert_int_equal(blas_open(1, &err), 0);
    struct matrix m = packed(&w, &a, true);
    assert_non_null(m.rows);
    assert_memory_equal(m.rows, w.wide, 45 * 70 * sizeof(float));
    assert_int_equal(cpu_kernels(&best, NULL, &err), 0);
    assert_int_equal(pool_open(&pool, 1, &err), 0);
    float *x = random_floats(40 * 72), *y = random_floats(40 * 50),
          *bias = random_floats(45);
    float rest = y[45]; /* between the rows */
    m.bias = bias;
    struct gemm g = {best, pool, true, NULL};
    gemm_run(&g, &m, x, 72, 40, y, 50);
    expect_close(&w, bias, x, 72, 40, y, 50);
    assert_true(y[45] == rest);
    pool_close(pool);
    mem_free(x);
    mem_free(y);
    mem_free(bias);
    arena_free(&a);
    free_weights(&w);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct weights w = make_weights(DTYPE_F32, 33, 10);
    struct matrix m = {.type = DTYPE_F32, .n_out = 33, .n_in = 10};
    struct err err;
    struct arena a;
    size_t panels = matrix_panel_bytes(&m);
    assert_true(arena_fixed(&a, panels - 64));
    assert_int_equal(gemm_pack(&m, &a, w.at, false, &err), -ERR_MEMORY);
    arena_free(&a);
    assert_true(arena_fixed(&a, panels + 64));
    assert_int_equal(gemm_pack(&m, &a, w.at, true, &err), -ERR_MEMORY);
    assert_null(m.rows);
    arena_free(&a);
    free_weights(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_division_never_shows),
        cmocka_unit_test(test_blas),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
