/* Places in a body as errors name them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/body.h"
#include "api/body_path.h"
#include "engine/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool all(const void *arg, const struct value *name)
{
    (void)arg;
    (void)name;
    return true;
}

static void a_path_reads_from_the_outside_in(void **state)
{
    (void)state;
    char text[64];
    struct body_path root = body_path_member(NULL, "messages");
    struct body_path second = body_path_element(&root, 2);
    struct body_path content = body_path_member(&second, "content");
    struct body_path part = body_path_element(&content, 0);
    struct body_path type = body_path_member(&part, "type");
    body_path_text(&type, text, sizeof text);
    assert_string_equal(text, "messages[2].content[0].type");
}

static void strange_names_are_not_repeated(void **state)
{
    (void)state;
    static const char body[] =
        "{\"a b\":1,\"ok\":2,\"\\u20ac\":3,\"\\\"\":4,"
        "\"n123456789n123456789n123456789n123456789n123456789\":5}";
    static const char *const expected[] = {"t[?]", "t.ok", "t[?]", "t[?]", "t[?]"};
    struct body b;
    struct err err;
    assert_int_equal(body_parse(&b, body, sizeof body - 1, all, NULL, &err), 0);
    const struct value *name = value_first(b.values);
    for (size_t i = 0; i < 5; i++, name = value_next(name)) {
        char text[64];
        struct body_path root = body_path_member(NULL, "t");
        struct body_path at = body_path_key(&root, name);
        body_path_text(&at, text, sizeof text);
        assert_string_equal(text, expected[i]);
    }
    body_free(&b);
}

static void a_long_path_is_cut_whole_steps(void **state)
{
    (void)state;
    char text[24];
    struct body_path steps[40];
    for (size_t i = 0; i < 40; i++)
        steps[i] = body_path_member(i ? &steps[i - 1] : NULL, "properties");
    body_path_text(&steps[39], text, sizeof text);
    assert_string_equal(text, "properties\xe2\x80\xa6");
    struct err err;
    body_path_error(&err, ERR_ARGUMENT, &steps[39], "is wrong");
    assert_true(strlen(err.param) < sizeof err.param);
    assert_non_null(strstr(err.text, "\xe2\x80\xa6` is wrong"));
}

static void errors_say_what_was_found(void **state)
{
    (void)state;
    struct err err;
    struct body_path at = body_path_member(NULL, "messages");
    assert_int_equal(body_path_wrong(&err, &at, "a list", NULL), -ERR_ARGUMENT);
    assert_string_equal(err.param, "messages");
    assert_string_equal(err.text, "`messages` is missing: it must be a list");
}

static void a_wrong_word_is_repeated_if_it_is_plain(void **state)
{
    (void)state;
    struct body_path root = body_path_member(NULL, "type");
    static const struct {
        const char *json, *text;
    } words[] = {
        {"\"king\"", "`type` must be \"a\" or \"b\", not \"king\": so it is"},
        {"\"k\\u0069ng\"", "`type` must be \"a\" or \"b\", not \"king\": so it is"},
        {"\"two words\"", "`type` must be \"a\" or \"b\", not a string: so it is"},
        {"\"0123456789012345678901234567890123456789\"",
         "`type` must be \"a\" or \"b\", not a string: so it is"},
        {"\"a`b\"", "`type` must be \"a\" or \"b\", not a string: so it is"},
        {"7", "`type` must be \"a\" or \"b\", not 7: so it is"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct buf text = {0};
        struct body b;
        struct err err;
        buf_printf(&text, "{\"type\":%s}", words[i].json);
        assert_int_equal(body_parse(&b, text.data, text.len, all, NULL, &err), 0);
        body_path_word(&err, ERR_UNSUPPORTED, &root, value_get(b.values, "type"),
                       "\"a\" or \"b\"", "so it is");
        assert_string_equal(err.text, words[i].text);
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        body_free(&b);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_reads_from_the_outside_in),
        cmocka_unit_test(strange_names_are_not_repeated),
        cmocka_unit_test(a_long_path_is_cut_whole_steps),
        cmocka_unit_test(errors_say_what_was_found),
        cmocka_unit_test(a_wrong_word_is_repeated_if_it_is_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
