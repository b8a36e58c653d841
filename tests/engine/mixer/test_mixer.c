/*
 * Work of a step that is divided over the pool: every unit of every span once, whatever
 * the rows, the threads and the number of units.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/mixer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>
#include <string.h>

enum { SPANS = 3, MOST = 1 << 16 }; /* heads that a configuration may have */

static unsigned char runs[SPANS][MOST];
static atomic_bool beyond; /* a thread of the pool cannot fail the test */

static void count_unit(const void *arg, const struct ctx *c, const struct span *s,
                       int unit)
{
    if (unit >= 0 && unit < *(const int *)arg)
        runs[s - c->spans][unit]++;
    else
        beyond = true;
}

static void expect_all(struct pool *pool, int n, int rows)
{
    struct gemm gemm = {&kernel_c, pool, false, NULL};
    struct span spans[SPANS];
    struct ctx c = {
        .gemm = &gemm, .spans = spans, .n_spans = SPANS, .n_rows = SPANS * rows};
    for (int i = 0; i < SPANS; i++)
        spans[i] = (struct span){.row0 = i * rows, .n_rows = rows};
    memset(runs, 0, sizeof runs);
    mixer_units(&c, count_unit, &n, n);
    assert_false(beyond);
    for (int i = 0; i < SPANS; i++)
        for (int u = 0; u < MOST; u++)
            assert_int_equal(runs[i][u], u < n);
}

static void every_unit_runs_once(void **state)
{
    static const int units[] = {1, 2, 5, 24, 50021, MOST};
    struct err err = {0};
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        struct pool *pool;
        assert_int_equal(pool_open(&pool, threads, &err), 0);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            for (int rows = 1; rows <= 5; rows += 4)
                expect_all(pool, units[i], rows);
        pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_unit_runs_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
