/* Calls: macros, their arguments, bodies of call blocks, globals.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_call.h"
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

static void arguments_of_macros(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwarg"
         "s }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(1, b=5) }}|{{ m() }}"
         "|{{ m(1,2,3,4,5) }}|{{ m(1, q=3) }}|{{ m(c=1, a=2) }}",
         "121(){}|131(){}|151(){}|2(){}|123(4, 5){}|121(){'q': 3}|221(){}"},
        {"{% macro m(a, b) %}{{ a }}-{{ b }};{% endmacro %}{{ m(*[1, 2]) }}{{ "
         "m(**{'b': 1, 'a': 2}) }}{{ m(1, *[2]) }}{{ m(*(1,), b=3) }}",
         "1-2;2-1;1-2;1-3;"},
        {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% end"
         "macro %}{{ f(5) }}",
         "543210"},
        {"{% set f = 'abc'.upper %}{{ f() }}{% set g = d.get %}{{ g('k') }}", "ABCv"},
        {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
         "failed: line 1: m(1, 2): macro 'm' takes not more than 1 argument(s)"},
        {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, b=2) }}",
         "failed: line 1: m(1, b=2): macro 'm' takes no keyword argument 'b'"},
        {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
         "failed: line 1: m(1, a=2): macro 'm' takes no keyword argument 'a'"},
        {"{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}",
         "failed: line 1: a.x: 'a' is undefined"},
        {"{{ range(**l) }}",
         "failed: line 1: range(**l): argument after ** must be a mapping, not"
         " list"},
        {"{{ range(*x) }}", "failed: line 1: range(*x): 'int' object is not iterable"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void bodies_of_call_blocks(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% macro m(a) %}[{{ a }}{{ caller() }}]{% endmacro %}{% call m(1) %}"
         "body{{ x }}{% endcall %}",
         "[1body5]"},
        {"{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(p, q) m() %"
         "}{{ p }}{{ q }}{% endcall %}",
         "[12]"},
        {"{% macro m() %}[{{ caller }}]{% endmacro %}{{ m() }}", "[]"},
        {"{% macro o() %}{% for i in [1,2] %}{{ caller(i) }}{% endfor %}{% end"
         "macro %}{% call(i) o() %}<{{ i }}>{% endcall %}",
         "<1><2>"},
        {"{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}",
         "failed: line 1: m(): macro 'm' takes no keyword argument 'caller'"},
        {"{% macro m() %}{% macro p() %}{{ caller() }}{% endmacro %}{% call p("
         ") %}c{% endcall %}{% endmacro %}{% call m() %}{% endcall %}",
         "c"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void globals(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ dict(a=1) }}{{ dict([('a',1)]) }}{{ dict({'b':2}, c=3) }}{{ range"
         "(3)|list }}{{ range(1, 10, 3)|list }}{{ range(5, 0, -2)|list }}{{ ra"
         "nge(3)|length }}{{ range(5, 2)|list }}",
         "{'a': 1}{'a': 1}{'b': 2, 'c': 3}[0, 1, 2][1, 4, 7][5, 3, 1]3[]"},
        {"{{ range(100000)|length }}{{ strftime_now('%Y-%m-%d %H:%M:%S %B %j')"
         " }}",
         "1000002023-11-14 22:13:20 November 318"},
        {"{{ range(10**9) }}",
         "failed: line 1: range(10**9): a range of 1000000000 numbers, at most"
         " 100000"},
        {"{{ range(1,2,0) }}",
         "failed: line 1: range(1,2,0): range() arg 3 must not be zero"},
        {"{{ range('a') }}", "failed: line 1: range('a'): expected int, found str"},
        {"{{ dict(5) }}", "failed: line 1: dict(5): 'int' object is not iterable"},
        {"{{ raise_exception('hello ' ~ x) }}", "raised: hello 5"},
        {"{% for i in l %}{{ raise_exception(d) }}{% endfor %}",
         "raised: {'k': 'v', 'items': 1, 'n': None, 'f': 1.5}"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_of_macros),
        cmocka_unit_test(bodies_of_call_blocks),
        cmocka_unit_test(globals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
