/*
 * Binding arguments to the parameters of a row. Runs on the render's thread; refuses, by
 * failing it, what a function of Python would refuse: too many, too few, unknown names,
 * one given twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_builtin.h"

#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"

#include <string.h>

const struct jinja_builtin *jinja_builtin_find(const struct jinja_builtin *rows, size_t n,
                                               const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

/* The place of a name among the parameters; their number where it is none of them. */
static size_t param_of(const char *params, const struct jinja_string *name)
{
    size_t i = 0;
    while (*params) {
        size_t len = strcspn(params, " ");
        if (len == name->len && memcmp(params, name->text, len) == 0)
            return i;
        params += len + (params[len] == ' ');
        i++;
    }
    return i;
}

static size_t count_params(const char *params)
{
    size_t n = *params != '\0';
    for (; *params; params++)
        n += *params == ' ';
    return n;
}

static void bind_named(struct jinja_render *r, const struct jinja_builtin *row,
                       struct jinja_args *args, size_t n)
{
    for (size_t i = 0; i < args->n_named; i++) {
        const struct jinja_string *name = args->named[i].name.string;
        size_t at = param_of(row->params, name);
        if (at >= n)
            jinja_render_fail(r, "%s() has no parameter '%.*s'", row->name,
                              (int)(name->len < 60 ? name->len : 60), name->text);
        else if (args->param[at])
            jinja_render_fail(r, "%s() is given '%.*s' twice", row->name, (int)name->len,
                              name->text);
        else
            args->param[at] = &args->named[i].value;
    }
}

struct jinja_value jinja_builtin_call(struct jinja_render *r,
                                      const struct jinja_builtin *row,
                                      struct jinja_value self,
                                      const struct jinja_args *given)
{
    struct jinja_args args = *given;
    if (!row->call)
        return jinja_render_fail(r, "%s() is refused: values cannot be changed here",
                                 row->name);
    if (row->params[0] == '*')
        return row->call(r, self, &args);
    size_t n = count_params(row->params);
    if (args.n > n)
        return jinja_render_fail(r, "%s() takes at most %zu arguments, %zu are given",
                                 row->name, n, args.n);
    for (size_t i = 0; i < args.n; i++)
        args.param[i] = &args.at[i];
    bind_named(r, row, &args, n);
    for (size_t i = 0; i < row->least; i++)
        if (!args.param[i])
            jinja_render_fail(r, "%s() needs %zu arguments", row->name, row->least);
    return r->failed ? (struct jinja_value){0} : row->call(r, self, &args);
}

bool jinja_builtin_given(const struct jinja_args *args, size_t i)
{
    return args->param[i] && args->param[i]->kind != JINJA_NONE;
}

const struct jinja_string *jinja_builtin_text(struct jinja_render *r,
                                              const struct jinja_args *args, size_t i)
{
    static const struct jinja_string none = {.text = ""};
    if (!args->param[i])
        return &none;
    if (args->param[i]->kind == JINJA_STRING)
        return args->param[i]->string;
    if (args->param[i]->kind == JINJA_UNDEFINED)
        jinja_operator_undefined(r, *args->param[i]);
    jinja_render_fail(r, "expected str, found %s", jinja_print_type(*args->param[i]));
    return &none;
}

int64_t jinja_builtin_int(struct jinja_render *r, const struct jinja_args *args, size_t i,
                          int64_t absent)
{
    if (!args->param[i])
        return absent;
    struct jinja_value v = *args->param[i];
    if (v.kind == JINJA_BOOL)
        return v.truth;
    if (v.kind == JINJA_INT)
        return v.integer;
    if (v.kind == JINJA_UNDEFINED)
        jinja_operator_undefined(r, v);
    jinja_render_fail(r, "expected int, found %s", jinja_print_type(v));
    return absent;
}

bool jinja_builtin_bool(const struct jinja_args *args, size_t i, bool absent)
{
    return args->param[i] ? jinja_operator_truth(*args->param[i]) : absent;
}

const struct jinja_string *jinja_builtin_str(struct jinja_render *r, struct jinja_value v)
{
    static const struct jinja_string none = {.text = ""};
    if (v.kind == JINJA_STRING)
        return v.string;
    if (v.kind == JINJA_UNDEFINED)
        return &none;
    struct jinja_builder b;
    jinja_string_begin(&b, r);
    jinja_print(&b, v);
    v = jinja_string_end(&b);
    return r->failed ? &none : v.string;
}
