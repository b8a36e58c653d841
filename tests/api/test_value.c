/* Readers of values: absent ones, strings with escapes, and their order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/value.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct value string(const char *text)
{
    return (struct value){.text = text,
                          .len = (uint32_t)strlen(text),
                          .kind = VALUE_STRING,
                          .escaped = strchr(text, '\\') != NULL,
                          .span = 1};
}

static void absent_values_are_read_as_nothing(void **state)
{
    (void)state;
    char text[4] = "abc";
    assert_int_equal(value_kind(NULL), VALUE_ABSENT);
    assert_string_equal(value_kind_name(NULL), "nothing");
    assert_false(value_numeric(NULL) || value_bool(NULL) || value_is(NULL, ""));
    assert_true(value_int(NULL) == 0 && value_number(NULL) == 0);
    assert_true(value_len(NULL) == 0 && value_text_len(NULL) == 0);
    assert_null(value_first(NULL));
    assert_null(value_get(NULL, "a"));
    assert_int_equal(value_peek(NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void escapes_are_decoded(void **state)
{
    (void)state;
    struct value v =
        string("\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\uDE00"
               "\\u0000z");
    static const char want[] = "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0z";
    char head[4];
    struct arena a;
    arena_init(&a);
    assert_int_equal(value_text_len(&v), sizeof want - 1);
    const char *text = value_text(&v, &a);
    assert_memory_equal(text, want, sizeof want);
    assert_int_equal(value_peek(&v, head, sizeof head), 3);
    assert_string_equal(head, "\"\\/");
    v = string("plain");
    assert_int_equal(value_peek(&v, head, sizeof head), 3);
    assert_string_equal(head, "pla");
    assert_string_equal(value_text(&v, &a), "plain");
    mem_fail_after(1);
    arena_free(&a);
    assert_null(value_text(&v, &a));
    mem_fail_after(0);
}

/* All in order, each as written with and without escapes. */
static void strings_are_ordered_by_their_bytes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"\\u0000", "\\u0000"},
        {"\\u0000a", "\\u0000\\u0061"},
        {"A", "\\u0041"},
        {"a", "\\u0061"},
        {"a\\u0000", "\\u0061\\u0000"},
        {"aa", "a\\u0061"},
        {"b", "\\u0062"},
        {"\xc3\xa9", "\\u00e9"},
        {"\xc3\xa9z", "\\u00E9z"},
        {"\xc3\xaa", "\\u00ea"},
        {"\xe2\x82\xac", "\\u20ac"},
        {"\xf0\x9f\x98\x80", "\\ud83d\\ude00"},
    };
    enum { N = sizeof rows / sizeof *rows };
    for (int i = 0; i < 4 * N * N; i++) {
        int x = i / 4 / N, y = i / 4 % N;
        struct value a = string(rows[x][i & 1]), b = string(rows[y][i >> 1 & 1]);
        int rc = value_compare(&a, &b);
        assert_int_equal((rc > 0) - (rc < 0), (x > y) - (x < y));
    }
}

static void names_are_compared_whole(void **state)
{
    (void)state;
    struct value v = string("stop"), w = string("st\\u006fp");
    for (int i = 0; i < 2; i++) {
        const struct value *x = i ? &w : &v;
        assert_true(value_is(x, "stop"));
        assert_false(value_is(x, "sto") || value_is(x, "stops") || value_is(x, ""));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_values_are_read_as_nothing),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(strings_are_ordered_by_their_bytes),
        cmocka_unit_test(names_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
