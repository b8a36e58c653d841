/* The host's figures are plausible, and steal is a share of the time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/host_stats.h"

#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void time_passes(void **state)
{
    (void)state;
    struct host_stats a, b;
    host_stats_read(&a);
    do
        host_stats_read(&b);
    while (b.total == a.total);
    assert_true(a.total > 0 && b.total > a.total);
    assert_true(a.load >= 0);
    double steal = host_stats_steal(&a, &b);
    assert_true(steal >= 0 && steal <= 1);
}

static void steal_is_a_share_of_the_time_between(void **state)
{
    (void)state;
    const struct host_stats a = {0, 10, 1000}, b = {0, 15, 1100};
    assert_true(host_stats_steal(&a, &b) == 0.05);
    assert_true(host_stats_steal(&a, &a) == 0);
}

static void what_is_touched_is_resident(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    size_t before = host_stats_resident();
    char *p = mem_alloc(BYTES);
    assert_non_null(p);
    memset(p, 1, BYTES);
    size_t after = host_stats_resident();
    assert_true(before > 0 && after >= before + BYTES / 2);
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_passes),
        cmocka_unit_test(steal_is_a_share_of_the_time_between),
        cmocka_unit_test(what_is_touched_is_resident),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
