/* Templates as a whole: marks, limits, nesting, what a source mentions, memory that runs
 * out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/template.h"
#include "engine/base/mem.h"
#include "tests/lib/template_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* s, t, l and d hold texts of several marks. */
static struct jinja_value marked(struct template_values *t)
{
    struct jinja_value vars = jinja_dict(&t->arena), l = jinja_list(&t->arena);
    struct jinja_value d = jinja_dict(&t->arena);
    struct jinja_value s = template_values_text(t, "<1| ab\n><2|cD ><1|e>");
    struct jinja_value other = template_values_text(t, "<3|x,y>");
    jinja_list_add(&t->arena, l.list, s);
    jinja_list_add(&t->arena, l.list, other);
    jinja_dict_put(&t->arena, d.dict, template_values_text(t, "<4|k>"), other);
    jinja_dict_set(&t->arena, vars.dict, "s", s);
    jinja_dict_set(&t->arena, vars.dict, "t", other);
    jinja_dict_set(&t->arena, vars.dict, "l", l);
    jinja_dict_set(&t->arena, vars.dict, "d", d);
    return vars;
}

static void marks_follow_their_bytes(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"a{{ t }}b", "a<3|x,y>b"},
        {"{{ t }}", "<3|x,y>"},
        {"{{ s }}", "<1| ab\n><2|cD ><1|e>"},
        {"{{ s ~ t ~ 'q' }}", "<1| ab\n><2|cD ><1|e><3|x,y>q"},
        {"{{ 'p' + t + s }}", "p<3|x,y><1| ab\n><2|cD ><1|e>"},
        {"{{ t * 2 }}", "<3|x,yx,y>"},
        {"{{ s[2:6] }}{{ s[0] }}{{ s[::-2] }}", "<1|b\n><2|cD><1| e><2|D><1|\na>"},
        {"{{ s.strip() }}|{{ s|trim }}", "<1|ab\n><2|cD ><1|e>|<1|ab\n><2|cD ><1|e>"},
        {"{{ t.split(',')|join('-') }}", "<3|x>-<3|y>"},
        {"{{ s.split()|join(t) }}", "<1|ab><3|x,y><2|cD><3|x,y><1|e>"},
        {"{{ s.replace('b\\nc', t) }}", "<1| a><3|x,y><2|D ><1|e>"},
        {"{{ s|replace(' ', '_') }}", "_<1|ab\n><2|cD>_<1|e>"},
        {"{{ s|upper }}{{ s.lower() }}", "<1| AB\n><2|CD ><1|E ab\n><2|cd ><1|e>"},
        {"{{ s|title }}{{ t.capitalize() }}", "<1| Ab\n><2|Cd ><1|E><3|X,y>"},
        {"{{ s.splitlines()|join('/') }}", "<1| ab>/<2|cD ><1|e>"},
        {"{{ s|indent(1) }}", "<1| ab>\n <2|cD ><1|e>"},
        {"{{ t|tojson }}{{ d|tojson }}", "\"<3|x,y>\"{\"<4|k>\": \"<3|x,y>\"}"},
        {"{{ s|tojson }}", "\"<1| ab\\n><2|cD ><1|e>\""},
        {"{{ [t] }}{{ d }}", "['<3|x,y>']{'<4|k>': '<3|x,y>'}"},
        {"{{ '%s!' % t }}{{ '{}?'.format(t) }}{{ '%s'|format(t) }}",
         "<3|x,y>!<3|x,y>?<3|x,y>"},
        {"{{ l|join }}{{ l|last }}{{ l|map('trim')|first }}",
         "<1| ab\n><2|cD ><1|e><3|x,yx,y><1|ab\n><2|cD ><1|e>"},
        {"{% for c in t %}{{ c }}.{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
         "<3|x>.<3|,>.<3|y>.<4|k>"},
        {"{% for k, v in d|items %}{{ k }}{{ v }}{% endfor %}{{ d|dictsort }}",
         "<4|k><3|x,y>[('<4|k>', '<3|x,y>')]"},
        {"{% set q %}<{{ t }}>{% endset %}{{ q }}{{ q|length }}", "<<3|x,y>>5"},
        {"{% macro m(a) %}[{{ a }}{{ caller() }}]{% endmacro %}{% call m(t) %}{{ t }}"
         "{% endcall %}",
         "[<3|x,yx,y>]"},
        {"{% filter upper %}q{{ t }}{% endfilter %}", "Q<3|X,Y>"},
        {"{{ t|string }}{{ t|default('') }}{{ u|default(t) }}{{ t|reverse }}",
         "<3|x,yx,yx,yy,x>"},
        {"{{ ('<'|safe) + t }}{{ t|escape }}", "<<3|x,yx,y>"},
        {"{{ l|sort|join }}{{ [t, 'a']|max }}{{ t if t else s }}{{ t.removeprefix('x') }}",
         "<1| ab\n><2|cD ><1|e><3|x,yx,yx,y,y>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct template_values t;
        template_values_open(&t);
        const char *got = template_run(&t, cases[i].source, marked(&t));
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s\n  gives %s\n  wants %s", cases[i].source, got, cases[i].want);
        template_values_close(&t);
    }
}

