/* Values as Python prints them; what is expected was printed by Python 3.11.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_print.h"
#include "tests/lib/template_values.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int open_values(void **state)
{
    static struct template_values values;
    template_values_open(&values);
    *state = &values;
    return 0;
}

static int close_values(void **state)
{
    template_values_close(*state);
    return 0;
}

typedef void print_fn(struct jinja_builder *b, struct jinja_value v);

static const char *printed(struct template_values *t, print_fn *print,
                           struct jinja_value v)
{
    struct jinja_builder b;
    jinja_string_begin(&b, &t->render);
    print(&b, v);
    return template_values_shown(t, jinja_string_end(&b));
}

static void reals_have_their_shortest_digits(void **state)
{
    static const struct {
        double x;
        const char *text;
    } rows[] = {{12, "12.0"},
                {-0.0, "-0.0"},
                {0.1, "0.1"},
                {-2.5, "-2.5"},
                {1e-4, "0.0001"},
                {1.5e-5, "1.5e-05"},
                {1e-7, "1e-07"},
                {1e15, "1000000000000000.0"},
                {9999999999999998.0, "9999999999999998.0"},
                {1e16, "1e+16"},
                {12345678901234567890.0, "1.2345678901234567e+19"},
                {0.30000000000000004, "0.30000000000000004"},
                {1.0 / 3, "0.3333333333333333"},
                {5e-324, "5e-324"},
                {1.7976931348623157e308, "1.7976931348623157e+308"},
                {123.456, "123.456"},
                {INFINITY, "inf"},
                {-INFINITY, "-inf"},
                {NAN, "nan"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[JINJA_PRINT_REAL];
        size_t len = jinja_print_real(rows[i].x, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(len, strlen(text));
    }
}

static void values_are_printed_as_python_does(void **state)
{
    static const struct {
        const char *json, *str, *repr;
    } rows[] = {{"null", "None", "None"},
                {"true", "True", "True"},
                {"-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
                {"12.0", "12.0", "12.0"},
                {"\"a\"", "a", "'a'"},
                {"\"it's\"", "it's", "\"it's\""},
                {"\"it's \\\"so\\\"\"", "it's \"so\"", "'it\\'s \"so\"'"},
                {"\"\\\\ \\n\\r\\t\\u0000\\u007f\\u0085\"", NULL,
                 "'\\\\ \\n\\r\\t\\x00\\x7f\\x85'"},
                {"\"é\\u00ad\\u200b\\u2028\\ufeff\\ue000日😀\"", NULL,
                 "'é\\xad\\u200b\\u2028\\ufeff\\ue000日😀'"},
                {"\"\\u00a0\\u3000\\udb40\\udc01\"", NULL, "'\\xa0\\u3000\\U000e0001'"},
                {"[]", "[]", "[]"},
                {"[1, \"b\", [null]]", "[1, 'b', [None]]", "[1, 'b', [None]]"},
                {"{}", "{}", "{}"},
                {"{\"k\": \"v\", \"x\": {\"y\": 1.5}}", "{'k': 'v', 'x': {'y': 1.5}}",
                 "{'k': 'v', 'x': {'y': 1.5}}"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jinja_value v = template_values_json(*state, rows[i].json);
        if (rows[i].str)
            assert_string_equal(printed(*state, jinja_print, v), rows[i].str);
        assert_string_equal(printed(*state, jinja_print_repr, v), rows[i].repr);
    }
}

static void undefined_is_nothing(void **state)
{
    struct jinja_value v = {0};
    assert_string_equal(printed(*state, jinja_print, v), "");
    assert_string_equal(printed(*state, jinja_print_repr, v), "Undefined");
}

static void tuples_and_ranges_have_their_own_form(void **state)
{
    struct jinja_value v = template_values_json(*state, "[1, 2]");
    v.kind = JINJA_TUPLE;
    assert_string_equal(printed(*state, jinja_print, v), "(1, 2)");
    v.list->n = 1;
    assert_string_equal(printed(*state, jinja_print, v), "(1,)");
    v.list->n = 0;
    assert_string_equal(printed(*state, jinja_print, v), "()");
    v = template_values_json(*state, "[\"a\"]");
    v.kind = JINJA_VIEW;
    v.list->type = "dict_keys";
    assert_string_equal(printed(*state, jinja_print, v), "dict_keys(['a'])");
    struct jinja_range range = {.start = 2, .stop = 12, .step = 3, .n = 4};
    v = (struct jinja_value){.kind = JINJA_RANGE, .range = &range};
    assert_string_equal(printed(*state, jinja_print, v), "range(2, 12, 3)");
    range.step = 1;
    assert_string_equal(printed(*state, jinja_print, v), "range(2, 12)");
}

static void ascii_escapes_the_rest(void **state)
{
    struct jinja_value v = template_values_json(*state, "[\"aé日😀\"]");
    assert_string_equal(printed(*state, jinja_print_ascii, v),
                        "['a\\xe9\\u65e5\\U0001f600']");
}

static void marks_follow_their_characters(void **state)
{
    struct template_values *t = *state;
    struct jinja_value v = jinja_list(&t->arena);
    jinja_list_add(&t->arena, v.list, template_values_text(t, "a<1|b\n>c<2|'d>"));
    assert_string_equal(printed(t, jinja_print, v), "[\"a<1|b\\n>c<2|'d>\"]");
    struct jinja_value d = jinja_dict(&t->arena);
    jinja_dict_put(&t->arena, d.dict, template_values_text(t, "<3|k>"), v);
    assert_string_equal(printed(t, jinja_print, d), "{'<3|k>': [\"a<1|b\\n>c<2|'d>\"]}");
}

static void a_namespace_that_holds_itself_ends(void **state)
{
    struct template_values *t = *state;
    struct jinja_value ns = jinja_dict(&t->arena), list = jinja_list(&t->arena);
    ns.kind = JINJA_NAMESPACE;
    jinja_dict_set(&t->arena, ns.dict, "x", jinja_int(1));
    assert_string_equal(printed(t, jinja_print, ns), "<Namespace {'x': 1}>");
    jinja_dict_set(&t->arena, ns.dict, "x", ns);
    assert_string_equal(printed(t, jinja_print, ns),
                        "<Namespace {'x': <Namespace {...}>}>");
    jinja_list_add(&t->arena, list.list, ns);
    jinja_dict_set(&t->arena, ns.dict, "x", list);
    assert_string_equal(printed(t, jinja_print, list), "[<Namespace {'x': [...]}>]");
}

static void deep_nesting_and_length_are_limited(void **state)
{
    struct template_values *t = *state;
    struct jinja_value v = jinja_list(&t->arena);
    for (int i = 0; i < 300; i++) {
        struct jinja_value outer = jinja_list(&t->arena);
        jinja_list_add(&t->arena, outer.list, v);
        v = outer;
    }
    assert_non_null(strstr(printed(t, jinja_print, v), "failed: a value is nested"));
    v = jinja_list(&t->arena);
    for (int i = 0; i < 40; i++) { /* 2^40 lists when printed */
        struct jinja_value outer = jinja_list(&t->arena);
        jinja_list_add(&t->arena, outer.list, v);
        jinja_list_add(&t->arena, outer.list, v);
        v = outer;
    }
    assert_non_null(strstr(printed(t, jinja_print, v), "failed: the limit of a text"));
}

static void types_have_pythons_names(void **state)
{
    static const char *const rows[][2] = {
        {"null", "NoneType"}, {"true", "bool"}, {"1", "int"},  {"1.0", "float"},
        {"\"\"", "str"},      {"[]", "list"},   {"{}", "dict"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(jinja_print_type(template_values_json(*state, rows[i][0])),
                            rows[i][1]);
    assert_string_equal(jinja_print_type((struct jinja_value){0}), "Undefined");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_values, close_values)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reals_have_their_shortest_digits),
        TEST(values_are_printed_as_python_does),
        TEST(undefined_is_nothing),
        TEST(tuples_and_ranges_have_their_own_form),
        TEST(ascii_escapes_the_rest),
        TEST(marks_follow_their_characters),
        TEST(a_namespace_that_holds_itself_ends),
        TEST(deep_nesting_and_length_are_limited),
        TEST(types_have_pythons_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
