/* White space control, comments, raw text, literals, and sources that are refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_lexer.h"
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

static void blanks_go_where_tags_say(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"  {% if true %}\n  line\n  {% endif %}\n  {{ x }}  \n  {# comment #}"
         "\n\n end\n",
         "  line\n  5  \n\n end"},
        {"{% for m in msgs %}\n{{ m.role }}\n{% endfor %}\n\n",
         "system\nuser\nassistant\n"},
        {"a\r\nb\rc\n", "a\nb\nc"},
        {"{%- for m in msgs -%}\n  {{- m.role -}}\n{%- endfor -%}\n x",
         "systemuserassistantx"},
        {"\n\n  {%- set q = 1 %}\n  {{ q }}\n", "  1"},
        {"{% set q -%}\n  abc\n{%- endset %}[{{ q }}]", "[abc]"},
        {"{#- a -#}\n\n x {#+ b +#}\n y", "x \n y"},
        {"  {%+ if true %}x{% endif %}\n  y", "  x  y"},
        {"x\n", "x"},
        {"x\n\n", "x\n"},
        {"", ""},
        {"\n", ""},
        {"{{\nx\n+\n1\n}}", "6"},
        {"\t{% if x %}\tx{% endif %}\t\n", "\tx\t"},
        {"\302\240{% if x %}a{% endif %}", "a"},
        {"a \343\200\200{%- if x %}a{% endif %}", "aa"},
        {"{%- if x -%}\342\200\203a{% endif %}", "a"},
        {"{%if x%}y{%endif%}", "y"},
        {"{%-if x-%}y{%-endif-%}", "y"},
        {"{{-x-}}", "5"},
        {"{{+x}}", "5"},
        {"{% if x %}{% endif +%}\n z", "\n z"},
        {"{{ x }}\n\n{# c #}\n\n{% if x %}{% endif %}\n q", "5\n\n\n q"},
        {"x{% if true %}y{% endif %}z  {% if x %} w {%- endif %}", "xyz   w"},
        {"{{ x }}  {% if x %}y{% endif %}  {# c #} z", "5  y   z"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void raw_and_comments_are_not_read(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% raw %}{{ x }}{% if %}{% endraw %}{# {{ x }} #}{#- c -#} x",
         "{{ x }}{% if %}x"},
        {"{% raw %}\n a {% endraw %}\n b", "\n a  b"},
        {"  {%- raw -%}\n a {%- endraw -%}\n b", "ab"},
        {"{ {x} {{x}}} {", "{ {x} 5} {"},
        {"{{ '{{' }}{{ '}}' }}{{ '%}' }}", "{{}}%}"},
        {"{{ {'a': {'b': 1}} }}", "{'a': {'b': 1}}"},
        {"{##}x{#-#}y", "xy"},
        {"{% raw %}{% raw %}{% endraw %}", "{% raw %}"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void literals_are_those_of_python(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{{ 'a\\nb\\t\\x41\\u00e9\\'\\\\\\q' }}{{ \"\\\"\" }}", "a\nb\tAé'\\\\q\""},
        {"{{ '\\101\\U0001F600' }}", "A😀"},
        {"{{ 0x1F }}{{ 0b11 }}{{ 0o17 }}{{ 1_000 }}{{ 1.5e3 }}{{ 1e3 }}{{ 2.0E"
         "-2 }}",
         "3131510001500.01000.00.02"},
        {"{{ l.0 }}{{ [[1, 2]].0.1 }}", "32"},
        {"{{ 'a' 'b' \"c\" }}", "abc"},
        {"{{ True }}{{ true }}{{ None }}{{ none }}{{ False }}", "TrueTrueNoneNoneFalse"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

static void broken_sources_name_their_line(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"\n{{ 1", "failed: line 2: no '}}' ends this tag"},
        {"{% if x", "failed: line 1: no '%}' ends this tag"},
        {"{% raw %} x", "failed: line 1: no {% endraw %} ends this raw block"},
        {"{{ 'abc }}", "failed: line 1: this string has no end"},
        {"{{ [1, }}", "failed: line 1: unexpected '}', expected ']'"},
        {"{{ (1 }}", "failed: line 1: unexpected '}', expected ')'"},
        {"{{ x }", "failed: line 1: unexpected '}'"},
        {"{{ x ] }}", "failed: line 1: unexpected ']'"},
        {"{{ (x] }}", "failed: line 1: unexpected ']', expected ')'"},
        {"\n\n{{ ? }}", "failed: line 3: unexpected character '?'"},
        {"{{ a.5b }}", "failed: line 1: expected '}}', found 'b'"},
    };
    template_run_all(cases, sizeof cases / sizeof *cases, vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_go_where_tags_say),
        cmocka_unit_test(raw_and_comments_are_not_read),
        cmocka_unit_test(literals_are_those_of_python),
        cmocka_unit_test(broken_sources_name_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
