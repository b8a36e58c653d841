/* Arrays of token ids: growth, and that a failed one changes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/ids.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void it_grows_by_one_and_by_many(void **state)
{
    struct ids ids = {0};
    int32_t many[300];
    (void)state;
    for (int32_t i = 0; i < 300; i++)
        many[i] = 1000 + i;
    for (int32_t i = 0; i < 200; i++)
        assert_true(ids_push(&ids, i));
    assert_true(ids_append(&ids, many, 300));
    assert_true(ids_append(&ids, NULL, 0));
    assert_int_equal(ids.n, 500);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(ids.data[i], i < 200 ? (int32_t)i : 800 + (int32_t)i);
    ids_free(&ids);
    assert_null(ids.data);
    assert_int_equal(ids.n, 0);
}

static void a_failed_growth_changes_nothing(void **state)
{
    struct ids ids = {0};
    const int32_t more[100] = {0};
    (void)state;
    assert_true(ids_push(&ids, 7));
    mem_fail_after(1);
    assert_false(ids_append(&ids, more, 100));
    mem_fail_after(0);
    assert_false(ids_reserve(&ids, SIZE_MAX / 2));
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.data[0], 7);
    ids_free(&ids);
}

static void what_is_reserved_cannot_fail(void **state)
{
    struct ids ids = {0};
    (void)state;
    assert_true(ids_reserve(&ids, 1000));
    mem_fail_after(1);
    for (int32_t i = 0; i < 1000; i++)
        assert_true(ids_push(&ids, i));
    mem_fail_after(0);
    ids_free(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_by_one_and_by_many),
        cmocka_unit_test(a_failed_growth_changes_nothing),
        cmocka_unit_test(what_is_reserved_cannot_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
