/* A sum that never passes its limit by taking, and says no without a trace.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void takes_to_the_limit(void **state)
{
    (void)state;
    struct budget b = {.limit = 100};
    assert_true(budget_take(&b, 60));
    assert_false(budget_take(&b, 41));
    assert_int_equal(b.used, 60);
    assert_true(budget_take(&b, 40));
    assert_false(budget_take(&b, 1));
    budget_give(&b, 100);
    assert_int_equal(b.used, 0);
}

static void huge_sums_do_not_wrap(void **state)
{
    (void)state;
    struct budget b = {.limit = 100};
    assert_true(budget_take(&b, 1));
    assert_false(budget_take(&b, SIZE_MAX));
    assert_int_equal(b.used, 1);
}

static void what_is_held_already_counts(void **state)
{
    (void)state;
    struct budget b = {.limit = 100};
    budget_add(&b, 150);
    assert_false(budget_take(&b, 0));
    assert_false(budget_take(&b, 1));
    budget_give(&b, 60);
    assert_true(budget_take(&b, 10));
    assert_int_equal(b.used, 100);
}

static void a_recount_replaces(void **state)
{
    (void)state;
    struct budget b = {.limit = 100};
    size_t held = 0;
    budget_recount(&b, &held, 150);
    assert_int_equal(b.used, 150);
    budget_recount(&b, &held, 20);
    assert_int_equal(b.used, 20);
    assert_int_equal(held, 20);
    budget_recount(&b, &held, 0);
    assert_int_equal(b.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_to_the_limit),
        cmocka_unit_test(huge_sums_do_not_wrap),
        cmocka_unit_test(what_is_held_already_counts),
        cmocka_unit_test(a_recount_replaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
