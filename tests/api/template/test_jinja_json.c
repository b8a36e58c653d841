/* JSON as Python's json.dumps writes it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_json.h"
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

static const char *dumped(struct template_values *t, struct jinja_value v,
                          struct jinja_json_style style)
{
    struct jinja_builder b;
    jinja_string_begin(&b, &t->render);
    jinja_json(&b, v, &style);
    return template_values_shown(t, jinja_string_end(&b));
}

static void values_are_dumped_on_one_line(void **state)
{
    static const char *const rows[][2] = {
        {"null", "null"},
        {"[true,false,null,1,1.0,1e-7,-2.5e20]",
         "[true, false, null, 1, 1.0, 1e-07, -2.5e+20]"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"{\"a\":{\"b\":[]},\"c\":[{}]}", "{\"a\": {\"b\": []}, \"c\": [{}]}"},
        {"\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\\u2028é😀'&<>\"",
         "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\xe2\x80\xa8é😀'&<>\""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(dumped(*state, template_values_json(*state, rows[i][0]),
                                   (struct jinja_json_style){0}),
                            rows[i][1]);
}

static void ascii_is_for_those_who_ask(void **state)
{
    struct jinja_value v = template_values_json(*state, "\"\\u007fé日😀\"");
    assert_string_equal(
        dumped(*state, v, (struct jinja_json_style){.ensure_ascii = true}),
        "\"\\u007f\\u00e9\\u65e5\\ud83d\\ude00\"");
}

static void indents_change_the_item_separator(void **state)
{
    struct jinja_string two = {.text = "  ", .len = 2}, none = {.text = ""};
    struct jinja_value v =
        template_values_json(*state, "{\"a\":[1,{\"b\":2}],\"c\":[],\"d\":{}}");
    assert_string_equal(dumped(*state, v, (struct jinja_json_style){.indent = &two}),
                        "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n"
                        "  \"c\": [],\n  \"d\": {}\n}");
    v = template_values_json(*state, "[1,2]");
    assert_string_equal(dumped(*state, v, (struct jinja_json_style){.indent = &none}),
                        "[\n1,\n2\n]");
}

static void separators_are_taken_as_given(void **state)
{
    struct jinja_string item = {.text = ";", .len = 1}, key = {.text = "=", .len = 1};
    struct jinja_value v = template_values_json(*state, "{\"a\":1,\"b\":[2,3]}");
    struct jinja_json_style style = {.item_separator = &item, .key_separator = &key};
    assert_string_equal(dumped(*state, v, style), "{\"a\"=1;\"b\"=[2;3]}");
}

static void keys_that_are_no_texts_become_some(void **state)
{
    struct template_values *t = *state;
    struct jinja_value d = jinja_dict(&t->arena);
    struct jinja_value keys[] = {jinja_none(), jinja_bool(true), jinja_int(-3),
                                 jinja_real(1.5), jinja_real(INFINITY)};
    for (size_t i = 0; i < 5; i++)
        jinja_dict_put(&t->arena, d.dict, keys[i], jinja_int((int64_t)i));
    assert_string_equal(
        dumped(t, d, (struct jinja_json_style){0}),
        "{\"null\": 0, \"true\": 1, \"-3\": 2, \"1.5\": 3, \"Infinity\": 4}");
    jinja_dict_put(
        &t->arena, d.dict,
        (struct jinja_value){.kind = JINJA_TUPLE, .list = &(struct jinja_list){0}},
        jinja_none());
    assert_string_equal(dumped(t, d, (struct jinja_json_style){0}),
                        "failed: keys must be str, int, float, bool or None, not tuple");
}

static void keys_are_sorted_if_they_compare(void **state)
{
    struct template_values *t = *state;
    struct jinja_json_style style = {.sort_keys = true};
    struct jinja_value v = template_values_json(
        t, "{\"b\":1,\"a\":{\"z\":1,\"y\":2},\"ab\":0,\"é\":3,\"\":4}");
    assert_string_equal(
        dumped(t, v, style),
        "{\"\": 4, \"a\": {\"y\": 2, \"z\": 1}, \"ab\": 0, \"b\": 1, \"é\": 3}");
    struct jinja_value d = jinja_dict(&t->arena);
    jinja_dict_put(&t->arena, d.dict, jinja_int(2), jinja_none());
    jinja_dict_put(&t->arena, d.dict, jinja_real(0.5), jinja_none());
    jinja_dict_put(&t->arena, d.dict, jinja_bool(true), jinja_none());
    assert_string_equal(dumped(t, d, style),
                        "{\"0.5\": null, \"true\": null, \"2\": null}");
    jinja_dict_set(&t->arena, d.dict, "a", jinja_none());
    assert_string_equal(dumped(t, d, style),
                        "failed: keys of different types cannot be sorted");
}

static void what_has_no_form_is_refused(void **state)
{
    struct template_values *t = *state;
    struct jinja_json_style style = {0};
    struct jinja_value list = jinja_list(&t->arena);
    jinja_list_add(&t->arena, list.list, (struct jinja_value){0});
    assert_string_equal(dumped(t, list, style),
                        "failed: Object of type Undefined is not JSON serializable");
    struct jinja_value ns = jinja_dict(&t->arena);
    ns.kind = JINJA_NAMESPACE;
    assert_string_equal(dumped(t, ns, style),
                        "failed: Object of type Namespace is not JSON serializable");
    list.list->n = 0;
    for (int i = 0; i < 300; i++) {
        struct jinja_value outer = jinja_list(&t->arena);
        jinja_list_add(&t->arena, outer.list, list);
        list = outer;
    }
    assert_string_equal(dumped(t, list, style),
                        "failed: a value is nested too deeply for JSON");
}

static void numbers_beyond_json_are_pythons(void **state)
{
    struct template_values *t = *state;
    struct jinja_value list = jinja_list(&t->arena);
    jinja_list_add(&t->arena, list.list, jinja_real(NAN));
    jinja_list_add(&t->arena, list.list, jinja_real(-INFINITY));
    list.kind = JINJA_TUPLE;
    assert_string_equal(dumped(t, list, (struct jinja_json_style){0}),
                        "[NaN, -Infinity]");
}

static void marks_follow_their_characters(void **state)
{
    struct template_values *t = *state;
    struct jinja_value d = jinja_dict(&t->arena);
    jinja_dict_put(&t->arena, d.dict, template_values_text(t, "k<1|e\">y"),
                   template_values_text(t, "<2|\n😀>-<3|v>"));
    assert_string_equal(dumped(t, d, (struct jinja_json_style){.ensure_ascii = true}),
                        "{\"k<1|e\\\">y\": \"<2|\\n\\ud83d\\ude00>-<3|v>\"}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_values, close_values)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_are_dumped_on_one_line),      TEST(ascii_is_for_those_who_ask),
        TEST(indents_change_the_item_separator),  TEST(separators_are_taken_as_given),
        TEST(keys_that_are_no_texts_become_some), TEST(keys_are_sorted_if_they_compare),
        TEST(what_has_no_form_is_refused),        TEST(numbers_beyond_json_are_pythons),
        TEST(marks_follow_their_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
