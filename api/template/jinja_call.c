/*
 * Calls. Runs on the render's thread; refuses, by failing it, calls within calls beyond
 * the limit and arguments that a macro does not take.
 *
 * The subtle point: a macro sees the variables of where it was defined as they are when
 * it is called, as a closure of Python does; an activation stays in the arena for that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_call.h"

#include "api/template/jinja_eval.h"
#include "api/template/jinja_global.h"
#include "api/template/jinja_loop.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_statement.h"

#include <string.h>

static struct jinja_value callable_new(struct jinja_render *r, struct jinja_callable from)
{
    struct jinja_callable *c = jinja_render_alloc(r, sizeof *c);
    if (!c)
        return (struct jinja_value){0};
    *c = from;
    return (struct jinja_value){.kind = JINJA_CALLABLE, .callable = c};
}

struct jinja_value jinja_call_macro(struct jinja_render *r,
                                    const struct jinja_function *function)
{
    return callable_new(r,
                        (struct jinja_callable){.function = function, .home = r->here});
}

struct jinja_value jinja_call_method(struct jinja_render *r,
                                     const struct jinja_builtin *row,
                                     struct jinja_value self)
{
    return callable_new(r, (struct jinja_callable){.row = row, .self = self});
}

struct jinja_value jinja_call_loop(struct jinja_render *r, struct jinja_loop *loop)
{
    return callable_new(r, (struct jinja_callable){.loop = loop});
}

struct jinja_activation *jinja_call_enter(struct jinja_render *r,
                                          const struct jinja_function *function,
                                          struct jinja_activation *outer)
{
    size_t bytes = function->n_slots * sizeof(struct jinja_value);
    struct jinja_activation *a = jinja_render_alloc(r, sizeof *a + bytes);
    if (!a)
        return NULL;
    a->outer = outer;
    memset(a->slots, 0, bytes);
    return a;
}

void jinja_call_load(struct jinja_render *r, const struct jinja_loads *loads)
{
    for (size_t i = 0; i < loads->n; i++) {
        const struct jinja_load *load = &loads->at[i];
        struct jinja_value *v = &r->here->slots[load->slot];
        if (load->from == JINJA_FROM_OUTER)
            *v = *jinja_call_slot(r->here, load->outer);
        else if (load->from == JINJA_FROM_GLOBALS)
            *v = jinja_global_find(r, load->name.text, load->name.len);
        else
            *v = (struct jinja_value){0};
    }
}

/* ---- arguments ---- */

static bool add_rest(struct jinja_render *r, struct jinja_value rest,
                     struct jinja_args *args)
{
    struct jinja_value list = jinja_sequence_list(r, rest);
    if (r->failed)
        return false;
    struct jinja_value *at = jinja_render_alloc(r, (args->n + list.list->n) * sizeof *at);
    if (!at)
        return false;
    if (args->n > 0)
        memcpy(at, args->at, args->n * sizeof *at);
    if (list.list->n > 0)
        memcpy(at + args->n, list.list->items, list.list->n * sizeof *at);
    args->at = at;
    args->n += list.list->n;
    return true;
}

static const struct jinja_dict *rest_named(struct jinja_render *r,
                                           const struct jinja_node *node)
{
    static const struct jinja_dict none;
    struct jinja_value v = node ? jinja_eval(r, node) : (struct jinja_value){0};
    if (!node || r->failed)
        return &none;
    if (v.kind != JINJA_DICT) {
        jinja_render_fail(r, "argument after ** must be a mapping, not %s",
                          jinja_print_type(v));
        return &none;
    }
    for (size_t i = 0; i < v.dict->n; i++)
        if (v.dict->entries[i].key.kind != JINJA_STRING)
            jinja_render_fail(r, "keywords must be strings");
    return v.dict;
}

static bool add_named(struct jinja_render *r, const struct jinja_arguments *from,
                      const struct jinja_value *caller, struct jinja_args *args)
{
    static const struct jinja_string caller_name = {.text = "caller", .len = 6};
    const struct jinja_dict *rest = rest_named(r, from->rest_named);
    size_t n = from->n_named + rest->n + (caller != NULL), at = 0;
    struct jinja_named *named = n > 0 ? jinja_render_alloc(r, n * sizeof *named) : NULL;
    if (n == 0 || !named)
        return !r->failed;
    for (size_t i = 0; i < from->n_named; i++)
        named[at++] = (struct jinja_named){from->named[i].name,
                                           jinja_eval(r, from->named[i].value)};
    for (size_t i = 0; i < rest->n; i++)
        named[at++] = (struct jinja_named){rest->entries[i].key, rest->entries[i].value};
    if (caller)
        named[at++] =
            (struct jinja_named){{.kind = JINJA_STRING, .string = &caller_name}, *caller};
    args->named = named;
    args->n_named = n;
    return !r->failed;
}

