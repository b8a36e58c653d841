/* Model objects.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/models.h"
#include "tests/lib/json_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {.served_name = "org/ti\"ny",
                                         .context_tokens = 64};

#define MODEL                                                                            \
    "{\"id\":\"org/ti\\\"ny\",\"object\":\"model\",\"created\":1700000000,"              \
    "\"owned_by\":\"ssmd\",\"max_model_len\":64}"

static void the_list_holds_the_model(void **state)
{
    (void)state;
    struct buf b = {0};
    models_list(&limits, 1700000000, &b);
    json_same("{\"object\":\"list\",\"data\":[" MODEL "]}", b.data, b.len);
    buf_free(&b);
}

static void one_model_is_found_by_its_whole_id(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err err;
    assert_int_equal(models_one(&limits, 1700000000, "org/ti\"ny", 9, &b, &err), 0);
    json_same(MODEL, b.data, b.len);
    buf_reset(&b);
    assert_int_equal(models_one(&limits, 1700000000, "org/ti", 6, &b, &err), -ERR_MODEL);
    assert_string_equal(err.param, "model");
    assert_int_equal(models_one(&limits, 1700000000, "ORG/TI\"NY", 9, &b, &err),
                     -ERR_MODEL);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_holds_the_model),
        cmocka_unit_test(one_model_is_found_by_its_whole_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
