/*
 * Statements, a function a kind. Runs on the render's thread. A statement counts as a
 * step; the nesting of statements is limited by the parser, that of calls by jinja_call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_statement.h"

#include "api/template/jinja_call.h"
#include "api/template/jinja_eval.h"
#include "api/template/jinja_loop.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"

/* ---- targets ---- */

static void assign_member(struct jinja_render *r, const struct jinja_node *target,
                          struct jinja_value v)
{
    struct jinja_value space = *jinja_call_slot(r->here, target->ref);
    if (space.kind != JINJA_NAMESPACE) {
        jinja_render_fail(r, "cannot assign attribute on non-namespace object");
        return;
    }
    if (v.kind == JINJA_UNDEFINED && !v.name)
        v.name = target->member.text;
    struct jinja_value key = jinja_string_of(r, target->member.text, target->member.len);
    if (!r->failed)
        jinja_render_put(r, space.dict, key, v);
}

static void unpack(struct jinja_render *r, const struct jinja_nodes *targets,
                   struct jinja_value v)
{
    struct jinja_cursor c;
    struct jinja_value item;
    size_t n = 0;
    if (v.kind == JINJA_UNDEFINED)
        jinja_operator_undefined(r, v);
    else if (!jinja_sequence_iterable(v))
        jinja_render_fail(r, "cannot unpack non-iterable %s object", jinja_print_type(v));
    if (r->failed || !jinja_sequence_begin(r, v, &c))
        return;
    while (n < targets->n && jinja_sequence_next(r, &c, &item))
        jinja_statement_assign(r, targets->at[n++], item);
    if (n < targets->n)
        jinja_render_fail(r, "not enough values to unpack (expected %zu, got %zu)",
                          targets->n, n);
    else if (jinja_sequence_next(r, &c, &item))
        jinja_render_fail(r, "too many values to unpack (expected %zu)", targets->n);
}

void jinja_statement_assign(struct jinja_render *r, const struct jinja_node *target,
                            struct jinja_value v)
{
    if (r->failed)
        return;
    if (target->kind == JINJA_NAME)
        *jinja_call_slot(r->here, target->ref) = v;
    else if (target->kind == JINJA_MEMBER)
        assign_member(r, target, v);
    else
        unpack(r, &target->list, v);
    if (r->failed)
        jinja_render_place(r, target->line, target->at.from, target->at.to);
}

/* ---- statements ---- */

static enum jinja_flow run_output(struct jinja_render *r, const struct jinja_node *node)
{
    for (size_t i = 0; i < node->list.n && !r->failed; i++) {
        const struct jinja_node *item = node->list.at[i];
        struct jinja_value v = jinja_eval(r, item);
        if (!r->failed)
            jinja_print(r->out, v);
        if (r->failed)
            jinja_render_place(r, item->line, item->at.from, item->at.to);
    }
    return JINJA_FLOW_NEXT;
}

static bool holds(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value v = jinja_eval(r, node->branch.test);
    return !r->failed && jinja_operator_truth(v);
}

static enum jinja_flow run_if(struct jinja_render *r, const struct jinja_node *node)
{
    if (holds(r, node))
        return jinja_statement_run(r, &node->branch.then);
    for (size_t i = 0; i < node->branch.elifs.n && !r->failed; i++)
        if (holds(r, node->branch.elifs.at[i]))
            return jinja_statement_run(r, &node->branch.elifs.at[i]->branch.then);
    return r->failed ? JINJA_FLOW_NEXT : jinja_statement_run(r, &node->branch.otherwise);
}

