/* Compiles and renders templates for tables of tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/template_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *failure(struct template_values *t, const struct err *err)
{
    char text[sizeof err->text + 16];
    int n = snprintf(text, sizeof text, "%s: %s",
                     err->code == ERR_ARGUMENT ? "raised" : "failed", err->text);
    return arena_strdup(&t->arena, text, (size_t)n);
}

const char *template_run(struct template_values *t, const char *source,
                         struct jinja_value vars)
{
    struct template *template;
    struct template_text out;
    struct err err = {0};
    if (template_compile(&template, source, strlen(source), &err) < 0)
        return failure(t, &err);
    t->args.globals = vars.dict;
    t->args.now_s = 1700000000;
    int code = template_render(template, &t->args, &t->arena, &out, &err);
    template_free(template);
    if (code < 0)
        return failure(t, &err);
    struct jinja_string s = {.text = out.text, .len = out.len, .marks = out.marks};
    struct jinja_value v = {.kind = JINJA_STRING, .string = &s};
    return template_values_shown(t, v);
}

void template_run_all(const struct template_case *cases, size_t n, const char *vars)
{
    for (size_t i = 0; i < n; i++) {
        struct template_values t;
        template_values_open(&t);
        const char *got =
            template_run(&t, cases[i].source, template_values_json(&t, vars));
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s\n  gives %s\n  wants %s", cases[i].source, got, cases[i].want);
        template_values_close(&t);
    }
}
