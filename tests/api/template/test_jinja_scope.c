/* Scopes: what a name means, and when it is set.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_scope.h"
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

static void loops_keep_what_they_set(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = i + 5 %}{{ x }}"
         "{% endfor %}{{ x }}",
         "16171"},
        {"{% for i in [1,2] %}{% if i == 1 %}{% set y = i %}{% endif %}{{ y }}"
         "{% endfor %}|{{ y }}",
         "1|"},
        {"{% for i in [1,2] %}{% if i == 1 %}{% set x = i %}{% endif %}{{ x }}"
         "{% endfor %}|{{ x }}",
         "15|5"},
        {"{% for i in [1] %}{{ i }}{% endfor %}{{ i }}{% for x in [1] %}{{ x }"
         "}{% endfor %}{{ x }}",
         "115"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void names_written_later_begin_undefined(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% for i in [1] %}[{{ x }}]{% endfor %}{% set x = 1 %}", "[]"},
        {"{% macro m() %}[{{ x }}]{% endmacro %}{{ m() }}{% set x = 1 %}{{ m()"
         " }}",
         "[][1]"},
        {"{{ x }}{% set x = 1 %}{{ x }}{% if false %}{% set q = 1 %}{% endif %"
         "}{{ q }}{% if true %}{% set q = 2 %}{% endif %}{{ q }}",
         "512"},
        {"{% if false %}{% set x = 1 %}{% endif %}{{ x }}{% if true %}{% set x"
         " = 2 %}{% else %}{% set x = 3 %}{% endif %}{{ x }}",
         "52"},
        {"{% set x = x if x else 7 %}{{ x }}{% set q = q|default(3) %}{{ q }}", "53"},
        {"{% for i in [1,2] %}{{ x }}{% if i == 2 %}{% set x = 9 %}{% endif %}"
         "{{ x }}{% endfor %}",
         "5559"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void blocks_and_macros_keep_what_they_set(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% macro m() %}{% set x = 9 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", "95"},
        {"{% set z %}{% set x = 9 %}{{ x }}{% endset %}{{ z }}{{ x }}{% filter"
         " upper %}{% set x = 'q' %}{{ x }}{% endfilter %}{{ x }}",
         "95Q5"},
        {"{% for i in [1,2] %}{% macro m() %}{{ i }}{{ loop.index }}{% endmacr"
         "o %}{{ m() }}{% endfor %}",
         "1122"},
        {"{% macro outer() %}{% macro inner(x) %}{{ x }}{% endmacro %}{{ inner"
         "(4) }}{{ x }}{% endmacro %}{{ outer() }}",
         "45"},
        {"{% set f = namespace(m=none) %}{% macro a1() %}A{{ x }}{% endmacro %"
         "}{% set f.m = a1 %}{% set x = 8 %}{{ f.m() }}",
         "A8"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_keep_what_they_set),
        cmocka_unit_test(names_written_later_begin_undefined),
        cmocka_unit_test(blocks_and_macros_keep_what_they_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
