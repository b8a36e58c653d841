/* Lists of token ids as JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/id_list.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void ids_are_gathered_and_written(void **state)
{
    (void)state;
    static const int32_t ids[] = {7, INT32_MAX};
    struct buf list = {0}, out = {0};
    id_list_put(&list, "a", &out);
    id_list_add(&list, 0);
    id_list_add_all(&list, ids, 2);
    id_list_add_all(&list, NULL, 0);
    id_list_put(&list, "b", &out);
    id_list_put(NULL, "c", &out);
    assert_string_equal(out.data, ",\"a\":[],\"b\":[0,7,2147483647],\"c\":[]");
    buf_free(&list);
    buf_free(&out);
}

static void a_list_that_failed_fails_the_output(void **state)
{
    (void)state;
    struct buf list = {0}, out = {0};
    mem_fail_after(1);
    id_list_add(&list, 1);
    mem_fail_after(0);
    id_list_put(&list, "a", &out);
    assert_true(out.failed);
    buf_free(&list);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_gathered_and_written),
        cmocka_unit_test(a_list_that_failed_fails_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
