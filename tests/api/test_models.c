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

static void every_served_name_is_a_model(void **state)
{
    (void)state;
    static const char *const others[] = {"b", "org/c"};
    const struct api_limits several = {.served_name = "a",
                                       .other_names = others,
                                       .n_other_names = 2,
                                       .context_tokens = 64};
    static const char *const ids[] = {"a", "b", "org/c"};
    struct buf all = {0}, one = {0}, list = {0};
    buf_puts(&all, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < 3; i++) {
        struct err err;
        buf_reset(&one);
        assert_int_equal(models_one(&several, 7, ids[i], strlen(ids[i]), &one, &err), 0);
        buf_printf(&all, "%s%s", i ? "," : "", one.data);
        assert_non_null(strstr(one.data, ids[i]));
    }
    buf_puts(&all, "]}");
    models_list(&several, 7, &list);
    json_same(all.data, list.data, list.len);
    assert_int_equal(models_check(&several, "org/", 4, &(struct err){0}), -ERR_MODEL);
    buf_free(&all);
    buf_free(&one);
    buf_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_holds_the_model),
        cmocka_unit_test(one_model_is_found_by_its_whole_id),
        cmocka_unit_test(every_served_name_is_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
