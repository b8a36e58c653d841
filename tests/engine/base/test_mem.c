/* Memory handed back to the system: whole pages inside the block, nothing beside it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 1 << 20, PAGE = 4096 };

static void only_whole_pages_inside_are_released(void **state)
{
    (void)state;
    static const size_t begins[] = {0, 1, 64, PAGE - 1, PAGE, 3 * PAGE + 5};
    static const size_t sizes[] = {0, 1, PAGE - 1, PAGE, 2 * PAGE, 9 * PAGE + 77};
    char *p = mem_alloc(BYTES);
    assert_non_null(p);
    for (int b = 0; b < 6; b++)
        for (int s = 0; s < 6; s++) {
            char *from = p + begins[b], *end = from + sizes[s];
            memset(p, 7, BYTES);
            mem_forget(from, sizes[s]);
            for (char *at = p; at < p + BYTES; at += 32) {
                char *page = (char *)((uintptr_t)at / PAGE * PAGE);
                int inside = page >= from && page + PAGE <= end;
                assert_int_equal(*at, inside ? 0 : 7);
            }
        }
    mem_free(p);
}

static void a_released_block_can_be_used_again(void **state)
{
    (void)state;
    char *p = mem_alloc(BYTES);
    memset(p, 1, BYTES);
    mem_forget(p, BYTES);
    memset(p, 2, BYTES);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(p[i], 2);
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_pages_inside_are_released),
        cmocka_unit_test(a_released_block_can_be_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
