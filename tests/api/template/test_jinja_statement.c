/* Statements: if, for, set, blocks with bodies, jumps.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_statement.h"
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

static void branches(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% if x %}a{% elif y %}b{% else %}c{% endif %}{% if e %}a{% elif x %"
         "}b{% else %}c{% endif %}{% if e %}a{% elif n %}b{% elif q %}d{% else"
         " %}c{% endif %}",
         "abc"},
        {"{% if e %}a{% endif %}{% if 0.0 %}a{% endif %}{% if '' %}a{% endif %"
         "}{% if {} %}a{% endif %}{% if ' ' %}b{% endif %}{% if range(0) %}a{%"
         " endif %}",
         "b"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void targets_are_unpacked(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (a, b) = (b, a) %}{{ a }}{"
         "{ b }}{% set q, (r, s) = [1, 'xy'] %}{{ q }}{{ r }}{{ s }}",
         "12211xy"},
        {"{% set ns = namespace(c=0, d='x') %}{% for i in l %}{% set ns.c = ns"
         ".c + i %}{% endfor %}{{ ns.c }}{{ ns['c'] }}{{ ns.nope }}{{ ns.d }}",
         "66x"},
        {"{% set ns = namespace({'a':1}, b=2) %}{{ ns.a }}{{ ns.b }}{% set ns."
         "a, q = 5, 6 %}{{ ns.a }}{{ q }}",
         "1256"},
        {"{% set a, b = 1 %}",
         "failed: line 1: a, b: cannot unpack non-iterable int object"},
        {"{% set a, b = [1] %}",
         "failed: line 1: a, b: not enough values to unpack (expected 2, got 1"
         ")"},
        {"{% set a, b = [1, 2, 3] %}",
         "failed: line 1: a, b: too many values to unpack (expected 2)"},
        {"{% set d.k = 1 %}",
         "failed: line 1: d.k: cannot assign attribute on non-namespace object"},
        {"{% set nsx.k = 1 %}",
         "failed: line 1: nsx.k: cannot assign attribute on non-namespace obje"
         "ct"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void bodies_become_values(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% set z %}a{{ x }}b{% endset %}{{ z }}{{ z|length }}{% set z | uppe"
         "r | replace('A', 'q') %}abc{% endset %}{{ z }}",
         "a5b3qBC"},
        {"{% filter upper %}abc{{ b }}{% endfilter %}{% filter replace('a', 'b"
         "')|upper %}aaa{% endfilter %}",
         "ABCTEXTBBB"},
        {"{% generation %}x{{ b }}{% set q = 1 %}{% endgeneration %}{{ q }}{% "
         "for i in [1,2] %}{% generation %}{{ i }}{{ loop.index }}{% endgenera"
         "tion %}{% endfor %}",
         "xtext1122"},
        {"{% with q = 5, r = x %}{{ q }}{{ r }}{% endwith %}{{ q }}{% print 1,"
         " 2 %}",
         "5512"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void sources_that_are_no_statements(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% nope %}", "failed: line 1: unknown tag 'nope'"},
        {"{% if %}{% endif %}", "failed: line 1: expected an expression, found '%}'"},
        {"{% for x %}{% endfor %}", "failed: line 1: expected 'in', found '%}'"},
        {"{% if x %}", "failed: line 1: the template ends before 'endif'"},
        {"{% endif %}", "failed: line 1: unknown tag 'endif'"},
        {"{% set 5 = 1 %}", "failed: line 1: cannot assign to '5'"},
        {"{% set a.b.c = 1 %}", "failed: line 1: expected '%}', found '.'"},
        {"{% for loop in l %}{% endfor %}", "failed: line 1: cannot assign to 'loop'"},
        {"{% break %}", "failed: line 1: 'break' outside of a loop"},
        {"{% macro m() %}{% continue %}{% endmacro %}",
         "failed: line 1: 'continue' outside of a loop"},
        {"{% macro m(a=1, b) %}{% endmacro %}",
         "failed: line 1: a parameter without default behind one with a defaul"
         "t"},
        {"{% call 5 %}{% endcall %}", "failed: line 1: {% call %} expects a call"},
        {"{% for x in l %}{% endif %}",
         "failed: line 1: unknown tag 'endif', expected 'endfor'"},
        {"{% for x in l %}{% for y in l %}{% endfor %}",
         "failed: line 1: the template ends before 'endfor'"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches),
        cmocka_unit_test(targets_are_unpacked),
        cmocka_unit_test(bodies_become_values),
        cmocka_unit_test(sources_that_are_no_statements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
