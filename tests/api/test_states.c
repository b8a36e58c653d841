/* Names of state objects, and what responses report about states.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/states.h"
#include "tests/lib/json_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16

static void names_are_neither_paths_nor_hidden(void **state)
{
    (void)state;
    static const char *const good[] = {"a",   "-",           "_",   "0",    "a.", "a..b",
                                       "-rf", "A-Z_a-z.0-9", "CON", "http", A64};
    static const char *const bad[] = {
        "",         ".",    "..",  ".a", "a/b",       "/a",    "a b",   "a\n",    "a%2fb",
        "\xc3\xa9", "a\\b", "a:b", "~",  "http://x/", "a\x7f", A64 "a", "..\\..", "../x"};
    struct err err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(states_check_name("f", good[i], strlen(good[i]), &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(states_check_name("f", bad[i], strlen(bad[i]), &err),
                         -ERR_ARGUMENT);
        assert_string_equal(err.param, "f");
    }
    assert_false(states_is_name("a\0b", 3));
}

static void a_list_holds_objects(void **state)
{
    (void)state;
    static const struct states_object a = {"a", 5000000000, 17, 1700000000},
                                      b = {"b.c", 1, 0, -1};
    struct buf out = {0};
    states_list_begin(&out);
    states_put(&a, &out);
    buf_putc(&out, ',');
    states_put(&b, &out);
    states_list_end(&out);
    json_same("{\"object\":\"list\",\"data\":["
              "{\"name\":\"a\",\"object\":\"state\",\"bytes\":5000000000,\"depth\":17,"
              "\"created\":1700000000},"
              "{\"name\":\"b.c\",\"object\":\"state\",\"bytes\":1,\"depth\":null,"
              "\"created\":-1}]}",
              out.data, out.len);
    buf_free(&out);
}

static void only_what_happened_is_reported(void **state)
{
    (void)state;
    struct buf out = {0};
    states_put_result(&(struct states_result){.loaded = "a", .loaded_depth = 3}, &out);
    json_same("{\"loaded\":{\"name\":\"a\",\"depth\":3}}", out.data, out.len);
    buf_reset(&out);
    states_put_result(
        &(struct states_result){.saved = "b", .saved_depth = 4, .saved_bytes = 5}, &out);
    json_same("{\"saved\":{\"name\":\"b\",\"depth\":4,\"bytes\":5}}", out.data, out.len);
    struct err err;
    err_param(&err, ERR_STORAGE, "state.save", "no room");
    struct states_result failed = {.loaded = "a", .loaded_depth = 3, .fault = &err};
    buf_reset(&out);
    states_put_result(&failed, &out);
    json_same(
        "{\"loaded\":{\"name\":\"a\",\"depth\":3},\"error\":{\"message\":\"no room\","
        "\"type\":\"server_error\",\"param\":\"state.save\","
        "\"code\":\"storage_full\"}}",
        out.data, out.len);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_neither_paths_nor_hidden),
        cmocka_unit_test(a_list_holds_objects),
        cmocka_unit_test(only_what_happened_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
