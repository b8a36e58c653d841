/* Expressions: precedence, operators, items, printed values.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_expression.h"
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

static void operators_bind_as_in_jinja2(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 5 % -3 }}"
         " {{ 7 / 2 }} {{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ 10 / 5 }}",
         "7 3 -4 2 -1 3.5 64 0.5 2.0"},
        {"{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 5.5 % 2 }} {{ 0.1 + 0.2 }} {{ 1e16 "
         "}} {{ 1.5e300 * 1e10 }} {{ 10 ** 18 }}",
         "3.0 0.5 1.5 0.30000000000000004 1e+16 inf 1000000000000000000"},
        {"{{ true + true }}{{ true * 3 }}{{ -true }}{{ - 5 }}{{ +5 }}{{ --5 }}"
         "{{ -1|abs }}",
         "23-1-5551"},
        {"{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} "
         "{{ 3 in l }} {{ 'k' in d }} {{ 'ex' in b }} {{ 9 not in l }} {{ not "
         "1 in l }}",
         "True False True True True True True True False"},
        {"{{ 1 if false }}|{{ 1 if true else 2 }}|{{ 1 if false else 2 if fals"
         "e else 3 }}|{{ (1 if true else 2) + 3 }}|{{ 1 + 2 if true else 4 }}",
         "|1|3|4|3"},
        {"{{ x is defined and b is string or false }}{{ not x is defined }}{{ "
         "3 and 4 }}{{ 0 or '' }}{{ not 0 }}",
         "TrueFalse4True"},
        {"{{ 'a' ~ 1 ~ none ~ undefinedx ~ [1] }} {{ 'a' * 3 }} {{ 2 * 'ab' }}"
         " {{ [1] * 2 }} {{ [1] + [2] }} {{ (1,2) + (3,) }} {{ 'a' * -1 }}",
         "a1None[1] aaa abab [1, 1] [1, 2] (1, 2, 3) "},
        {"{{ 'a' + 'b' + 'c' + b + 'd' }}{{ ('<'|safe) + '<' + '>' }}{{ '<' + "
         "'>' + ('<'|safe) }}{{ 1 + 2 + 3.5 + true }}",
         "abctextd<&lt;&gt;&lt;&gt;<7.5"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void equality_is_across_types(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ 1 == 1.0 }} {{ true == 1 }} {{ '' == false }} {{ [1] == [1.0] }} "
         "{{ (1,) == [1] }} {{ {'a':1} == {'a':1.0} }} {{ none == undefinedx }"
         "} {{ u1 == u2 }}",
         "True True False True False True False True"},
        {"{{ {1: 2}[1.0] }} {{ {1:2}[true] }} {{ 'a' != 1 }} {{ l == [3,1,2] }"
         "} {{ d == d }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ range(3"
         ") == range(0, 3) }}",
         "2 2 True True True True True"},
        {"{{ 'k' in d.keys() }}{{ ('k','v') in d.items() }}{{ 'a' in undefined"
         "x }}{{ undefinedx == none }}{{ 2.0 in [1, 2] }}",
         "TrueTrueFalseFalseTrue"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void values_are_printed_as_python_does(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ a }}{{ b }}{{ undefinedx }}{{ n }}{{ t }}{{ d }}{{ l }}",
         "1textNoneTrue{'k': 'v', 'items': 1, 'n': None, 'f': 1.5}[3, 1, 2]"},
        {"{{ () }} {{ (1,) }} {{ (1, 2) }} {{ 1, 2 }} {{ {} }} {{ {'a': 1, 2: "
         "'b', none: 3, (1,2): 4} }} {{ [] }} {{ [1, 'a', none, true, 1.5] }}",
         "() (1,) (1, 2) (1, 2) {} {'a': 1, 2: 'b', None: 3, (1, 2): 4} [] [1,"
         " 'a', None, True, 1.5]"},
        {"{{ {undefinedx: 1} }}{{ '%s|' % undefinedx }}", "{Undefined: 1}|"},
        {"{{ d.keys() }}{{ d.values() }}{{ d.items() }}{{ range(5) }}{{ range("
         "10)[2:8:3] }}",
         "dict_keys(['k', 'items', 'n', 'f'])dict_values(['v', 1, None, 1.5])d"
         "ict_items([('k', 'v'), ('items', 1), ('n', None), ('f', 1.5)])range("
         "0, 5)range(2, 8, 3)"},
        {"{{ {'a': 1, 'a': 2} }}{{ {'x': {'y': [1, 2, {'z': 'q\"\\'\\n'}]}} }}"
         "{{ [\"it's\", 'q\"', 'both\\'\"'] }}",
         "{'a': 2}{'x': {'y': [1, 2, {'z': 'q\"\\'\\n'}]}}[\"it's\", 'q\"', 'b"
         "oth\\'\"']"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void items_and_slices(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ l[0] }}{{ l[-1] }}{{ l[10] }}{{ l['x'] }}{{ l[1:] }}{{ l[::-1] }}"
         "{{ l[:-1] }}{{ l[5:] }}{{ l[-2:] }}{{ l[::2] }}{{ l[-9:1] }}{{ l[2:-"
         "9:-1] }}{{ l[9::-1] }}{{ l[9:0:-2] }}",
         "32[1, 2][2, 1, 3][3, 1][][1, 2][3, 2][3][2, 1, 3][2, 1, 3][2]"},
        {"{{ b[1:3] }}{{ b[::-1] }}{{ u[2:5] }}{{ u[-2] }}{{ u[0] }}{{ u[::2] "
         "}}{{ u[4:1:-1] }}{{ 'abc'[5] }}{{ (1,2,3)[1:] }}{{ [1,2,3][1:2][0] }"
         "}",
         "extxet日本😀😀ÄÄ日😀😀本日(2, 3)2"},
        {"{{ d.nope }}|{{ d['nope'] }}|{{ d.k }}|{{ d['k'] }}|{{ d['items'] }}"
         "|{{ n.x }}|{{ l[true] }}|{{ d['keys']()|list }}|{{ 'abc'['upper']() "
         "}}",
         "||v|v|1||1|['k', 'items', 'n', 'f']|ABC"},
        {"{{ msgs[0].role }}{{ msgs[-1]['role'] }}{{ msgs[1:]|length }}{{ (msg"
         "s|first).role }}{{ msgs[1].tool_calls[0].function.arguments.items()|"
         "list }}",
         "systemassistant2system[('z', 1), ('a', 'é')]"},
        {"{{ {'a':[1,{'b':2}]}.a[1].b }}{{ l[none:2] }}{{ a.__class__ }}|{{ b."
         "__len__ }}|{{ l.append is defined }}{{ d.pop is defined }}",
         "2[3, 1]||FalseFalse"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void failures_name_line_and_expression(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ 'a' + 1 }}",
         "failed: line 1: 'a' + 1: can only concatenate str (not \"int\") to s"
         "tr"},
        {"{{ 1 + 'a' }}",
         "failed: line 1: 1 + 'a': unsupported operand type(s) for +: 'int' an"
         "d 'str'"},
        {"{{ [1] + (1,) }}",
         "failed: line 1: [1] + (1,): can only concatenate list (not \"tuple\""
         ") to list"},
        {"{{ undefinedx + 1 }}",
         "failed: line 1: undefinedx + 1: 'undefinedx' is undefined"},
        {"{{ undefinedx.foo }}",
         "failed: line 1: undefinedx.foo: 'undefinedx' is undefined"},
        {"{{ x }}{{ d.nope.foo }}", "failed: line 1: d.nope.foo: 'nope' is undefined"},
        {"{{ undefinedx['a'] }}",
         "failed: line 1: undefinedx['a']: 'undefinedx' is undefined"},
        {"{{ {[1]: 2} }}",
         "failed: line 1: {[1]: 2}: a key of a dict must be text, a number, a "
         "boolean, none or a tuple of these"},
        {"{{ 1 / 0 }}", "failed: line 1: 1 / 0: division by zero"},
        {"{{ 1 // 0 }}", "failed: line 1: 1 // 0: division by zero"},
        {"{{ 1.5 % 0 }}", "failed: line 1: 1.5 % 0: division by zero"},
        {"{{ 'b' < 1 }}",
         "failed: line 1: 'b' < 1: '<' not supported between instances of 'str"
         "' and 'int'"},
        {"{{ undefinedx < 1 }}",
         "failed: line 1: undefinedx < 1: 'undefinedx' is undefined"},
        {"{{ -'a' }}", "failed: line 1: -'a': bad operand type for unary -: 'str'"},
        {"{{ 1 in 'abc' }}",
         "failed: line 1: 1 in 'abc': 'in <string>' requires string as left op"
         "erand, not int"},
        {"{{ undefinedx in 'abc' }}",
         "failed: line 1: undefinedx in 'abc': 'undefinedx' is undefined"},
        {"{{ 1 in 5 }}",
         "failed: line 1: 1 in 5: argument of type 'int' is not iterable"},
        {"{{ [1] in d }}", "failed: line 1: [1] in d: unhashable type: 'list'"},
        {"{{ l['a':] }}",
         "failed: line 1: l['a':]: slice indices must be integers or None, not"
         " str"},
        {"{{ l[::0] }}", "failed: line 1: l[::0]: slice step cannot be zero"},
        {"{{ x[1:] }}", "failed: line 1: x[1:]: 'int' object cannot be sliced"},
        {"{{ d[1:] }}", "failed: line 1: d[1:]: 'dict' object cannot be sliced"},
        {"{{ x() }}", "failed: line 1: x(): 'int' object is not callable"},
        {"{{ undefinedx() }}", "failed: line 1: undefinedx(): 'undefinedx' is undefined"},
        {"{{ l.nope() }}", "failed: line 1: l.nope(): 'list' has no method 'nope'"},
        {"{{ l.append(1) }}",
         "failed: line 1: l.append(1): append() is refused: values cannot be c"
         "hanged here"},
        {"{{ d.update({}) }}",
         "failed: line 1: d.update({}): update() is refused: values cannot be "
         "changed here"},
        {"{{ ''.__class__.__mro__ }}",
         "failed: line 1: ''.__class__.__mro__: '__class__' is undefined"},
        {"line1\n{{ 1 }}\n{{ foo.bar.baz }}",
         "failed: line 3: foo.bar: 'foo' is undefined"},
        {"{% for m in msgs %}\n{{ m.content +\n 'x' }}\n{% endfor %}",
         "failed: line 2: m.content +  'x': unsupported operand type(s) for +:"
         " 'NoneType' and 'str'"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void sources_that_are_no_expressions(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ }}", "failed: line 1: expected an expression, found '}}'"},
        {"{{ a b }}", "failed: line 1: expected '}}', found 'b'"},
        {"{{ 1 is defined is none }}", "failed: line 1: tests by `is` in a row"},
        {"{{ x. }}", "failed: line 1: expected a name, found '}}'"},
        {"{{ {1} }}", "failed: line 1: expected ':', found '}'"},
        {"{{ f(a=1, 2) }}", "failed: line 1: an argument by place behind one by name"},
        {"{{ f(**a, *b) }}", "failed: line 1: an argument by place behind one by name"},
        {"{{ x| }}", "failed: line 1: expected a name, found '}}'"},
        {"{{ x is }}", "failed: line 1: expected a name, found '}}'"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_bind_as_in_jinja2),
        cmocka_unit_test(equality_is_across_types),
        cmocka_unit_test(values_are_printed_as_python_does),
        cmocka_unit_test(items_and_slices),
        cmocka_unit_test(failures_name_line_and_expression),
        cmocka_unit_test(sources_that_are_no_expressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
