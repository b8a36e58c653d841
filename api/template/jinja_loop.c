/*
 * Loops. Runs on the render's thread.
 *
 * The subtle point is the order of what can be seen: items are tested as they are asked
 * for, one ahead of the body where loop.last or loop.nextitem look, all of them where
 * loop.length counts. `else` runs when no round came to its end, as jinja2 has it: a
 * round that is broken off or continued does not count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_loop.h"

#include "api/template/jinja_call.h"
#include "api/template/jinja_eval.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_statement.h"

#include <string.h>

struct jinja_loop {
    const struct jinja_node *node;
    struct jinja_activation *home; /* where the statement stands */
    struct jinja_cursor items;
    bool tested; /* items passed the loop's test already */
    bool has_after, has_changed;
    int64_t index0, depth0;
    int64_t length; /* -1: not counted yet */
    struct jinja_value before, current, after, changed;
};

/* The next item that passes the test. */
static bool pull(struct jinja_render *r, struct jinja_loop *l, struct jinja_value *out)
{
    const struct jinja_for *loop = l->node->loop;
    while (jinja_sequence_next(r, &l->items, out)) {
        if (!loop->test || l->tested)
            return true;
        jinja_statement_assign(r, loop->test_target, *out);
        bool passes = !r->failed && jinja_operator_truth(jinja_eval(r, loop->test));
        if (r->failed || passes)
            return !r->failed;
    }
    return false;
}

static bool peek(struct jinja_render *r, struct jinja_loop *l)
{
    if (!l->has_after)
        l->has_after = pull(r, l, &l->after);
    return l->has_after;
}

static bool next(struct jinja_render *r, struct jinja_loop *l)
{
    struct jinja_value item = l->after;
    if (!l->has_after && !pull(r, l, &item))
        return false;
    l->has_after = false;
    l->before = l->current;
    l->current = item;
    l->index0++;
    return true;
}

/* What is left becomes a list, where a test or an iterator hides how much it is. */
static int64_t length(struct jinja_render *r, struct jinja_loop *l)
{
    size_t n = 0;
    if (l->length >= 0)
        return l->length;
    bool counted = !l->node->loop->test && jinja_sequence_len(r, l->items.of, &n);
    struct jinja_value rest = counted ? l->items.of : jinja_render_list(r), item;
    while (!counted && !r->failed && pull(r, l, &item))
        jinja_render_add(r, rest.list, item);
    if (r->failed)
        return 0;
    l->length = (int64_t)n;
    if (counted)
        return l->length;
    l->tested = true;
    l->items = (struct jinja_cursor){.of = rest};
    l->length = (int64_t)rest.list->n + l->index0 + 1 + l->has_after;
    return l->length;
}

/* ---- the variable ---- */

static struct jinja_value cycle(struct jinja_render *r, struct jinja_value self,
                                const struct jinja_args *args)
{
    if (args->n == 0)
        return jinja_render_fail(r, "no items for cycling given");
    return args->at[(size_t)self.callable->loop->index0 % args->n];
}

static struct jinja_value changed(struct jinja_render *r, struct jinja_value self,
                                  const struct jinja_args *args)
{
    struct jinja_loop *l = self.callable->loop;
    struct jinja_value now = jinja_render_list(r);
    for (size_t i = 0; i < args->n && !r->failed; i++)
        jinja_render_add(r, now.list, args->at[i]);
    if (l->has_changed && jinja_operator_equal(r, now, l->changed))
        return jinja_bool(false);
    l->has_changed = true;
    l->changed = now;
    return jinja_bool(true);
}

static const struct jinja_builtin methods[] = {
    {"cycle", cycle, "*", 0},
    {"changed", changed, "*", 0},
};

enum member {
    INDEX,
    INDEX0,
    FIRST,
    LAST,
    LENGTH,
    REVINDEX,
    REVINDEX0,
    DEPTH,
    DEPTH0,
    PREVITEM,
    NEXTITEM,
    N_MEMBERS
};

static const char members[N_MEMBERS][10] = {
    [INDEX] = "index",         [INDEX0] = "index0",     [FIRST] = "first",
    [LAST] = "last",           [LENGTH] = "length",     [REVINDEX] = "revindex",
    [REVINDEX0] = "revindex0", [DEPTH] = "depth",       [DEPTH0] = "depth0",
    [PREVITEM] = "previtem",   [NEXTITEM] = "nextitem",
};

