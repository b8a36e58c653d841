/* Our f64 functions against libm over dense sweeps, and at their edges.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/math64.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SWEEP = 100000 };

static double relative(double x, double want)
{
    return fabs(x - want) / fabs(want);
}

static void test_exp(void **state)
{
    (void)state;
    for (int i = -SWEEP; i <= SWEEP; i++) {
        double x = 700.0 * i / SWEEP;
        assert_true(relative(math64_exp(x), exp(x)) < 1e-15);
    }
    assert_true(math64_exp(0) == 1);
    assert_true(math64_exp(-746) == 0);
    assert_true(math64_exp(710) == INFINITY);
    assert_true(math64_exp(-740) > 0);
    assert_true(isnan(math64_exp(NAN)));
}

static void test_log(void **state)
{
    (void)state;
    for (int i = 1; i <= SWEEP; i++) {
        double near_one = 1 + 1e-3 * i / SWEEP, wide = exp(1400.0 * i / SWEEP - 700);
        assert_true(relative(math64_log(near_one), log(near_one)) < 1e-15);
        assert_true(fabs(math64_log(wide) - log(wide)) <=
                    1e-15 * fmax(1, fabs(log(wide))));
    }
    assert_true(math64_log(1) == 0);
    assert_true(math64_log(0) == -INFINITY);
    assert_true(math64_log(INFINITY) == INFINITY);
    assert_true(isnan(math64_log(-1)));
    assert_true(isnan(math64_log(NAN)));
    assert_true(relative(math64_log(5e-324), log(5e-324)) < 1e-15);
}

static void test_sin_and_cos(void **state)
{
    (void)state;
    for (int i = -SWEEP; i <= SWEEP; i++) {
        double small = 20.0 * i / SWEEP, large = 1e6 * i / SWEEP;
        assert_true(fabs(math64_sin(small) - sin(small)) < 1e-15);
        assert_true(fabs(math64_cos(small) - cos(small)) < 1e-15);
        assert_true(fabs(math64_sin(large) - sin(large)) < 1e-15);
        assert_true(fabs(math64_cos(large) - cos(large)) < 1e-15);
    }
    assert_true(isnan(math64_sin(INFINITY)));
    assert_true(isnan(math64_cos(NAN)));
}

static void test_pow(void **state)
{
    (void)state;
    for (int i = 0; i <= SWEEP; i++) {
        double y = -2.0 * i / SWEEP;
        assert_true(relative(math64_pow(10000, y), pow(10000, y)) < 1e-14);
        assert_true(relative(math64_pow(5e5, y), pow(5e5, y)) < 1e-14);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_sin_and_cos),
        cmocka_unit_test(test_pow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
