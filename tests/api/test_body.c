/* The grammar, what is built of it, and its bounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/body.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Members whose names begin with k are known. */
static bool known(const void *arg, const struct value *name)
{
    char text[2];
    (void)arg;
    return value_peek(name, text, sizeof text) == 1 && text[0] == 'k';
}

static int parse(struct body *b, struct err *err, const char *text, size_t len)
{
    *err = (struct err){0};
    char *copy = mem_alloc(len ? len : 1); /* its end is where a sanitizer looks */
    memcpy(copy, text, len);
    int rc = body_parse(b, copy, len, known, NULL, err);
    if (rc == 0)
        body_free(b);
    mem_free(copy);
    return rc;
}

/* As a known member's value and as an unknown one's: both are checked alike. */
static void expect(int rc, const char *value)
{
    struct body b;
    struct err err;
    char text[200];
    for (int i = 0; i < 2; i++) {
        int n = snprintf(text, sizeof text, "{\"%c\":%s}", "kx"[i], value);
        if (parse(&b, &err, text, (size_t)n) != rc)
            fail_msg("%s: %d %s", text, err.code, err.text);
    }
}

static void what_json_allows_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "10",
        "1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "0.0e0",
        "9223372036854775808",
        "1e999",
        "-1e999",
        "1e-999",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1 , 2]",
        "{\"a\" : 1 , \"b\" : [ ] }",
        "\t\r\n 1 \t\r\n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\\uffff\\uD83D\\uDe00\"",
        "\"\x7f\"",
        "\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
        "{\"\":0}",
        "{\"a\":{\"a\":0},\"b\":[{\"a\":0},{\"a\":0}]}",
        "{\"a\":0,\"A\":0,\"aa\":0,\"\\u00e4\":0,\"e\\u0308\":0}",
        "{\"\\u00e9a\":0,\"\xc3\xa9\":0,\"\xc3\xa9z\":0}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        expect(0, good[i]);
}

static const char *const bad_values[] = {"",
                                         "nul",
                                         "True",
                                         "tru",
                                         "nulll",
                                         "NaN",
                                         "Infinity",
                                         "-",
                                         "+1",
                                         "01",
                                         "-01",
                                         ".5",
                                         "1.",
                                         "1.e5",
                                         "1e",
                                         "1e+",
                                         "0x10",
                                         "1 2",
                                         "1_0",
                                         "'a'",
                                         "\"",
                                         "\"a",
                                         "\"\\",
                                         "[",
                                         "[1",
                                         "[1,",
                                         "[1,]",
                                         "[,1]",
                                         "[1 2]",
                                         "]",
                                         "[1}",
                                         "{",
                                         "{\"a\"",
                                         "{\"a\":",
                                         "{\"a\":1",
                                         "{\"a\":1,",
                                         "{\"a\":1,}",
                                         "{,}",
                                         "{a:1}",
                                         "{1:1}",
                                         "{\"a\" 1}",
                                         "{\"a\"::1}",
                                         "{\"a\"=1}",
                                         "\"\\x\"",
                                         "\"\\u\"",
                                         "\"\\u12\"",
                                         "\"\\u123g\"",
                                         "\"\\ud800\"",
                                         "\"\\udc00\"",
                                         "\"\\ud800x\"",
                                         "\"\\ud800\\n\"",
                                         "\"\\ud800\\ud800\"",
                                         "\"\\ud800\\u0041\"",
                                         "\"\\uD83D\\uDE0\"",
                                         "\"\n\"",
                                         "\"\t\"",
                                         "\"\x01\"",
                                         "\"\x80\"",
                                         "\"\xc0\x80\"",
                                         "\"\xc3\"",
                                         "\"\xe0\x80\x80\"",
                                         "\"\xed\xa0\x80\"",
                                         "\"\xf4\x90\x80\x80\"",
                                         "\"\xf5\x80\x80\x80\"",
                                         "\"\xff\"",
                                         "\xef\xbb\xbf"
                                         "1",
                                         "1\v",
                                         "\xc2\xa0"
                                         "1",
                                         "//\n1",
                                         "1/**/",
                                         "{\"\\u0000\":1}",
                                         "{\"a\\u0000b\":1}",
                                         "{\"a\":1,\"a\":1}",
                                         "{\"a\":1,\"b\":2,\"\\u0061\":3}",
                                         "[{\"\":{\"x\":0,\"x\":0}}]",
                                         "{\"\\u00e9\":0,\"b\":0,\"\xc3\xa9\":0}",
                                         "{\"\\ud83d\\ude00\":0,\"\xf0\x9f\x98\x80\":0}"};

