/* str.format(); what is expected was printed by Python 3.11.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_format_braces.h"
#include "tests/lib/template_values.h"

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

static const char named[] = "{\"n\":\"N\",\"w\":6,\"d\":{\"k\":\"v\"},\"l\":[1,2]}";

static const char *formatted(struct template_values *t, const char *format,
                             const char *args)
{
    const struct jinja_list *list = template_values_json(t, args).list;
    struct jinja_value f = template_values_text(t, format);
    return template_values_shown(
        t, jinja_format_braces(&t->render, f.string, list->items, list->n,
                               template_values_json(t, named).dict));
}

static void fields_are_pythons(void **state)
{
    static const char *const rows[][3] = {
        {"{} {}", "[1,\"a\"]", "1 a"},
        {"{1}{0}", "[1,2]", "21"},
        {"{{}} {}", "[1]", "{} 1"},
        {"{n} {d[k]} {d[k]!r} {l[1]}", "[]", "N v 'v' 2"},
        {"{:5}|{:<5}|{:>5}|{:^5}|", "[\"a\",\"b\",\"c\",\"d\"]",
         "a    |b    |    c|  d  |"},
        {"{:5}|{:<5}|{:^5}|{:05}|{:=+5}|", "[1,2,3,-4,5]",
         "    1|2    |  3  |-0004|+   5|"},
        {"{:*^7}|{:é>4}", "[\"日\",1]", "***日***|ééé1"},
        {"{:.2}", "[\"abc\"]", "ab"},
        {"{:d} {:x} {:X} {:o} {:b} {:c} {:n}", "[10,255,255,8,5,65,7]",
         "10 ff FF 10 101 A 7"},
        {"{:#x} {:#b} {:#o} {:#010x}", "[255,5,8,255]", "0xff 0b101 0o10 0x000000ff"},
        {"{:,} {:_} {:,.2f} {:010,} {:_x}", "[1234567,1234567,1234567.891,1234,1048575]",
         "1,234,567 1_234_567 1,234,567.89 00,001,234 f_ffff"},
        {"{:f} {:.1f} {:e} {:g} {:%} {:.0%} {:F}", "[1.5,2.25,12345.678,1e16,0.25,0.5,1]",
         "1.500000 2.2 1.234568e+04 1e+16 25.000000% 50% 1.000000"},
        {"{:.3} {:.3} {:} {:8} {:.5}", "[1.0,12345.678,2.5,2.5,1e-7]",
         "1.0 1.23e+04 2.5      2.5 1e-07"},
        {"{:+} {: } {:-}", "[1,2,-3]", "+1  2 -3"},
        {"{!r} {!s} {!a}", "[\"é\",\"é\",\"é\"]", "'é' é '\\xe9'"},
        {"{:{}}|", "[\"a\",4]", "a   |"},
        {"{:>{w}}", "[1]", "     1"},
        {"{} {} {}", "[null,true,[1]]", "None True [1]"},
        {"{:5}|{:d}", "[true,true]", "    1|1"},
        {"{:.2f}", "[3]", "3.00"},
        {"{:s}", "[\"a\"]", "a"},
        {"{:.1}", "[1e10]", "1e+10"},
        {"{:.0}", "[5.0]", "5e+00"},
        {"{:06.1f}|{:+06.1f}", "[-2.5,2.5]", "-002.5|+002.5"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(formatted(*state, rows[i][0], rows[i][1]), rows[i][2]);
}

static void what_python_refuses_fails(void **state)
{
    static const char *const rows[][2] = {
        {"{", "[1]"},
        {"}", "[1]"},
        {"{}", "[]"},
        {"{2}", "[1]"},
        {"{x}", "[1]"},
        {"{} {0}", "[1]"},
        {"{!x}", "[1]"},
        {"{!r", "[1]"},
        {"{:d}", "[\"a\"]"},
        {"{:s}", "[1]"},
        {"{:.2d}", "[1]"},
        {"{:,x}", "[1]"},
        {"{:=5}", "[\"a\"]"},
        {"{:+}", "[\"a\"]"},
        {"{:5}", "[null]"},
        {"{:5}", "[[1]]"},
        {"{:d}", "[1.5]"},
        {"{0[}", "[1]"},
        {"{[0]}", "[[1]]"},
        {"{:{:{}}}", "[1,2,3]"},
        {"{:99999999999}", "[1]"},
        {"{:zz}", "[1]"},
        {"{:5.}", "[1.0]"},
        {"{d[k]x}", "[]"},
        {"{d.}", "[]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_non_null(strstr(formatted(*state, rows[i][0], rows[i][1]), "failed: "));
}

static void widths_are_limited(void **state)
{
    static const char *const formats[] = {"{:99999}", "{:.99999f}", "{:09999,}"};
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(formatted(*state, formats[i], "[1]"), "failed: "));
}

static void marks_follow_their_characters(void **state)
{
    struct template_values *t = *state;
    struct jinja_value f = template_values_text(t, "<3|a{}>b{!r:>6}");
    struct jinja_value args[] = {template_values_text(t, "<1|x>y"),
                                 template_values_text(t, "<2|z>")};
    assert_string_equal(template_values_shown(
                            t, jinja_format_braces(&t->render, f.string, args, 2, NULL)),
                        "<3|a><1|x>yb   '<2|z>'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_values, close_values)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_are_pythons),
        TEST(what_python_refuses_fails),
        TEST(widths_are_limited),
        TEST(marks_follow_their_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
