/* Tests by `is`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_test.h"
#include "tests/lib/template_run.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char vars[] =
    "{\"a\": 1, \"b\": \"text\", \"x\": 5, \"l\": [3, 1, 2], \"d\": {\"k"
    "\": \"v\", \"items\": 1, \"n\": null, \"f\": 1.5}, \"e\": [], \"s\":"
    " \" Hello World \\n\", \"msgs\": [{\"role\": \"system\", \"content\""
    ": \"S\"}, {\"role\": \"user\", \"content\": \"U\", \"tool_calls\": ["
    "{\"function\": {\"name\": \"f\", \"arguments\": {\"z\": 1, \"a\": \""
    "é\"}}}]}, {\"role\": \"assistant\", \"content\": null}], \"t\": true"
    ", \"n\": null, \"m\": \"<b>&</b>\", \"u\": \"ÄÖ日本😀x\"}";

static void tests_hold_as_in_jinja2(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ x is defined }}{{ undefinedx is defined }}{{ undefinedx is undefi"
         "ned }}{{ n is none }}{{ b is string }}{{ 1 is number }}{{ true is nu"
         "mber }}{{ d is mapping }}{{ l is mapping }}",
         "TrueFalseTrueTrueTrueTrueTrueTrueFalse"},
        {"{{ l is iterable }}{{ b is iterable }}{{ 5 is iterable }}{{ undefine"
         "dx is iterable }}{{ d.items() is iterable }}{{ l is sequence }}{{ b "
         "is sequence }}{{ d is sequence }}{{ undefinedx is sequence }}{{ d.it"
         "ems() is sequence }}{{ (l|map('string')) is sequence }}{{ n is seque"
         "nce }}",
         "TrueTrueFalseTrueTrueTrueTrueTrueTrueFalseFalseFalse"},
        {"{{ true is boolean }}{{ 1 is boolean }}{{ true is true }}{{ false is"
         " false }}{{ 1 is true }}{{ 0 is false }}{{ false is true }}{{ true i"
         "s false }}{{ 1 is integer }}{{ true is integer }}{{ 1.0 is float }}",
         "TrueFalseTrueTrueFalseFalseFalseFalseTrueFalseTrue"},
        {"{{ x is eq 5 }}{{ x is equalto(5) }}{{ x is ne 5 }}{{ 3 is gt 2 }}{{"
         " 3 is lt 2 }}{{ 3 is ge 3 }}{{ 3 is le 2 }}{{ 1 is in [1] }}{{ 3 is "
         "odd }}{{ 4 is even }}{{ 4 is divisibleby 2 }}",
         "TrueTrueFalseTrueFalseTrueFalseTrueTrueTrueTrue"},
        {"{{ x is not defined }}{{ not x is defined }}{{ none is sameas none }"
         "}{{ x is callable }}{{ range is callable }}{{ 'upper' is filter }}{{"
         " 'nope' is filter }}{{ 'odd' is test }}",
         "FalseFalseTrueFalseTrueTrueFalseTrue"},
        {"{% if false and x is nope %}{% endif %}{{ false and (x is nope) }}", "False"},
        {"{{ x is nope }}", "failed: line 1: x is nope: there is no test 'nope'"},
        {"{{ 'a' is odd }}",
         "failed: line 1: 'a' is odd: not all arguments converted during strin"
         "g formatting"},
        {"{{ x is eq }}", "failed: line 1: x is eq: eq() needs 1 arguments"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tests_hold_as_in_jinja2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