static void what_json_does_not_allow_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_values / sizeof *bad_values; i++)
        expect(-ERR_ARGUMENT, bad_values[i]);
}

static void the_body_is_one_object(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    " ",   "1",     "null", "[]", "\"k\"",
                                      "1.5", "1e9", "{} {}", "{}x",  "{",  "x"};
    struct body b;
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(&b, &err, bad[i], strlen(bad[i])), -ERR_ARGUMENT);
    assert_int_equal(parse(&b, &err, "{}\0", 3), -ERR_ARGUMENT);
    assert_int_equal(parse(&b, &err, " {} ", 4), 0);
    assert_int_equal(parse(&b, &err, "{\"k\":1,\n\"x\": 2,\n  \"k\":3}", 25),
                     -ERR_ARGUMENT);
    assert_string_equal(err.text, "invalid JSON at line 3, column 3: this name occurs "
                                  "twice in its object");
    assert_int_equal(parse(&b, &err, "{\"k\":[1,\n 2 3]}", 15), -ERR_ARGUMENT);
    assert_string_equal(err.text, "invalid JSON at line 2, column 4: expected a comma or "
                                  "the array's end");
}

/* Every cut of a valid text is invalid, and nothing behind the cut is looked at. */
static void a_cut_text_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"k\":[1.5,-2e+7,\"\\ud83d\\ude00\xe2\x82\xac\",{\"a\":true}],"
        "\"x\":[[[[{\"\":{\"\":null}}]]]]}";
    struct body b;
    struct err err;
    for (size_t len = 0; len < sizeof text - 1; len++)
        assert_int_equal(parse(&b, &err, text, len), -ERR_ARGUMENT);
    assert_int_equal(parse(&b, &err, text, sizeof text - 1), 0);
}

static void only_known_members_are_built(void **state)
{
    (void)state;
    static const char text[] =
        "{\"x\":{\"k\":[1,2,{\"k\":3}]},\"k\":[5,[],\"a\\n\"],\"y\":0,"
        "\"\\u006b2\":{\"x\":true,\"\\u0079\":[null]}}";
    struct body b;
    struct err err;
    assert_int_equal(body_parse(&b, text, sizeof text - 1, known, NULL, &err), 0);
    assert_int_equal(b.n_unknown, 2);
    assert_int_equal(value_len(b.values), 2);
    assert_int_equal(b.values->span, 13);
    const struct value *k = value_get(b.values, "k"), *k2 = value_get(b.values, "k2");
    assert_null(value_get(b.values, "x"));
    assert_int_equal(value_len(k), 3);
    assert_int_equal(value_int(value_first(k)), 5);
    assert_int_equal(value_kind(value_next(value_first(k))), VALUE_ARRAY);
    assert_true(value_is(value_next(value_next(value_first(k))), "a\n"));
    assert_true(value_bool(value_get(k2, "x")));
    assert_int_equal(value_kind(value_first(value_get(k2, "y"))), VALUE_NULL);
    body_free(&b);
}

static void numbers_have_their_values(void **state)
{
    (void)state;
    static const char text[] =
        "{\"k\":[9223372036854775807,-9223372036854775808,9223372036854775808,-0,0.1,"
        "1e308,1e309,-1e-400,123456789012345678901234567890]}";
    static const enum value_kind kinds[] = {VALUE_INT,    VALUE_INT,  VALUE_BEYOND,
                                            VALUE_INT,    VALUE_REAL, VALUE_REAL,
                                            VALUE_BEYOND, VALUE_REAL, VALUE_BEYOND};
    struct body b;
    struct err err;
    assert_int_equal(body_parse(&b, text, sizeof text - 1, known, NULL, &err), 0);
    const struct value *v[9], *x = value_first(value_get(b.values, "k"));
    for (int i = 0; i < 9; i++, x = value_next(x)) {
        v[i] = x;
        assert_int_equal(value_kind(x), kinds[i]);
    }
    assert_true(value_int(v[0]) == INT64_MAX && value_int(v[1]) == INT64_MIN);
    assert_true(value_int(v[3]) == 0 && value_number(v[4]) == 0.1);
    assert_true(value_number(v[5]) == 1e308 && value_number(v[7]) == 0);
    body_free(&b);
}

static void put_times(struct buf *b, const char *s, int n)
{
    for (int i = 0; i < n; i++)
        buf_puts(b, s);
}