static enum jinja_flow run_for(struct jinja_render *r, const struct jinja_node *node)
{
    jinja_loop_run(r, node);
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_set(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value v = jinja_eval(r, node->block.value);
    jinja_statement_assign(r, node->block.target, v);
    return JINJA_FLOW_NEXT;
}

/* What a body writes, in a scope of its own, after the filters (NULL: none). */
static struct jinja_value body_text(struct jinja_render *r, const struct jinja_node *node,
                                    enum jinja_flow *flow)
{
    struct jinja_builder *out = r->out, own;
    jinja_string_begin(&own, r);
    r->out = &own;
    jinja_call_load(r, &node->block.loads);
    *flow = jinja_statement_run(r, &node->block.body);
    r->out = out;
    struct jinja_value v = jinja_string_end(&own);
    if (!node->block.value || r->failed)
        return v;
    r->body = v;
    return jinja_eval(r, node->block.value);
}

static enum jinja_flow run_set_block(struct jinja_render *r,
                                     const struct jinja_node *node)
{
    enum jinja_flow flow;
    struct jinja_value v = body_text(r, node, &flow);
    if (flow == JINJA_FLOW_NEXT)
        jinja_statement_assign(r, node->block.target, v);
    return flow;
}

static enum jinja_flow run_filter_block(struct jinja_render *r,
                                        const struct jinja_node *node)
{
    enum jinja_flow flow;
    struct jinja_value v = body_text(r, node, &flow);
    if (!r->failed && flow == JINJA_FLOW_NEXT)
        jinja_print(r->out, v);
    return flow;
}

static enum jinja_flow run_macro(struct jinja_render *r, const struct jinja_node *node)
{
    jinja_statement_assign(r, node->block.target,
                           jinja_call_macro(r, node->block.function));
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_call_block(struct jinja_render *r,
                                      const struct jinja_node *node)
{
    struct jinja_value body = jinja_call_macro(r, node->block.function);
    if (r->failed)
        return JINJA_FLOW_NEXT;
    struct jinja_value v = jinja_eval_call(r, node->block.value, &body);
    if (!r->failed)
        jinja_print(r->out, v);
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_generation(struct jinja_render *r,
                                      const struct jinja_node *node)
{
    struct jinja_args none = {0};
    struct jinja_value body = jinja_call_macro(r, node->block.function);
    struct jinja_value v = r->failed ? body : jinja_call(r, body, &none);
    if (!r->failed)
        jinja_print(r->out, v);
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_with(struct jinja_render *r, const struct jinja_node *node)
{
    const struct jinja_nodes *targets = &node->block.target->list;
    for (size_t i = 0; i < targets->n && !r->failed; i++)
        jinja_statement_assign(r, targets->at[i],
                               jinja_eval(r, node->block.values.at[i]));
    jinja_call_load(r, &node->block.loads);
    return jinja_statement_run(r, &node->block.body);
}

static enum jinja_flow run_break(struct jinja_render *r, const struct jinja_node *node)
{
    (void)r;
    return node->kind == JINJA_BREAK ? JINJA_FLOW_BREAK : JINJA_FLOW_CONTINUE;
}

typedef enum jinja_flow run_fn(struct jinja_render *r, const struct jinja_node *node);

static run_fn *const runs[] = {
    [JINJA_OUTPUT] = run_output,
    [JINJA_IF] = run_if,
    [JINJA_FOR] = run_for,
    [JINJA_SET] = run_set,
    [JINJA_SET_BLOCK] = run_set_block,
    [JINJA_MACRO] = run_macro,
    [JINJA_CALL_BLOCK] = run_call_block,
    [JINJA_FILTER_BLOCK] = run_filter_block,
    [JINJA_GENERATION] = run_generation,
    [JINJA_WITH] = run_with,
    [JINJA_BREAK] = run_break,
    [JINJA_CONTINUE] = run_break,
};

enum jinja_flow jinja_statement_run(struct jinja_render *r,
                                    const struct jinja_nodes *body)
{
    for (size_t i = 0; i < body->n && !r->failed; i++) {
        const struct jinja_node *node = body->at[i];
        enum jinja_flow flow =
            jinja_render_work(r, 0) ? runs[node->kind](r, node) : JINJA_FLOW_NEXT;
        if (r->failed)
            jinja_render_place(r, node->line, node->at.from, node->at.to);
        if (flow != JINJA_FLOW_NEXT)
            return flow;
    }
    return JINJA_FLOW_NEXT;
}
