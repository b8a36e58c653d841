/* strftime; what is expected was printed by Python 3.11 in its C locale.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_time.h"
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

enum { MOMENT = 1720148649 }; /* Friday, 5 July 2024, 03:04:09 */

static const char *printed(struct template_values *t, const char *format, int64_t now_s)
{
    struct jinja_value v = template_values_text(t, format);
    return template_values_shown(t, jinja_time(&t->render, v.string, now_s));
}

static void directives_are_pythons(void **state)
{
    static const char *const rows[][2] = {
        {"%a", "Fri"},
        {"%A", "Friday"},
        {"%b", "Jul"},
        {"%B", "July"},
        {"%c", "Fri Jul  5 03:04:09 2024"},
        {"%C", "20"},
        {"%d", "05"},
        {"%D", "07/05/24"},
        {"%e", " 5"},
        {"%F", "2024-07-05"},
        {"%g", "24"},
        {"%G", "2024"},
        {"%h", "Jul"},
        {"%H", "03"},
        {"%I", "03"},
        {"%j", "187"},
        {"%k", " 3"},
        {"%l", " 3"},
        {"%m", "07"},
        {"%M", "04"},
        {"%n", "\n"},
        {"%p", "AM"},
        {"%P", "am"},
        {"%r", "03:04:09 AM"},
        {"%R", "03:04"},
        {"%S", "09"},
        {"%t", "\t"},
        {"%T", "03:04:09"},
        {"%u", "5"},
        {"%U", "26"},
        {"%V", "27"},
        {"%w", "5"},
        {"%W", "27"},
        {"%x", "07/05/24"},
        {"%X", "03:04:09"},
        {"%y", "24"},
        {"%Y", "2024"},
        {"%z", ""},
        {"%Z", ""},
        {"%f", "000000"},
        {"%-d", "5"},
        {"%_d", " 5"},
        {"%^a", "FRI"},
        {"%#Z", ""},
        {"%Ey", "24"},
        {"%10Y", "0000002024"},
        {"%%", "%"},
        {"%Q", "%Q"},
        {"%", "%"},
        {"%5", "   %5"},
        {"%s", "1720148649"},
        {"a%", "a%"},
        {"", ""},
        {"%d %b %Y", "05 Jul 2024"},
        {"%A, %B %d, %Y", "Friday, July 05, 2024"},
        {"é%Yé", "é2024é"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(printed(*state, rows[i][0], MOMENT), rows[i][1]);
}

static void times_before_1970_have_dates(void **state)
{
    assert_string_equal(printed(*state, "%F %T", -1), "1969-12-31 23:59:59");
    assert_string_equal(printed(*state, "%F", 0), "1970-01-01");
}

static void what_cannot_be_printed_is_refused(void **state)
{
    assert_non_null(strstr(printed(*state, "%F", INT64_MAX), "is beyond years"));
    assert_non_null(strstr(printed(*state, "%9999d", 0), "failed: strftime"));
    assert_non_null(
        strstr(printed(*state, "%_____________________d", 0), "failed: strftime"));
}

static void marks_follow_their_directives(void **state)
{
    assert_string_equal(printed(*state, "a<1|%Y>-%m<2|x>", MOMENT), "a<1|2024>-07<2|x>");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_values, close_values)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(directives_are_pythons),
        TEST(times_before_1970_have_dates),
        TEST(what_cannot_be_printed_is_refused),
        TEST(marks_follow_their_directives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
