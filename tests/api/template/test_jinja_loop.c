/* Loops: rounds, their variable, tests, jumps, recursion.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_loop.h"
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

static void the_variable_of_a_loop(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% for i in l %}{{ i }},{{ loop.index }},{{ loop.index0 }},{{ loop.f"
         "irst }},{{ loop.last }},{{ loop.length }},{{ loop.revindex }},{{ loo"
         "p.revindex0 }},{{ loop.depth }},{{ loop.previtem }},{{ loop.nextitem"
         " }};{% endfor %}",
         "3,1,0,True,False,3,3,2,1,,1;1,2,1,False,False,3,2,1,1,3,2;2,3,2,Fals"
         "e,True,3,1,0,1,1,;"},
        {"{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{{ i }"
         "}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}",
         "100 201 1110 211 2120 221 3"},
        {"{% for i in [1,1,2] %}{{ loop.changed(i) }}{{ loop.cycle('a','b') }}"
         "{% endfor %}",
         "TrueaFalsebTruea"},
        {"{% for i in [[1,[2]],[3]] recursive %}{{ loop.depth }}{% if i is ite"
         "rable %}{{ loop(i) }}{% else %}{{ i }}{% endif %}{% endfor %}",
         "121232123"},
        {"{% for a in l %}{{ loop.index }}{% for b in l if b > 1 %}{{ loop.ind"
         "ex }}{{ a }}{% else %}{{ loop.index }}{% endfor %}{% endfor %}",
         "113232112131222"},
        {"{% for i in l %}{% set last = loop.last %}{% if not last %}{{ i }},{"
         "% endif %}{% endfor %}{% for i in l|map('string') %}{{ i }}{{ loop.l"
         "ength }}{% endfor %}",
         "3,1,331323"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void what_loops_walk_over(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d"
         " %}{{ k }}{% endfor %}{% for k, v in d|items %}{{ k }}{% endfor %}{%"
         " for k, v in d|dictsort %}{{ k }}{% endfor %}",
         "k=v;items=1;n=None;f=1.5;kitemsnfkitemsnffitemskn"},
        {"{% for c in u %}{{ c }}.{% endfor %}{% for i in undefinedx %}x{% els"
         "e %}undef{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}",
         "Ä.Ö.日.本.😀.x.undefnone"},
        {"{% for a, b in [(1,2),(3,4)] %}{{ a }}{{ b }}{% endfor %}{{ a }}{% f"
         "or (a, (b, c)) in [(1,(2,3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
         "12341123"},
        {"{% set g = l|map('string') %}{% for i in g %}{{ i }}{% endfor %}{% f"
         "or i in g %}{{ i }}{% endfor %}|{{ g|list }}",
         "312|[]"},
        {"{% for i in 5 %}{% endfor %}",
         "failed: line 1: 5: 'int' object is not iterable"},
        {"{% for i in none %}{% endfor %}",
         "failed: line 1: none: 'NoneType' object is not iterable"},
        {"{% for a, b in [1] %}{% endfor %}",
         "failed: line 1: a, b: cannot unpack non-iterable int object"},
        {"{% for a, b in [(1,2,3)] %}{% endfor %}",
         "failed: line 1: a, b: too many values to unpack (expected 2)"},
        {"{% for a, b in [(1,)] %}{% endfor %}",
         "failed: line 1: a, b: not enough values to unpack (expected 2, got 1"
         ")"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void items_are_tested_as_they_come(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% for i in l if i > 1 %}{{ i }}{{ loop.last }}{{ loop.length }}{{ l"
         "oop.nextitem }}{% else %}none{% endfor %}",
         "3False222True2"},
        {"{% for i in l if i > 5 %}{{ i }}{% else %}none{% endfor %}{% for a, "
         "b in [(1,2),(3,4)] if a > 1 %}{{ b }}{% endfor %}",
         "none4"},
        {"{% for i in range(5) if i % 2 %}{{ i }}{{ loop.previtem }}{{ loop.ne"
         "xtitem }}{{ i }};{% endfor %}",
         "131;313;"},
        {"{% set ns = namespace(go=true) %}{% for i in l if ns.go %}{{ i }}{% "
         "if i == 1 %}{% set ns.go = false %}{% endif %}{% endfor %}",
         "31"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void jumps_and_else(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% el"
         "se %}E{% endfor %}",
         "32"},
        {"{% for i in [1] %}{% continue %}{% else %}E{% endfor %}{% for i in ["
         "1] %}{% break %}{% else %}E{% endfor %}{% for i in [1,2] %}{% if i ="
         "= 2 %}{% break %}{% endif %}{% else %}E{% endfor %}",
         "EE"},
        {"{% for i in [1,2] %}{% set z %}{{ i }}{% if i == 1 %}{% continue %}{"
         "% endif %}{% endset %}{{ z }}{% endfor %}",
         "2"},
        {"{% for i in [1,2,3] %}{% for j in [1,2] %}{% if j == 2 %}{% break %}"
         "{% endif %}{{ i }}{{ j }}{% endfor %}{% if i == 2 %}{% break %}{% en"
         "dif %}{% endfor %}",
         "1121"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_variable_of_a_loop),
        cmocka_unit_test(what_loops_walk_over),
        cmocka_unit_test(items_are_tested_as_they_come),
        cmocka_unit_test(jumps_and_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