/* depth is that of the innermost value, the body's being 1. */
static int nested(int depth, const char *name, const char *open, const char *inner,
                  const char *close)
{
    struct buf text = {0};
    struct body b;
    struct err err;
    buf_puts(&text, name);
    put_times(&text, open, depth - 2);
    buf_puts(&text, inner);
    put_times(&text, close, depth - 2);
    buf_puts(&text, "}");
    int rc = parse(&b, &err, text.data, text.len);
    buf_free(&text);
    return rc;
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    static const char *const names[] = {"{\"k\":", "{\"x\":"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(nested(2048, names[i], "[", "1", "]"), 0);
        assert_int_equal(nested(2048, names[i], "{\"\":", "{}", "}"), 0);
        assert_int_equal(nested(2049, names[i], "[", "1", "]"), -ERR_ARGUMENT);
        assert_int_equal(nested(2049, names[i], "{\"\":", "{}", "}"), -ERR_ARGUMENT);
        assert_int_equal(nested(100000, names[i], "[", "", ""), -ERR_ARGUMENT);
        assert_int_equal(nested(1000, names[i], "[", "", ""), -ERR_ARGUMENT);
        assert_int_equal(nested(1000, names[i], "{\"\":", "", ""), -ERR_ARGUMENT);
    }
}

/* {name:[item,item,…]} of `nodes` values and names, where an item has `each`. */
static int of_nodes(const char *name, const char *item, int each, int nodes,
                    struct err *err)
{
    struct buf text = {0};
    struct body b;
    buf_puts(&text, name);
    for (int n = 3; n < nodes; n += each) {
        buf_puts(&text, n > 3 ? "," : "");
        buf_puts(&text, item);
    }
    buf_puts(&text, "]}");
    int rc = parse(&b, err, text.data, text.len);
    buf_free(&text);
    return rc;
}

static void the_number_of_nodes_has_a_limit(void **state)
{
    (void)state;
    enum { MOST = BODY_MAX_NODES };
    struct err err;
    static const char *const names[] = {"{\"k\":[", "{\"x\":["};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(of_nodes(names[i], "0", 1, MOST, &err), 0);
        assert_int_equal(of_nodes(names[i], "{}", 1, MOST + 1, &err), -ERR_COMPLEX);
        assert_string_equal(err.text, "the body holds 1000001 JSON values and names, at "
                                      "most 1000000 are accepted");
        assert_int_equal(of_nodes(names[i], "{\"a\":0}", 3, MOST - 1, &err), 0);
        assert_int_equal(of_nodes(names[i], "{\"a\":0}", 3, 4 * MOST, &err),
                         -ERR_COMPLEX);
        assert_int_equal(of_nodes(names[i], "{\"a\":0,}", 3, 2 * MOST, &err),
                         -ERR_ARGUMENT);
    }
}

static void many_names_are_compared(void **state)
{
    (void)state;
    enum { N = 300000 };
    struct buf text = {0};
    struct body b;
    struct err err;
    buf_puts(&text, "{\"x\":{\"7777\":0");
    for (int i = 0; i < N; i++)
        if (i != 7777)
            buf_printf(&text, ",\"%d\":0", i);
    size_t len = text.len;
    buf_puts(&text, "}}");
    assert_int_equal(parse(&b, &err, text.data, text.len), 0);
    text.len = len;
    buf_puts(&text, ",\"77\\u00377\":0}}");
    assert_int_equal(parse(&b, &err, text.data, text.len), -ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "twice"));
    buf_free(&text);
}

static void memory_is_bounded_by_the_length(void **state)
{
    (void)state;
    struct body b;
    struct err err;
    assert_true(body_bytes(4 << 20) <= 32u << 20);
    assert_true(body_bytes(1000) < 64u << 10);
    mem_fail_after(1);
    assert_int_equal(body_parse(&b, "{}", 2, known, NULL, &err), -ERR_MEMORY);
    mem_fail_after(0);
    assert_int_equal(err.code, ERR_MEMORY);
    ptrdiff_t held = mem_held();
    assert_int_equal(parse(&b, &err, "{\"k\":[1,2]}", 11), 0);
    assert_int_equal(parse(&b, &err, "{\"k\":[1,2]", 10), -ERR_ARGUMENT);
    assert_true(mem_held() == held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_json_allows_is_accepted),
        cmocka_unit_test(what_json_does_not_allow_is_refused),
        cmocka_unit_test(the_body_is_one_object),
        cmocka_unit_test(a_cut_text_is_refused),
        cmocka_unit_test(only_known_members_are_built),
        cmocka_unit_test(numbers_have_their_values),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(the_number_of_nodes_has_a_limit),
        cmocka_unit_test(many_names_are_compared),
        cmocka_unit_test(memory_is_bounded_by_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
