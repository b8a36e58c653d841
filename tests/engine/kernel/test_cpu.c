/* Choosing a kernel set by name, and counting processors by affinity.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/cpu.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sched.h>
#include <string.h>

static void test_names(void **state)
{
    (void)state;
    const struct kernels *k = NULL, *best = NULL;
    struct err err;
    assert_int_equal(cpu_kernels(&k, "c", &err), 0);
    assert_ptr_equal(k, &kernel_c);
    assert_int_equal(cpu_kernels(&best, NULL, &err), 0);
    assert_non_null(best);
    assert_int_equal(cpu_kernels(&k, "sse9", &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "cpu");
    assert_non_null(strstr(err.text, "sse9"));
    static const char *const names[] = {"avx2", "avx512"};
    for (int i = 0; i < 2; i++) {
        int rc = cpu_kernels(&k, names[i], &err);
        assert_true(rc == 0 || rc == -ERR_UNSUPPORTED);
        if (rc == 0)
            assert_string_equal(k->name, names[i]);
    }
}

static void test_affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int n = cpu_count(), first = 0;
    assert_true(n >= 1 && n <= CPU_COUNT(&before));
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
