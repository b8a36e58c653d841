/* What the probes find, over templates of every habit that they tell apart.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_probe.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "tests/lib/chat_templates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void put_found(const struct chat_traits *t, struct buf *out)
{
    const struct {
        bool found;
        char letter;
    } all[] = {{t->parts[CHAT_USER], 'p'},
               {t->parts[CHAT_ASSISTANT], 'a'},
               {t->one_part[CHAT_USER], '1'},
               {t->developer, 'd'},
               {t->late_developer, 'D'},
               {t->late_system, 's'},
               {t->objects, 'o'},
               {t->calls, 'c'},
               {t->tools, 't'}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].found)
            buf_putc(out, all[i].letter);
}

static void every_habit_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_chat_template_cases; i++) {
        const struct chat_template_case *c = &chat_template_cases[i];
        struct chat_template *t = chat_templates_open(c);
        const struct chat_traits *traits = chat_template_traits(t, false);
        struct buf found = {0};
        put_found(traits, &found);
        if (strcmp(found.data, c->found) != 0)
            fail_msg("%s: found \"%s\", not \"%s\"", c->name, found.data, c->found);
        if (chat_template_tools(t) != c->format)
            fail_msg("%s: %s", c->name, tool_format_name(chat_template_tools(t)));
        struct chat_text end = chat_template_end(t);
        if (end.len != strlen(c->end) || memcmp(end.text, c->end, end.len) != 0)
            fail_msg("%s: ends with \"%.*s\"", c->name, (int)end.len, end.text);
        if (strcmp(traits->reasoning, c->reasoning) != 0)
            fail_msg("%s: reads %s", c->name, traits->reasoning);
        buf_free(&found);
        chat_template_free(t);
    }
}

/* All roles of a template that takes nothing but lists. */
static void one_part_is_found_for_every_role(void **state)
{
    (void)state;
    struct chat_template *t = chat_templates_open(chat_templates_find("only_parts"));
    const struct chat_traits *traits = chat_template_traits(t, false);
    assert_true(traits->one_part[CHAT_SYSTEM] && traits->one_part[CHAT_USER] &&
                traits->one_part[CHAT_ASSISTANT] && traits->one_part[CHAT_TOOL]);
    chat_template_free(t);
}

/* A template that always fails, or never ends, is opened all the same. */
static void probes_that_fail_are_answers(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "{{ raise_exception('never') }}", "{{ nothing.at.all }}", "",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct chat_template_case c = {.name = "bad", .source = sources[i]};
        struct chat_template *t = chat_templates_open(&c);
        assert_int_equal(chat_template_tools(t), TOOL_FORMAT_NONE);
        assert_int_equal(chat_template_end(t).len, 0);
        chat_template_free(t);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    static const struct chat_tokens tokens = {0};
    const struct chat_template_case *c = chat_templates_find("hermes");
    struct template *t;
    struct chat_traits traits;
    struct err err;
    assert_int_equal(template_compile(&t, c->source, strlen(c->source), &err), 0);
    for (long k = 1;; k++) {
        mem_fail_after(k);
        int rc = chat_probe_run(&traits, t, &tokens, &err);
        mem_fail_after(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_MEMORY);
        assert_true(k < 10000);
    }
    template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_habit_is_found),
        cmocka_unit_test(one_part_is_found_for_every_role),
        cmocka_unit_test(probes_that_fail_are_answers),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
