/* The budget's default, and the budgets that hold no body.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/request_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const size_t MIB = 1 << 20;

static void the_default_is_an_eighth_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(request_memory_default(100 * MIB), 64 * MIB);
    assert_int_equal(request_memory_default(512 * MIB), 64 * MIB);
    assert_int_equal(request_memory_default(1024 * MIB), 128 * MIB);
    assert_int_equal(request_memory_default(4096 * MIB), 512 * MIB);
    assert_int_equal(request_memory_default(SIZE_MAX), 512 * MIB);
}

static void a_budget_holds_a_body_or_is_refused(void **state)
{
    (void)state;
    struct config cfg = {.max_body_bytes = 4 * MIB};
    struct request_memory m;
    struct err err = {0};
    assert_int_equal(request_memory_plan(&m, &cfg, &err), 0);
    assert_in_range(m.limit_bytes, 64 * MIB, 512 * MIB);
    cfg.request_bytes = 64 * MIB; /* the least default holds the default body */
    assert_int_equal(request_memory_plan(&m, &cfg, &err), 0);
    assert_int_equal(m.limit_bytes, 64 * MIB);
    assert_in_range(m.tree_bytes, 16 * MIB, 32 * MIB);
    assert_int_equal(request_memory_reserved(&m), m.limit_bytes + m.work_bytes);
    cfg.request_bytes = m.tree_bytes + 8 * MIB; /* and no head */
    assert_int_equal(request_memory_plan(&m, &cfg, &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "request_bytes");
    assert_non_null(strstr(err.text, "max_body_bytes (4194304)"));
    cfg.request_bytes += MIB;
    assert_int_equal(request_memory_plan(&m, &cfg, &err), 0);
    cfg = (struct config){.max_body_bytes = 1024 * MIB};
    assert_int_equal(request_memory_plan(&m, &cfg, &err), -ERR_ARGUMENT);
    cfg.request_bytes = 4096 * MIB;
    assert_int_equal(request_memory_plan(&m, &cfg, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_an_eighth_within_bounds),
        cmocka_unit_test(a_budget_holds_a_body_or_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
