/* Tasks cover a job's units once, in order, within the room there is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(int n_units, int least, int n_threads)
{
    struct partition p;
    partition_cut(&p, n_units, least, n_threads);
    assert_in_range(p.n, n_units > 0, PARTITION_CAP);
    assert_int_equal(p.begin[p.n], n_units);
    for (int i = 0; i < p.n; i++) {
        int size = p.begin[i + 1] - p.begin[i];
        assert_true(size >= 1);
        assert_true(size >= least || i == p.n - 1);
        assert_true(i == 0 || size <= p.begin[i] - p.begin[i - 1]);
    }
    assert_int_equal(p.begin[0], 0);
}

static void test_covers(void **state)
{
    (void)state;
    static const int units[] = {0, 1, 2, 24, 255, 256, 257, 1000, 33333, 1 << 30};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (int threads = 1; threads <= 1024; threads *= 2)
            for (int least = 1; least < 100; least = 3 * least + 1)
                check(units[i], least, threads);
}

/* Long first, short last: the tail is what threads wait for each other. */
static void test_ends_with_short_tasks(void **state)
{
    (void)state;
    struct partition p;
    partition_cut(&p, 1000, 1, 2);
    assert_true(p.begin[1] >= 300);
    assert_true(p.begin[p.n] - p.begin[p.n - 1] <= 2);
    partition_cut(&p, 1000, 1000, 2);
    assert_int_equal(p.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_ends_with_short_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