/* The limits of template_values.h: 2^20 steps, 4096 bytes, 2^20 bytes of memory, 16
 * calls. */
static void limits_end_what_explodes(void **state)
{
    (void)state;
    static const struct template_case cases[] = {
        {"{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
         "the limit of 1048576 steps is reached"},
        {"x\n{{ 'ab' * 4000 }}",
         "line 2: 'ab' * 4000: the limit of a text (4096 bytes) is reached"},
        {"{{ 'a' * 10 ** 15 }}", "the limit of a text (4096 bytes)"},
        {"{{ [1] * 10 ** 15 }}", "the limit of memory (1048576 bytes) is reached"},
        {"{% for i in range(9999) %}xxxxxxxx{% endfor %}", "the limit of a text"},
        {"{% set x = 'a' * 2000 %}{{ x|replace('a', x) }}", "the limit of a text"},
        {"{% set x = ['a' * 90] * 90 %}{{ x|join }}", "the limit of a text"},
        {"{% set x = 'a\\n' * 900 %}{{ x|indent(90) }}", "the limit of a text"},
        {"{{ 'a'|indent(10 ** 9) }}", "the limit of a text"},
        {"{{ [1]|tojson(indent=10 ** 9) }}", "the limit of a text"},
        {"{{ '%999999d' % 1 }}", "the limit of a text"},
        {"{% set n = namespace(x='a') %}{% for i in range(99) %}"
         "{% set n.x = n.x + n.x %}{% endfor %}",
         "the limit of a text"},
        {"{% set n = namespace(x=[1]) %}{% for i in range(99) %}"
         "{% set n.x = n.x + n.x %}{% endfor %}",
         "the limit of memory"},
        {"{% set n = namespace(x=[1]) %}{% for i in range(99) %}"
         "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
         "the limit of a text"},
        {"{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}"
         "{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
         "the limit of 1048576 steps"},
        {"{% set n = namespace(x=[]) %}{% for i in range(3000) %}{% set n.x = [n.x] %}"
         "{% endfor %}{{ n.x == 1 }}{% set m = n.x %}{% for i in range(1) %}"
         "{{ n.x == [m] }}{% endfor %}",
         "nested"},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
         "f(): the limit of 16 calls within calls is reached"},
        {"{% for i in [[1]] recursive %}{{ loop([i]) }}{% endfor %}",
         "the limit of 16 calls within calls is reached"},
        {"{% set x = 'a' * 4000 %}{% set n = namespace(l=x) %}{% for i in range(99999) %}"
         "{% if 'b' in x or x.rfind(x + 'b') > 0 %}{% endif %}{% endfor %}",
         "the limit of"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct template_values t;
        template_values_open(&t);
        const char *got = template_run(&t, cases[i].source, jinja_dict(&t.arena));
        if (!strstr(got, cases[i].want) || !strstr(got, "failed: line "))
            fail_msg("%s\n  gives %s\n  wants %s", cases[i].source, got, cases[i].want);
        assert_true(t.arena.used_bytes < (2u << 20));
        template_values_close(&t);
    }
}

static char *repeated(struct arena *a, const char *head, const char *open, size_t n,
                      const char *middle, const char *close, const char *tail)
{
    size_t bytes = strlen(head) + n * (strlen(open) + strlen(close)) + strlen(middle) +
                   strlen(tail) + 1;
    char *text = arena_alloc(a, bytes), *end = stpcpy(text, head);
    for (size_t i = 0; i < n; i++)
        end = stpcpy(end, open);
    end = stpcpy(end, middle);
    for (size_t i = 0; i < n; i++)
        end = stpcpy(end, close);
    stpcpy(end, tail);
    return text;
}

