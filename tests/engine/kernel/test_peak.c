/* The loops that measure the machine's peaks. Operations are counted from the sums that
 * the loops leave, so that a loop that does nothing reports 0.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/peak.h"

#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static const enum engine_peak kinds[] = {ENGINE_PEAK_READ, ENGINE_PEAK_F32,
                                         ENGINE_PEAK_INT8};

static void each_kind_does_the_same_piece_every_time(void **state)
{
    (void)state;
    struct peak l = {0};
    struct pool *p = NULL;
    struct err err;
    assert_int_equal(pool_open(&p, 2, &err), 0);
    assert_int_equal(peak_open(&l, &err), 0);
    char *buffer = l.buffer;
    assert_int_equal(peak_open(&l, &err), 0);
    assert_ptr_equal(l.buffer, buffer);
    for (int i = 0; i < 3; i++) {
        double once = peak_run(&l, p, kinds[i]);
        assert_true(once > 0);
        assert_true(peak_run(&l, p, kinds[i]) == once);
    }
    peak_close(&l);
    peak_close(&l);
    pool_close(p);
}

static void arithmetic_grows_with_the_threads_reading_does_not(void **state)
{
    (void)state;
    double amounts[2][3];
    for (int threads = 1; threads <= 2; threads++) {
        struct peak l = {0};
        struct pool *p = NULL;
        struct err err;
        assert_int_equal(pool_open(&p, threads, &err), 0);
        assert_int_equal(peak_open(&l, &err), 0);
        for (int i = 0; i < 3; i++)
            amounts[threads - 1][i] = peak_run(&l, p, kinds[i]);
        peak_close(&l);
        pool_close(p);
    }
    assert_true(amounts[1][0] == amounts[0][0]);
    assert_true(amounts[1][1] == 2 * amounts[0][1]);
    assert_true(amounts[1][2] == 2 * amounts[0][2]);
}

static void out_of_memory_is_reported(void **state)
{
    (void)state;
    struct peak l = {0};
    struct err err = {0};
    mem_fail_after(1);
    assert_int_equal(peak_open(&l, &err), -ERR_MEMORY);
    mem_fail_after(0);
    assert_null(l.buffer);
    assert_non_null(strstr(err.text, "268435456"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_does_the_same_piece_every_time),
        cmocka_unit_test(arithmetic_grows_with_the_threads_reading_does_not),
        cmocka_unit_test(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
