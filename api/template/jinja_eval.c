/*
 * Expressions, a function a kind of node. Runs on the render's thread. Every evaluation is
 * a step and a level of recursion; both are limited.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_eval.h"

#include "api/template/jinja_arithmetic.h"
#include "api/template/jinja_attribute.h"
#include "api/template/jinja_call.h"
#include "api/template/jinja_lexer.h"
#include "api/template/jinja_method.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_test.h"

static struct jinja_value eval_constant(struct jinja_render *r,
                                        const struct jinja_node *node)
{
    (void)r;
    return node->constant;
}

static struct jinja_value eval_name(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value v = *jinja_call_slot(r->here, node->ref);
    if (v.kind == JINJA_UNDEFINED && !v.name)
        v.name = node->name.text;
    return v;
}

static struct jinja_value eval_list(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value list = jinja_render_list(r);
    for (size_t i = 0; i < node->list.n && !r->failed; i++)
        jinja_render_add(r, list.list, jinja_eval(r, node->list.at[i]));
    if (!r->failed && node->kind == JINJA_TUPLE_OF)
        list.kind = JINJA_TUPLE;
    return list;
}

static struct jinja_value eval_dict(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value dict = jinja_render_dict(r);
    for (size_t i = 0; i + 1 < node->list.n && !r->failed; i += 2) {
        struct jinja_value key = jinja_eval(r, node->list.at[i]);
        struct jinja_value value = jinja_eval(r, node->list.at[i + 1]);
        if (!r->failed)
            jinja_render_put(r, dict.dict, key, value);
    }
    return dict;
}

static struct jinja_value eval_attribute(struct jinja_render *r,
                                         const struct jinja_node *node)
{
    struct jinja_value of = jinja_eval(r, node->of);
    return r->failed ? of : jinja_attribute(r, of, node->word.string);
}

/* A bound of a slice; false: left out. */
static bool bound(struct jinja_render *r, const struct jinja_node *node, int64_t *at)
{
    if (!node)
        return false;
    struct jinja_value v = jinja_eval(r, node);
    if (v.kind == JINJA_NONE || r->failed)
        return false;
    *at = v.kind == JINJA_BOOL ? v.truth : v.integer;
    if (v.kind == JINJA_UNDEFINED)
        jinja_operator_undefined(r, v);
    else if (v.kind != JINJA_INT && v.kind != JINJA_BOOL)
        jinja_render_fail(r, "slice indices must be integers or None, not %s",
                          jinja_print_type(v));
    return !r->failed;
}

static struct jinja_value eval_slice(struct jinja_render *r, struct jinja_value of,
                                     const struct jinja_node *slice)
{
    int64_t from, to, step;
    bool has_from = bound(r, slice->a, &from);
    bool has_to = bound(r, slice->b, &to);
    bool has_step = bound(r, slice->c, &step);
    if (r->failed)
        return of;
    return jinja_sequence_slice(r, of, has_from ? &from : NULL, has_to ? &to : NULL,
                                has_step ? &step : NULL);
}

static struct jinja_value eval_item(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value of = jinja_eval(r, node->a);
    if (!r->failed && of.kind == JINJA_UNDEFINED)
        return jinja_operator_undefined(r, of);
    if (!r->failed && node->b->kind == JINJA_SLICE)
        return eval_slice(r, of, node->b);
    struct jinja_value key = r->failed ? of : jinja_eval(r, node->b);
    return r->failed ? key : jinja_attribute_item(r, of, key);
}

static struct jinja_value eval_stray_slice(struct jinja_render *r,
                                           const struct jinja_node *node)
{
    (void)node;
    return jinja_render_fail(r, "slices of several dimensions are not supported");
}

