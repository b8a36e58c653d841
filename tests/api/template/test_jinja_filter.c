/* Filters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_filter.h"
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

static void filters_of_texts(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ b|trim }}{{ s|trim }}{{ n|trim }}{{ undefinedx|trim }}{{ 5|trim }"
         "}{{ 'xax'|trim('x') }}{{ '\\u0085a\\ufeff'|trim|length }}",
         "textHello WorldNone5a2"},
        {"{{ b|upper }}{{ n|upper }}{{ undefinedx|upper }}{{ 'a b-c'|title }}{"
         "{ 'aBC'|capitalize }}{{ u|lower }}",
         "TEXTNONEA B-CAbcäö日本😀x"},
        {"{{ 5|string }}{{ n|string }}{{ undefinedx|string }}{{ 'abc'|replace("
         "'b', 'x') }}{{ 5|replace('5', 6) }}{{ 'aaa'|replace('a', 'b', 2) }}",
         "5Noneaxc6bba"},
        {"{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb\\n\\nc\\n'|indent(2, true, tru"
         "e) }}|{{ 'a\\nb'|indent('--') }}|{{ ''|indent }}|{{ 'a\\n'|indent(fi"
         "rst=true) }}",
         "a\n    b\n\n    c|  a\n  b\n  \n  c\n  |a\n--b||    a\n"},
        {"{{ m|safe }}{{ m|escape }}{{ ('<'|safe) + '<' }}{{ '<' + ('<'|safe) "
         "}}{{ ('a'|safe) ~ '<' }}{{ 'x'|safe|upper }}{{ ['x'|safe] }}{{ 'xy'|"
         "safe|list }}",
         "<b>&</b>&lt;b&gt;&amp;&lt;/b&gt;<&lt;&lt;<a<X[Markup('x')]['x', 'y']"},
        {"{{ '%s %d'|format('a', 5) }}{{ '%(a)s'|format(a=1) }}{{ b|reverse }}",
         "a 51txet"},
        {"{{ d|tojson }}{{ msgs|tojson }}{{ msgs|tojson(indent=2) }}{{ d|tojso"
         "n(separators=(',',':')) }}{{ msgs|tojson(ensure_ascii=true, sort_key"
         "s=true) }}{{ e|tojson(indent=4) }}",
         "{\"k\": \"v\", \"items\": 1, \"n\": null, \"f\": 1.5}[{\"role\": \"s"
         "ystem\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"U"
         "\", \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\":"
         " {\"z\": 1, \"a\": \"é\"}}}]}, {\"role\": \"assistant\", \"content\""
         ": null}][\n  {\n    \"role\": \"system\",\n    \"content\": \"S\"\n "
         " },\n  {\n    \"role\": \"user\",\n    \"content\": \"U\",\n    \"to"
         "ol_calls\": [\n      {\n        \"function\": {\n          \"name\":"
         " \"f\",\n          \"arguments\": {\n            \"z\": 1,\n        "
         "    \"a\": \"é\"\n          }\n        }\n      }\n    ]\n  },\n  {"
         "\n    \"role\": \"assistant\",\n    \"content\": null\n  }\n]{\"k\":"
         "\"v\",\"items\":1,\"n\":null,\"f\":1.5}[{\"content\": \"S\", \"role"
         "\": \"system\"}, {\"content\": \"U\", \"role\": \"user\", \"tool_cal"
         "ls\": [{\"function\": {\"arguments\": {\"a\": \"\\u00e9\", \"z\": 1}"
         ", \"name\": \"f\"}}]}, {\"content\": null, \"role\": \"assistant\"}]"
         "[]"},
        {"{{ undefinedx|tojson }}",
         "failed: line 1: undefinedx|tojson: Object of type Undefined is not J"
         "SON serializable"},
        {"{{ 5|indent }}", "failed: line 1: 5|indent: indent takes text, found int"},
        {"{{ 'a'|replace('b') }}",
         "failed: line 1: 'a'|replace('b'): replace() needs 2 arguments"},
        {"{{ 'a'|trim(5) }}", "failed: line 1: 'a'|trim(5): expected str, found int"},
        {"{{ 'a'|upper(1) }}",
         "failed: line 1: 'a'|upper(1): upper() takes at most 0 arguments, 1 a"
         "re given"},
        {"{{ 'a'|indent(wide=1) }}",
         "failed: line 1: 'a'|indent(wide=1): indent() has no parameter 'wide'"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void filters_of_lists(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ l|length }}{{ b|length }}{{ u|length }}{{ d|length }}{{ e|length "
         "}}{{ undefinedx|length }}{{ l|count }}",
         "3464003"},
        {"{{ l|first }}{{ l|last }}{{ e|first }}{{ e|last }}{{ b|first }}{{ b|"
         "last }}{{ d|first }}{{ undefinedx|first }}{{ undefinedx|last }}{{ ra"
         "nge(4)|last }}",
         "32ttk3"},
        {"{{ l|sort }}{{ l|sort(reverse=true) }}{{ ['b','A','c']|sort }}{{ ['b"
         "','A','c']|sort(case_sensitive=true) }}{{ msgs|sort(attribute='role'"
         ")|map(attribute='role')|list }}",
         "[1, 2, 3][3, 2, 1]['A', 'b', 'c']['A', 'b', 'c']['assistant', 'syste"
         "m', 'user']"},
        {"{{ [{'a':1,'b':2},{'a':1,'b':1}]|sort(attribute='a,b') }}{{ ['b','B'"
         ",'a']|sort }}{{ ['b','B','a']|sort(reverse=true) }}{{ range(30)|sort"
         "(reverse=true)|join(' ') }}",
         "[{'a': 1, 'b': 1}, {'a': 1, 'b': 2}]['a', 'b', 'B']['b', 'B', 'a']29"
         " 28 27 26 25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 "
         "4 3 2 1 0"},
        {"{{ msgs|selectattr('role','equalto','user')|list|length }}{{ msgs|re"
         "jectattr('role','eq','user')|map(attribute='role')|join(',') }}{{ [0"
         ",1,2]|select|list }}{{ [0,1,2]|reject('equalto',1)|list }}",
         "1system,assistant[1, 2][0, 2]"},
        {"{{ msgs|selectattr('tool_calls','defined')|list|length }}{{ msgs|sel"
         "ectattr('content')|list|length }}{{ msgs|selectattr('tool_calls.0.fu"
         "nction.name', 'eq', 'f')|list|length }}",
         "failed: line 1: msgs|selectattr('tool_calls.0.function.name', 'eq', "
         "'f'): 'an item' is undefined"},
        {"{{ ['a','b']|map('upper')|list }}{{ ['a','b']|map('replace','a','c')"
         "|join }}{{ msgs|map(attribute='content')|list }}{{ msgs|map(attribut"
         "e='q', default='z')|list }}",
         "['A', 'B']cb['S', 'U', None]['z', 'z', 'z']"},
        {"{{ l|join(', ') }}{{ l|join }}{{ msgs|join('-', attribute='role') }}"
         "{{ b|join('.') }}",
         "3, 1, 2312system-user-assistantt.e.x.t"},
        {"{{ d|items|list }}{{ undefinedx|items|list }}{{ undefinedx|list }}{{"
         " undefinedx|join }}{{ undefinedx|map('upper')|list }}{{ undefinedx|s"
         "ort }}",
         "[('k', 'v'), ('items', 1), ('n', None), ('f', 1.5)][][][][]"},
        {"{{ l|min }}{{ l|max }}{{ ['b','A']|min }}{{ e|min }}{{ l|sum }}{{ [1"
         ",1,2,'a','A']|unique|list }}{{ l|reverse|list }}{{ msgs|max(attribut"
         "e='role') is mapping }}",
         "13A6[1, 2, 'a'][2, 1, 3]True"},
        {"{{ {'b':1,'A':2}|dictsort }}{{ {'b':1,'A':2}|dictsort(true) }}{{ {'b"
         "':1,'A':2}|dictsort(by='value', reverse=true) }}",
         "[('A', 2), ('b', 1)][('A', 2), ('b', 1)][('A', 2), ('b', 1)]"},
        {"{{ (l|map('string'))[0] }}{{ l|select|first }}{{ (l|select)|join }}{"
         "{ [3,1]|sort|first }}",
         "33121"},
        {"{{ x|length }}", "failed: line 1: x|length: object of type 'int' has no len()"},
        {"{{ (l|map('string'))|length }}",
         "failed: line 1: (l|map('string'))|length: object of type 'generator'"
         " has no len()"},
        {"{{ (l|map('string'))|last }}",
         "failed: line 1: (l|map('string'))|last: 'generator' object is not re"
         "versible"},
        {"{{ [1,'a']|sort }}",
         "failed: line 1: [1,'a']|sort: '<' not supported between instances of"
         " 'str' and 'int'"},
        {"{{ [none, 1]|sort }}",
         "failed: line 1: [none, 1]|sort: '<' not supported between instances "
         "of 'int' and 'NoneType'"},
        {"{{ n|items|list }}",
         "failed: line 1: n|items: can only get item pairs from a mapping, fou"
         "nd NoneType"},
        {"{{ n|list }}", "failed: line 1: n|list: 'NoneType' object is not iterable"},
        {"{{ l|map('nope')|list }}",
         "failed: line 1: l|map('nope'): there is no filter 'nope'"},
        {"{{ l|select('nope')|list }}",
         "failed: line 1: l|select('nope'): there is no test 'nope'"},
        {"{{ l|map()|list }}", "failed: line 1: l|map(): map requires a filter argument"},
        {"{{ d|dictsort(by='x') }}",
         "failed: line 1: d|dictsort(by='x'): dictsort sorts by \"key\" or \"v"
         "alue\""},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void filters_of_any_value(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ undefinedx|default('q') }}{{ none|default('q') }}{{ none|default("
         "'q', true) }}{{ ''|d('z', boolean=true) }}{{ 0|default(5) }}{{ undef"
         "inedx|default }}",
         "qNoneqz0"},
        {"{{ '5'|int }}{{ 'x'|int }}{{ '5.7'|int }}{{ 5.7|int }}{{ 'x'|int(9) "
         "}}{{ ' 7 '|int }}{{ '1_000'|int }}{{ none|int }}{{ '0x1f'|int(base=1"
         "6) }}{{ true|int }}{{ '-3'|int }}{{ '1__0'|int }}{{ ''|int }}{{ '_5'"
         "|int }}{{ '5_'|int }}{{ 'ff'|int(0, 16) }}{{ '0b11'|int(0, 0) }}{{ '"
         "+'|int }}",
         "50559710000311-3000025530"},
        {"{{ '3.5'|float }}{{ 'z'|float }}{{ 5|float }}{{ 'inf'|float }}{{ -5|"
         "abs }}{{ -5.5|abs }}",
         "3.50.05.0inf55.5"},
        {"{% if false %}{{ l|nope }}{% endif %}ok", "ok"},
        {"{{ l|nope }}", "failed: line 1: l|nope: there is no filter 'nope'"},
        {"{% if x %}{{ l|nope }}{% endif %}",
         "failed: line 1: l|nope: there is no filter 'nope'"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_of_texts),
        cmocka_unit_test(filters_of_lists),
        cmocka_unit_test(filters_of_any_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
