/* JSON reading: what is refused, and what the readers answer for each kind and for
 * nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "[1] [2]",
        "nul",
        "'a'",
        "01",
        "+1",
        "1.",
        ".5",
        "NaN",
        "Infinity",
        "\"a",
        "\"\\x\"",
        "\"\t\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "{\"a\":1,\"a\":2}",
        "\"\xff\"",
        "\"\xC0\xAF\"",
        "\"\xED\xA0\x80\"",
        "9223372036854775808",
        "1e999",
        "{\"a\\u0000\":1}",
        "// c\n1",
        "[1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json *j = NULL;
        struct err err = {0};
        if (json_parse(&j, bad[i], strlen(bad[i]), &err) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, ERR_FORMAT);
        assert_non_null(strstr(err.text, "line "));
        assert_null(j);
    }
    struct json *j = NULL;
    assert_int_equal(json_parse(&j, "[1]\0", 4, NULL), -ERR_FORMAT); /* a NUL behind it */
}

static void nesting_has_a_limit(void **state)
{
    enum { DEPTH = 100000 };
    char *deep = malloc(DEPTH);
    struct json *j = NULL;
    (void)state;
    assert_non_null(deep);
    memset(deep, '[', DEPTH);
    assert_int_equal(json_parse(&j, deep, DEPTH, NULL), -ERR_FORMAT);
    memset(deep + DEPTH / 2, ']', DEPTH / 2);
    assert_int_equal(json_parse(&j, deep, DEPTH, NULL), -ERR_FORMAT);
    free(deep);
}

static void every_kind_is_read_as_itself_only(void **state)
{
    static const char text[] =
        "{\"n\":null,\"b\":true,\"i\":-7,\"r\":2.5,\"s\":\"x\\u0000y\","
        "\"a\":[1,2],\"o\":{\"k\":1}}";
    static const char *const names[] = {"zero", "n", "b", "i", "r", "s", "a", "o"};
    struct json *j = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(json_parse(&j, text, sizeof text - 1, NULL), 0);
    for (int k = 0; k < 8; k++) {
        const struct json *v = json_get(j, names[k]);
        assert_int_equal(json_kind(v), k);
        assert_int_equal(json_numeric(v), k == JK_INT || k == JK_REAL);
        assert_int_equal(json_as_bool(v), k == JK_BOOL);
        assert_int_equal(json_as_int(v), k == JK_INT ? -7 : 0);
        assert_true(json_as_number(v) == (k == JK_INT ? -7 : k == JK_REAL ? 2.5 : 0));
        assert_int_equal(json_as_string(v, &len) != NULL, k == JK_STRING);
        assert_int_equal(len, k == JK_STRING ? 3 : 0);
        assert_int_equal(json_len(v), k == JK_ARRAY ? 2 : k == JK_OBJECT ? 1 : 0);
        assert_int_equal(json_at(v, 1) != NULL, k == JK_ARRAY);
        assert_null(json_at(v, 2));
        assert_null(json_get(v, "absent"));
        assert_non_null(json_kind_name(v));
    }
    assert_string_equal(json_kind_name(NULL), "nothing");
    json_free(j);
    json_free(NULL);
}

static int note_key(void *arg, const char *key, size_t len, const struct json *v)
{
    char *seen = arg;
    assert_int_equal(len, 1);
    strncat(seen, key, 1);
    return json_as_int(v) == 9 ? 5 : 0;
}

static void members_come_in_the_documents_order_until_one_stops(void **state)
{
    char seen[16] = "";
    struct json *j = NULL;
    (void)state;
    assert_int_equal(json_parse(&j, "{\"z\":1,\"a\":2,\"m\":9,\"b\":3}", 25, NULL), 0);
    assert_int_equal(json_each(j, note_key, seen), 5);
    assert_string_equal(seen, "zam");
    json_free(j);
    seen[0] = '\0';
    assert_int_equal(json_parse(&j, "{\"q\":1,\"c\":2}", 13, NULL), 0);
    assert_int_equal(json_each(j, note_key, seen), 0);
    assert_string_equal(seen, "qc");
    json_free(j);
    assert_int_equal(json_each(NULL, note_key, seen), 0);
}

static void integers_may_be_read_as_reals(void **state)
{
    struct json *j = NULL;
    (void)state;
    assert_int_equal(json_parse_reals(&j, "18446744073709551616", 20, NULL), 0);
    assert_int_equal(json_kind(j), JK_REAL);
    assert_true(json_as_number(j) == 18446744073709551616.0);
    json_free(j);
}

static void a_file_names_itself_in_errors(void **state)
{
    struct json *j = NULL;
    struct err err = {0};
    (void)state;
    assert_int_equal(json_load(&j, "/nonexistent.json", 100, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent.json"));
    assert_int_equal(json_load(&j, "tests/engine/base/test_json.c", 1 << 20, &err),
                     -ERR_FORMAT);
    assert_non_null(strstr(err.text, "test_json.c"));
    assert_int_equal(json_load(&j, "tests/engine/base/test_json.c", 100, &err),
                     -ERR_FORMAT);
    assert_non_null(strstr(err.text, "at most 100 bytes"));
    assert_int_equal(json_load(&j, "tests", 100, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(every_kind_is_read_as_itself_only),
        cmocka_unit_test(members_come_in_the_documents_order_until_one_stops),
        cmocka_unit_test(integers_may_be_read_as_reals),
        cmocka_unit_test(a_file_names_itself_in_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