static struct jinja_value read_member(struct jinja_render *r, struct jinja_loop *l,
                                      enum member which)
{
    switch (which) {
    case INDEX:
        return jinja_int(l->index0 + 1);
    case INDEX0:
        return jinja_int(l->index0);
    case FIRST:
        return jinja_bool(l->index0 == 0);
    case LAST:
        return jinja_bool(!peek(r, l));
    case LENGTH:
        return jinja_int(length(r, l));
    case REVINDEX:
        return jinja_int(length(r, l) - l->index0);
    case REVINDEX0:
        return jinja_int(length(r, l) - l->index0 - 1);
    case DEPTH:
        return jinja_int(l->depth0 + 1);
    case DEPTH0:
        return jinja_int(l->depth0);
    case PREVITEM:
        return l->index0 > 0 ? l->before : (struct jinja_value){.name = "loop.previtem"};
    default:
        return peek(r, l) ? l->after : (struct jinja_value){.name = "loop.nextitem"};
    }
}

struct jinja_value jinja_loop_member(struct jinja_render *r, struct jinja_loop *loop,
                                     const struct jinja_string *name)
{
    for (int i = 0; i < N_MEMBERS; i++)
        if (strlen(members[i]) == name->len &&
            memcmp(members[i], name->text, name->len) == 0)
            return read_member(r, loop, (enum member)i);
    const struct jinja_builtin *row = jinja_builtin_find(
        methods, sizeof methods / sizeof *methods, name->text, name->len);
    if (row)
        return jinja_call_method(r, row, jinja_call_loop(r, loop));
    return (struct jinja_value){.name = "a member of loop"};
}

/* ---- rounds ---- */

static void run_rounds(struct jinja_render *r, struct jinja_loop *l)
{
    const struct jinja_for *loop = l->node->loop;
    bool complete = false;
    enum jinja_flow flow = JINJA_FLOW_NEXT;
    jinja_call_load(r, &loop->test_loads);
    struct jinja_value self =
        loop->loop >= 0 ? jinja_call_loop(r, l) : (struct jinja_value){0};
    while (flow != JINJA_FLOW_BREAK && !r->failed && next(r, l)) {
        if (loop->loop >= 0)
            r->here->slots[loop->loop] = self;
        jinja_statement_assign(r, loop->target, l->current);
        jinja_call_load(r, &loop->body_loads);
        flow = jinja_statement_run(r, &loop->body);
        complete |= flow == JINJA_FLOW_NEXT;
    }
    if (complete || r->failed || loop->otherwise.n == 0)
        return;
    jinja_call_load(r, &loop->otherwise_loads);
    jinja_statement_run(r, &loop->otherwise);
}

/* Iterates over v with a loop's body; r->here is where the statement stands. */
static void run(struct jinja_render *r, const struct jinja_node *node,
                struct jinja_value v, int64_t depth0)
{
    struct jinja_loop *l = jinja_render_alloc(r, sizeof *l);
    struct jinja_activation *here = r->here;
    if (!l)
        return;
    *l = (struct jinja_loop){
        .node = node, .home = here, .index0 = -1, .depth0 = depth0, .length = -1};
    if (!jinja_sequence_begin(r, v, &l->items)) {
        const struct jinja_node *iter = node->loop->iter;
        jinja_render_place(r, iter->line, iter->at.from, iter->at.to);
        return;
    }
    if (node->loop->recursive)
        r->here = jinja_call_enter(r, node->loop->recursive, here);
    if (!r->failed)
        run_rounds(r, l);
    r->here = here;
}

void jinja_loop_run(struct jinja_render *r, const struct jinja_node *node)
{
    struct jinja_value v = jinja_eval(r, node->loop->iter);
    if (!r->failed)
        run(r, node, v, 0);
}

struct jinja_value jinja_loop_again(struct jinja_render *r, struct jinja_loop *loop,
                                    const struct jinja_args *args)
{
    struct jinja_activation *here = r->here;
    struct jinja_builder *out = r->out, own;
    if (!loop->node->loop->recursive)
        return jinja_render_fail(r, "the loop must be marked 'recursive' to be called");
    if (args->n != 1 || args->n_named > 0)
        return jinja_render_fail(r, "loop() takes one argument, %zu are given", args->n);
    jinja_string_begin(&own, r);
    r->out = &own;
    r->here = loop->home;
    run(r, loop->node, args->at[0], loop->depth0 + 1);
    r->here = here;
    r->out = out;
    return jinja_string_end(&own);
}
