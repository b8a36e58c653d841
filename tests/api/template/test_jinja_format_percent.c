/* The % operator of texts; what is expected was printed by Python 3.11.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_format_percent.h"
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

static const char *formatted(struct template_values *t, const char *format,
                             const char *args, bool tuple)
{
    struct jinja_value v = template_values_json(t, args);
    if (tuple)
        v.kind = JINJA_TUPLE;
    struct jinja_value f = template_values_text(t, format);
    return template_values_shown(t, jinja_format_percent(&t->render, f.string, v));
}

static void conversions_are_pythons(void **state)
{
    static const struct {
        const char *format, *args;
        bool tuple;
        const char *expected;
    } rows[] = {
        {"%s", "[1]", true, "1"},
        {"%s", "[1]", false, "[1]"},
        {"%d items", "[3]", true, "3 items"},
        {"%s and %r", "[\"a\",\"b\"]", true, "a and 'b'"},
        {"%5.1f|", "[3.14159]", true, "  3.1|"},
        {"%05d|%-5d|%+d|% d|%5d", "[42,42,42,42,-42]", true, "00042|42   |+42| 42|  -42"},
        {"%x %X %o %#x %#o", "[255,255,8,255,8]", true, "ff FF 10 0xff 0o10"},
        {"%i %u", "[3,4]", true, "3 4"},
        {"%.3d", "[7]", true, "007"},
        {"%e %E %g %G", "[12345.678,12345.678,1e16,1e-5]", true,
         "1.234568e+04 1.234568E+04 1e+16 1E-05"},
        {"%f", "[1]", true, "1.000000"},
        {"%d", "[3.99]", true, "3"},
        {"%d", "[-3.99]", true, "-3"},
        {"%d", "[1e20]", true, "100000000000000000000"},
        {"%d", "[true]", true, "1"},
        {"%c%c", "[65,\"é\"]", true, "Aé"},
        {"%5c|", "[\"x\"]", true, "    x|"},
        {"%%", "[]", true, "%"},
        {"100%% of %s", "[\"a\"]", true, "100% of a"},
        {"%.2s|%5s|%-5s|%05s", "[\"日本語\",\"日\",\"日\",\"a\"]", true,
         "日本|    日|日    |    a"},
        {"%*d|%-*d|%.*f", "[5,1,5,2,2,1.005]", true, "    1|2    |1.00"},
        {"%(a)s-%(b)d", "{\"a\":\"x\",\"b\":2}", false, "x-2"},
        {"%(a(b))s", "{\"a(b)\":1}", false, "1"},
        {"none", "[1]", false, "none"},
        {"none", "{\"a\":1}", false, "none"},
        {"%s", "{\"a\":1}", false, "{'a': 1}"},
        {"%a", "[\"é\"]", true, "'\\xe9'"},
        {"%+.2e", "[0]", true, "+0.00e+00"},
        {"%010.2f|%-10.2f|%+010.2f", "[-3.14159,3.5,3.5]", true,
         "-000003.14|3.50      |+000003.50"},
        {"%#x|%08x|%#08x|%-#8x|", "[255,-255,255,255]", true,
         "0xff|-00000ff|0x0000ff|0xff    |"},
        {"%ld", "[1]", true, "1"},
        {"%#.0f|%#g", "[1,1]", true, "1.|1.00000"},
        {"%05d", "[-3]", true, "-0003"},
        {"%s %s", "[null,true]", true, "None True"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(
            formatted(*state, rows[i].format, rows[i].args, rows[i].tuple),
            rows[i].expected);
}

static void what_python_refuses_fails(void **state)
{
    static const struct {
        const char *format, *args;
        bool tuple;
    } rows[] = {
        {"%d", "[\"3\"]", true},
        {"%x", "[1.5]", true},
        {"%f", "[null]", true},
        {"%s %s", "[1]", true},
        {"%s", "[1,2]", true},
        {"none", "[1]", true},
        {"%y", "[1]", true},
        {"%", "[1]", true},
        {"%(a)s", "[1]", true},
        {"%(b)s", "{\"a\":1}", false},
        {"%(a", "{\"a\":1}", false},
        {"%c", "[\"ab\"]", true},
        {"%c", "[-1]", true},
        {"%*d", "[\"a\",1]", true},
        {"%99999999999d", "[1]", true},
        {"%(a)s %s", "{\"a\":1}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_non_null(strstr(
            formatted(*state, rows[i].format, rows[i].args, rows[i].tuple), "failed: "));
}

static void widths_are_limited(void **state)
{
    static const char *const formats[] = {"%99999d", "%99999s", "%.99999f", "%.99999d"};
    for (size_t i = 0; i < 4; i++)
        assert_non_null(strstr(formatted(*state, formats[i], "[1]", true), "failed: "));
}

static void marks_follow_their_characters(void **state)
{
    struct template_values *t = *state;
    struct jinja_value args = jinja_list(&t->arena);
    args.kind = JINJA_TUPLE;
    jinja_list_add(&t->arena, args.list, template_values_text(t, "<1|x>y"));
    jinja_list_add(&t->arena, args.list, template_values_text(t, "<2|'>"));
    struct jinja_value f = template_values_text(t, "a<3|b%%>%4s%r");
    assert_string_equal(
        template_values_shown(t, jinja_format_percent(&t->render, f.string, args)),
        "a<3|b%>  <1|x>y\"<2|'>\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_values, close_values)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(conversions_are_pythons),
        TEST(what_python_refuses_fails),
        TEST(widths_are_limited),
        TEST(marks_follow_their_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
