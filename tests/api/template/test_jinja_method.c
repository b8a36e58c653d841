/* Methods of texts, dicts and lists.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_method.h"
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

static void methods_of_texts(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ s.strip() }}|{{ s.lstrip() }}|{{ s.rstrip() }}|{{ 'xxaxx'.strip('"
         "x') }}|{{ 'xyaxy'.lstrip('yx') }}|{{ 'abc'.rstrip('cb') }}|{{ u.stri"
         "p('Äx') }}|{{ 'a'.strip(none) }}",
         "Hello World|Hello World \n| Hello World|a|axy|a|Ö日本😀|a"},
        {"{{ 'a b  c'.split() }}{{ 'a,b,,c'.split(',') }}{{ 'a,b,c'.split(',',"
         " 1) }}{{ ' a b c '.split(none, 1) }}{{ 'a b c'.rsplit(' ', 1) }}{{ '"
         " a b '.rsplit(none,1) }}{{ ''.split() }}{{ ''.split(',') }}{{ u.spli"
         "t('日') }}",
         "['a', 'b', 'c']['a', 'b', '', 'c']['a', 'b,c']['a', 'b c ']['a b', '"
         "c'][' a', 'b'][]['']['ÄÖ', '本😀x']"},
        {"{{ 'abc'.startswith('a') }}{{ 'abc'.endswith(('x','c')) }}{{ 'abc'.s"
         "tartswith('b', 1) }}{{ 'abc'.startswith('') }}{{ 'abc'.endswith('abc"
         "d') }}",
         "TrueTrueTrueTrueFalse"},
        {"{{ 'abcabc'.replace('b','X') }}{{ 'aaa'.replace('a','b',2) }}{{ 'abc"
         "'.replace('','-') }}{{ 'abc'.replace('z','-') }}",
         "aXcaXcbba-a-b-c-abc"},
        {"{{ 'abc'.find('c') }}{{ 'abc'.find('z') }}{{ 'a日b'.find('b') }}{{ 'a"
         "ba'.rfind('a') }}{{ 'aba'.count('a') }}{{ 'aba'.index('b') }}",
         "2-12221"},
        {"{{ 'hello world'.title() }}{{ 'hELLO'.capitalize() }}{{ 'a'.upper() "
         "}}{{ 'A'.lower() }}{{ 'ß'.upper() }}{{ u.upper() }}",
         "Hello WorldHelloAaSSÄÖ日本😀X"},
        {"{{ '{} {}'.format(1, 'a') }}{{ '{x}'.format(x=1) }}{{ '%s-%d' % ('a'"
         ", 3) }}{{ '%s' % 1 }}{{ ', '.join(['a','b']) }}{{ '%d%%' % 5 }}",
         "1 a1a-31a, b5%"},
        {"{{ 'a\\nb\\r\\nc'.splitlines() }}{{ 'a\\n\\n'.splitlines(true) }}{{ "
         "'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ '12'.isdig"
         "it() }}{{ ' '.isspace() }}",
         "['a', 'b', 'c']['a\\n', '\\n']bcabTrueTrue"},
        {"{{ ', '.join([1]) }}",
         "failed: line 1: ', '.join([1]): sequence item: expected str instance"
         ", int found"},
        {"{{ 'abc'.split('') }}", "failed: line 1: 'abc'.split(''): empty separator"},
        {"{{ 'abc'.split(1) }}",
         "failed: line 1: 'abc'.split(1): expected str, found int"},
        {"{{ 'abc'.index('z') }}",
         "failed: line 1: 'abc'.index('z'): substring not found"},
        {"{{ 'abc'.nope() }}",
         "failed: line 1: 'abc'.nope(): 'str' has no method 'nope'"},
        {"{{ '{} {1}'.format(1) }}",
         "failed: line 1: '{} {1}'.format(1): a format numbers all its fields "
         "or none"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void methods_of_dicts_and_lists(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ d.get('k') }}{{ d.get('z') }}{{ d.get('z', 5) }}{{ d.keys()|list "
         "}}{{ d.items()|list|length }}{{ d.values()|list }}{{ d.copy() == d }"
         "}",
         "vNone5['k', 'items', 'n', 'f']4['v', 1, None, 1.5]True"},
        {"{{ l.index(1) }}{{ [1,2,1].count(1) }}{{ (1,2).index(2) }}{{ d.get(u"
         "ndefinedx) }}",
         "121None"},
        {"{{ d.get([]) }}", "failed: line 1: d.get([]): unhashable type: 'list'"},
        {"{{ l.index(9) }}", "failed: line 1: l.index(9): the value is not in the list"},
        {"{{ l.pop() }}",
         "failed: line 1: l.pop(): pop() is refused: values cannot be changed "
         "here"},
        {"{{ l.sort() }}",
         "failed: line 1: l.sort(): sort() is refused: values cannot be change"
         "d here"},
        {"{{ d.setdefault('a', 1) }}",
         "failed: line 1: d.setdefault('a', 1): setdefault() is refused: value"
         "s cannot be changed here"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_of_texts),
        cmocka_unit_test(methods_of_dicts_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