bool jinja_call_args(struct jinja_render *r, const struct jinja_arguments *from,
                     const struct jinja_value *caller,
                     struct jinja_value few[JINJA_CALL_FEW], struct jinja_args *args)
{
    size_t n = from->plain.n;
    struct jinja_value *at =
        n <= JINJA_CALL_FEW ? few : jinja_render_alloc(r, n * sizeof *at);
    *args = (struct jinja_args){.at = at, .n = n};
    for (size_t i = 0; at && i < n && !r->failed; i++)
        at[i] = jinja_eval(r, from->plain.at[i]);
    if (r->failed || (from->rest && !add_rest(r, jinja_eval(r, from->rest), args)))
        return false;
    if (from->n_named == 0 && !from->rest_named && !caller)
        return !r->failed;
    return add_named(r, from, caller, args);
}

/* ---- macros ---- */

static bool same_name(struct jinja_value name, const struct jinja_name *other)
{
    return name.string->len == other->len &&
           memcmp(name.string->text, other->text, other->len) == 0;
}

/* The parameter that an argument by name fills; params.n: none. */
static size_t param_of(const struct jinja_function *f, struct jinja_value name)
{
    size_t i = 0;
    while (i < f->params.n && !same_name(name, &f->params.at[i]->name))
        i++;
    return i;
}

static void take_kwargs(struct jinja_render *r, const struct jinja_function *f,
                        const struct jinja_args *args)
{
    static const struct jinja_name caller = {"caller", 6};
    struct jinja_value rest =
        f->kwargs >= 0 ? jinja_render_dict(r) : (struct jinja_value){0};
    for (size_t i = 0; i < args->n_named && !r->failed; i++) {
        struct jinja_named named = args->named[i];
        size_t at = param_of(f, named.name);
        if (at < f->params.n && at >= args->n)
            r->here->slots[f->params.at[at]->ref.slot] = named.value;
        else if (f->caller >= 0 && same_name(named.name, &caller))
            r->here->slots[f->caller] = named.value;
        else if (f->kwargs >= 0)
            jinja_render_put(r, rest.dict, named.name, named.value);
        else
            jinja_render_fail(r, "macro '%s' takes no keyword argument '%.*s'",
                              f->name.len ? f->name.text : "caller",
                              (int)named.name.string->len, named.name.string->text);
    }
    if (f->kwargs >= 0)
        r->here->slots[f->kwargs] = rest;
}

static void take_varargs(struct jinja_render *r, const struct jinja_function *f,
                         const struct jinja_args *args)
{
    if (f->varargs < 0 && args->n > f->params.n)
        jinja_render_fail(r, "macro '%s' takes not more than %zu argument(s)",
                          f->name.len ? f->name.text : "caller", f->params.n);
    if (f->varargs < 0 || r->failed)
        return;
    struct jinja_value rest = jinja_render_list(r);
    for (size_t i = f->params.n; i < args->n && !r->failed; i++)
        jinja_render_add(r, rest.list, args->at[i]);
    rest.kind = r->failed ? JINJA_UNDEFINED : JINJA_TUPLE;
    r->here->slots[f->varargs] = rest;
}

static void take_args(struct jinja_render *r, const struct jinja_function *f,
                      const struct jinja_args *args)
{
    for (size_t i = 0; i < args->n && i < f->params.n; i++)
        r->here->slots[f->params.at[i]->ref.slot] = args->at[i];
    if (f->caller >= 0)
        r->here->slots[f->caller] = (struct jinja_value){.name = "caller"};
    take_kwargs(r, f, args);
    take_varargs(r, f, args);
    jinja_call_load(r, &f->loads);
    for (size_t i = 0; i < f->params.n && !r->failed; i++) {
        struct jinja_value *v = &r->here->slots[f->params.at[i]->ref.slot];
        size_t with = f->params.n - f->defaults.n;
        if (v->kind == JINJA_UNDEFINED && !v->name)
            *v = i >= with ? jinja_eval(r, f->defaults.at[i - with])
                           : (struct jinja_value){.name = f->params.at[i]->name.text};
    }
}

static struct jinja_value run_macro(struct jinja_render *r,
                                    const struct jinja_callable *c,
                                    const struct jinja_args *args)
{
    struct jinja_activation *here = r->here;
    struct jinja_builder *out = r->out, own;
    jinja_string_begin(&own, r);
    r->out = &own;
    r->here = jinja_call_enter(r, c->function, c->home);
    if (r->here)
        take_args(r, c->function, args);
    if (!r->failed)
        jinja_statement_run(r, &c->function->body);
    r->here = here;
    r->out = out;
    return jinja_string_end(&own);
}

struct jinja_value jinja_call(struct jinja_render *r, struct jinja_value v,
                              const struct jinja_args *args)
{
    if (v.kind == JINJA_UNDEFINED)
        return jinja_operator_undefined(r, v);
    if (v.kind != JINJA_CALLABLE)
        return jinja_render_fail(r, "'%s' object is not callable", jinja_print_type(v));
    const struct jinja_callable *c = v.callable;
    if (c->row)
        return jinja_builtin_call(r, c->row, c->self, args);
    if (r->calls >= r->args->limits->depth)
        return jinja_render_fail(r, "the limit of %d calls within calls is reached",
                                 r->args->limits->depth);
    r->calls++;
    v = c->loop ? jinja_loop_again(r, c->loop, args) : run_macro(r, c, args);
    r->calls--;
    return v;
}