/* A method is called without a value for it in between. */
static struct jinja_value call_member(struct jinja_render *r,
                                      const struct jinja_node *node,
                                      const struct jinja_value *caller)
{
    struct jinja_args args;
    struct jinja_value few[JINJA_CALL_FEW];
    const struct jinja_string *name = node->of->word.string;
    struct jinja_value self = jinja_eval(r, node->of->of);
    const struct jinja_builtin *row =
        r->failed ? NULL : jinja_method_find(self, name->text, name->len);
    struct jinja_value member = {0};
    if (!row && !r->failed)
        member = jinja_attribute(r, self, name);
    if (r->failed || !jinja_call_args(r, &node->args, caller, few, &args))
        return (struct jinja_value){0};
    if (row)
        return jinja_builtin_call(r, row, self, &args);
    if (member.kind == JINJA_UNDEFINED)
        return jinja_render_fail(r, "'%s' has no method '%.*s'", jinja_print_type(self),
                                 (int)name->len, name->text);
    return jinja_call(r, member, &args);
}

struct jinja_value jinja_eval_call(struct jinja_render *r, const struct jinja_node *node,
                                   const struct jinja_value *caller)
{
    struct jinja_args args;
    struct jinja_value few[JINJA_CALL_FEW], v;
    if (node->of->kind == JINJA_ATTRIBUTE) {
        v = call_member(r, node, caller);
    } else {
        v = jinja_eval(r, node->of);
        if (!r->failed && jinja_call_args(r, &node->args, caller, few, &args))
            v = jinja_call(r, v, &args);
    }
    jinja_render_place(r, node->line, node->at.from, node->at.to);
    return v;
}

static struct jinja_value eval_call(struct jinja_render *r, const struct jinja_node *node)
{
    return jinja_eval_call(r, node, NULL);
}

static struct jinja_value eval_row(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_args args;
    struct jinja_value few[JINJA_CALL_FEW];
    struct jinja_value of = node->of ? jinja_eval(r, node->of) : r->body;
    if (r->failed)
        return of;
    if (!node->impl)
        return jinja_render_fail(r, "there is no %s '%.*s'",
                                 node->kind == JINJA_TEST ? "test" : "filter",
                                 (int)node->word.string->len, node->word.string->text);
    if (!jinja_call_args(r, &node->args, NULL, few, &args))
        return of;
    return jinja_builtin_call(r, node->impl, of, &args);
}

static struct jinja_value eval_not(struct jinja_render *r, const struct jinja_node *node)
{
    return jinja_bool(!jinja_operator_truth(jinja_eval(r, node->a)));
}

static struct jinja_value eval_sign(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value v = jinja_eval(r, node->a);
    return r->failed ? v : jinja_arithmetic_sign(r, node->op, v);
}

/* A chain of a + b + c under way. Texts go into one builder: no copy of what is joined so
 * far at every +. */
struct sum {
    struct jinja_value value;
    struct jinja_builder text; /* while `joins`: the value */
    bool joins;
};

static bool is_plain(struct jinja_value v)
{
    return v.kind == JINJA_STRING && !v.string->safe;
}

static struct jinja_value close_sum(struct sum *sum)
{
    if (sum->joins)
        sum->value = jinja_string_end(&sum->text);
    sum->joins = false;
    return sum->value;
}

static void add_to(struct jinja_render *r, struct sum *sum, struct jinja_value v)
{
    if (!is_plain(v) || !(sum->joins || is_plain(sum->value))) {
        close_sum(sum);
        sum->value = r->failed ? v : jinja_arithmetic(r, JINJA_T_ADD, sum->value, v);
        return;
    }
    if (!sum->joins) {
        sum->joins = true;
        jinja_string_begin(&sum->text, r);
        jinja_string_join(&sum->text, sum->value.string);
    }
    jinja_string_join(&sum->text, v.string);
}

static void eval_sum(struct jinja_render *r, const struct jinja_node *node,
                     struct sum *sum)
{
    if (node->a->kind == JINJA_BINARY && node->a->op == JINJA_T_ADD &&
        jinja_render_work(r, 0))
        eval_sum(r, node->a, sum);
    else
        sum->value = jinja_eval(r, node->a);
    struct jinja_value v = r->failed ? sum->value : jinja_eval(r, node->b);
    if (!r->failed)
        add_to(r, sum, v);
    if (r->failed)
        jinja_render_place(r, node->line, node->at.from, node->at.to);
}