static void sources_are_nested_within_bounds(void **state)
{
    (void)state;
    static const char *const shapes[][5] = {
        {"{{ ", "(", "1", ")", " }}"},
        {"{{ ", "[", "1", "]", " }}"},
        {"{{ ", "{1:", "1", "}", " }}"},
        {"{{ ", "not ", "1", "", " }}"},
        {"{{ ", "-", "1", "", " }}"},
        {"{{ ", "f(", "1", ")", " }}"},
        {"{{ 1", "+1", "", "", " }}"},
        {"{{ 1", "**1", "", "", " }}"},
        {"{{ 1", " or 1", "", "", " }}"},
        {"{{ x", ".x", "", "", " }}"},
        {"{{ x", "[0]", "", "", " }}"},
        {"{{ x", "()", "", "", " }}"},
        {"{{ x", "|list", "", "", " }}"},
        {"{{ x", " is defined", "", "", " }}"},
        {"{{ 1", " if 1 else 1", "", "", " }}"},
        {"", "{% if 1 %}", "", "{% endif %}", ""},
        {"", "{% for i in x %}", "", "{% endfor %}", ""},
        {"", "{% macro m() %}", "", "{% endmacro %}", ""},
        {"{% for ", "(", "x", ",)", " in y %}{% endfor %}"},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const char *const *s = shapes[i];
        struct template_values t;
        template_values_open(&t);
        char *text = repeated(&t.arena, s[0], s[1], 50000, s[2], s[3], s[4]);
        const char *got = template_run(&t, text, jinja_dict(&t.arena));
        if (!strstr(got, "failed: line 1: "))
            fail_msg("%.40s gives %s", text, got);
        template_values_close(&t);
    }
}

static void many_neighbours_are_no_nesting(void **state)
{
    (void)state;
    struct template_values t;
    template_values_open(&t);
    char *text = repeated(&t.arena, "{{ ''", " ~ 'a'", 1000, "", "", " }}");
    assert_int_equal(strlen(template_run(&t, text, jinja_dict(&t.arena))), 1000);
    text = repeated(&t.arena, "{% if 0 %}", "{% elif 0 %}", 1000, "{% else %}b", "",
                    "{% endif %}");
    assert_string_equal(template_run(&t, text, jinja_dict(&t.arena)), "b");
    template_values_close(&t);
}

static void words_of_a_source(void **state)
{
    (void)state;
    static const char source[] =
        "{# alpha #}{{ beta.gamma['delta'] }}\\nzeta <|eta|>{% raw %}theta{% endraw %}"
        "{{ '\\nkappa' }}{{ xlambda }}{# mu #}";
    static const char *const there[] = {"beta", "gamma", "delta",
                                        "eta",  "theta", "kappa"};
    static const char *const absent[] = {"alpha", "mu", "lambda", "bet", "gamm", "omega"};
    struct template *t;
    struct err err;
    assert_int_equal(template_compile(&t, source, sizeof source - 1, &err), 0);
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        assert_true(template_mentions(t, there[i]));
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_false(template_mentions(t, absent[i]));
    template_free(t);
    template_free(NULL);
}

static void raised_texts_are_the_template_s_own(void **state)
{
    (void)state;
    struct template_values t;
    template_values_open(&t);
    struct jinja_value vars = marked(&t);
    assert_string_equal(template_run(&t, "a\n{{ raise_exception('no: ' ~ t) }}", vars),
                        "raised: no: x,y");
    assert_string_equal(template_run(&t,
                                     "{% macro m() %}{{ raise_exception(5) }}"
                                     "{% endmacro %}{{ m()|upper }}",
                                     vars),
                        "raised: 5");
    template_values_close(&t);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    struct template *t;
    struct err err;
    assert_int_equal(template_compile(&t, "a\xff", 2, &err), -ERR_TEMPLATE);
    assert_string_equal(err.text, "line 1: the template is not UTF-8");
    assert_null(t);
    char *large = calloc(5, 1 << 20);
    assert_int_equal(template_compile(&t, large, 5 << 20, &err), -ERR_TEMPLATE);
    free(large);
}

/* Whichever allocation fails, the template is refused and nothing is lost. */
static void memory_may_run_out(void **state)
{
    (void)state;
    static const char source[] =
        "{% macro m(a) %}{{ a }}{% endmacro %}{% for i in range(2000) %}"
        "{% set x = [i, {'k': 'a' ~ i}] %}{{ m(x)|upper|replace('A', 'b') }}{% endfor %}";
    struct template_limits limits = template_limits_default;
    bool done = false;
    for (int n = 1; !done && n < 60; n++) {
        struct template *t;
        struct template_text out;
        struct err err = {0};
        struct arena a;
        struct jinja_dict none = {0};
        struct template_args args = {.globals = &none, .limits = &limits};
        arena_init(&a);
        mem_fail_after(n);
        int code = template_compile(&t, source, sizeof source - 1, &err);
        if (code == 0)
            code = template_render(t, &args, &a, &out, &err);
        mem_fail_after(0);
        done = code == 0;
        assert_true(done || (code == -ERR_MEMORY && err.code == ERR_MEMORY));
        template_free(t);
        arena_free(&a);
    }
    assert_true(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_follow_their_bytes),
        cmocka_unit_test(limits_end_what_explodes),
        cmocka_unit_test(sources_are_nested_within_bounds),
        cmocka_unit_test(many_neighbours_are_no_nesting),
        cmocka_unit_test(words_of_a_source),
        cmocka_unit_test(raised_texts_are_the_template_s_own),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