static struct jinja_value eval_binary(struct jinja_render *r,
                                      const struct jinja_node *node)
{
    struct sum sum = {.joins = false};
    if (node->op == JINJA_T_ADD) {
        eval_sum(r, node, &sum);
        return r->failed ? sum.value : close_sum(&sum);
    }
    struct jinja_value a = jinja_eval(r, node->a);
    struct jinja_value b = r->failed ? a : jinja_eval(r, node->b);
    return r->failed ? b : jinja_arithmetic(r, node->op, a, b);
}

static struct jinja_value eval_concat(struct jinja_render *r,
                                      const struct jinja_node *node)
{
    struct jinja_builder b;
    jinja_string_begin(&b, r);
    for (size_t i = 0; i < node->list.n && !r->failed; i++) {
        struct jinja_value v = jinja_eval(r, node->list.at[i]);
        if (!r->failed)
            jinja_print(&b, v);
    }
    return jinja_string_end(&b);
}

static struct jinja_value eval_compare(struct jinja_render *r,
                                       const struct jinja_node *node)
{
    struct jinja_value a = jinja_eval(r, node->list.at[0]);
    bool holds = true;
    for (size_t i = 1; i < node->list.n && holds && !r->failed; i++) {
        struct jinja_value b = jinja_eval(r, node->list.at[i]);
        holds = !r->failed && jinja_operator_compare(r, node->ops[i - 1], a, b);
        a = b;
    }
    return jinja_bool(holds);
}

static struct jinja_value eval_and(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value a = jinja_eval(r, node->a);
    return r->failed || !jinja_operator_truth(a) ? a : jinja_eval(r, node->b);
}

static struct jinja_value eval_or(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value a = jinja_eval(r, node->a);
    return r->failed || jinja_operator_truth(a) ? a : jinja_eval(r, node->b);
}

static struct jinja_value eval_choice(struct jinja_render *r,
                                      const struct jinja_node *node)
{
    struct jinja_value test = jinja_eval(r, node->b);
    if (r->failed)
        return test;
    if (jinja_operator_truth(test))
        return jinja_eval(r, node->a);
    return node->c ? jinja_eval(r, node->c)
                   : (struct jinja_value){.name = "an `if` without `else`"};
}

typedef struct jinja_value eval_fn(struct jinja_render *r, const struct jinja_node *node);

static eval_fn *const evals[JINJA_N_EXPRESSIONS] = {
    [JINJA_CONSTANT] = eval_constant, [JINJA_NAME] = eval_name,
    [JINJA_LIST_OF] = eval_list,      [JINJA_TUPLE_OF] = eval_list,
    [JINJA_DICT_OF] = eval_dict,      [JINJA_ATTRIBUTE] = eval_attribute,
    [JINJA_ITEM] = eval_item,         [JINJA_SLICE] = eval_stray_slice,
    [JINJA_CALL] = eval_call,         [JINJA_FILTER] = eval_row,
    [JINJA_TEST] = eval_row,          [JINJA_NOT] = eval_not,
    [JINJA_SIGN] = eval_sign,         [JINJA_BINARY] = eval_binary,
    [JINJA_CONCAT] = eval_concat,     [JINJA_COMPARE] = eval_compare,
    [JINJA_AND] = eval_and,           [JINJA_OR] = eval_or,
    [JINJA_CHOICE] = eval_choice,
};

struct jinja_value jinja_eval(struct jinja_render *r, const struct jinja_node *node)
{
    if (node->kind == JINJA_CONSTANT)
        return node->constant;
    if (!jinja_render_enter(r))
        return (struct jinja_value){0};
    struct jinja_value v = {0};
    if (jinja_render_work(r, 0))
        v = evals[node->kind](r, node);
    jinja_render_leave(r);
    if (r->failed)
        jinja_render_place(r, node->line, node->at.from, node->at.to);
    return v;
}
