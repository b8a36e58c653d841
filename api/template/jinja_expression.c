/*
 * Operators and targets by recursive descent, a function a level of precedence. Runs on
 * the thread that compiles.
 *
 * The subtle points are jinja2's: `**` binds to the left, a sign binds before a filter
 * (-1|abs is (-1)|abs) but after `.` and `[`, `is` binds as a filter does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_expression.h"

#include "api/template/jinja_postfix.h"
#include "api/template/jinja_primary.h"

#include <string.h>

struct jinja_node *jinja_expression_negate(struct jinja_parser *p,
                                           struct jinja_node *node)
{
    struct jinja_node *not_it = jinja_parser_node_on(p, JINJA_NOT, node);
    if (not_it)
        not_it->a = node;
    return jinja_parser_ends(p, not_it);
}

static struct jinja_node *parse_signed(struct jinja_parser *p)
{
    if (p->token->kind != JINJA_T_SUB && p->token->kind != JINJA_T_ADD)
        return jinja_postfix(p, jinja_primary(p));
    struct jinja_node *node = jinja_parser_node(p, JINJA_SIGN);
    int op = (int)jinja_parser_next(p)->kind;
    if (++p->nested > JINJA_NODE_DEPTH)
        jinja_source_fail(p->source, p->token->line, "too many signs in a row");
    struct jinja_node *value = p->source->failed ? NULL : parse_signed(p);
    p->nested--;
    jinja_node_adopt(p->source, node, value);
    if (p->source->failed)
        return NULL;
    node->op = op;
    node->a = value;
    return jinja_postfix(p, node);
}

static struct jinja_node *parse_unary(struct jinja_parser *p)
{
    return jinja_postfix_filters_and_tests(p, parse_signed(p));
}

static struct jinja_node *binary(struct jinja_parser *p, enum jinja_node_kind kind,
                                 struct jinja_node *a, jinja_parser_fn *parse)
{
    struct jinja_node *node = jinja_parser_node_on(p, kind, a);
    int op = (int)jinja_parser_next(p)->kind;
    struct jinja_node *b = parse(p);
    jinja_node_adopt(p->source, node, b);
    if (p->source->failed)
        return NULL;
    node->op = op;
    node->a = a;
    node->b = b;
    return node;
}

static struct jinja_node *parse_power(struct jinja_parser *p)
{
    struct jinja_node *node = parse_unary(p);
    while (node && p->token->kind == JINJA_T_POW)
        node = binary(p, JINJA_BINARY, node, parse_unary);
    return node;
}

static struct jinja_node *parse_product(struct jinja_parser *p)
{
    struct jinja_node *node = parse_power(p);
    while (node && (p->token->kind == JINJA_T_MUL || p->token->kind == JINJA_T_DIV ||
                    p->token->kind == JINJA_T_FLOORDIV || p->token->kind == JINJA_T_MOD))
        node = binary(p, JINJA_BINARY, node, parse_power);
    return node;
}

static struct jinja_node *parse_concat(struct jinja_parser *p)
{
    struct jinja_node *first = parse_product(p);
    if (!first || p->token->kind != JINJA_T_TILDE)
        return first;
    struct jinja_node *node = jinja_parser_node_on(p, JINJA_CONCAT, first);
    jinja_parser_add(p, node, first);
    while (!p->source->failed && jinja_parser_skip(p, JINJA_T_TILDE))
        jinja_parser_add(p, node, parse_product(p));
    return jinja_parser_ends(p, node);
}

static struct jinja_node *parse_sum(struct jinja_parser *p)
{
    struct jinja_node *node = parse_concat(p);
    while (node && (p->token->kind == JINJA_T_ADD || p->token->kind == JINJA_T_SUB))
        node = binary(p, JINJA_BINARY, node, parse_concat);
    return node;
}

/* An operator of comparison, which is stepped over; 0: none stands here. */
static int comparison(struct jinja_parser *p)
{
    enum jinja_token_kind kind = p->token->kind;
    if (kind >= JINJA_T_EQ && kind <= JINJA_T_LT)
        return (int)jinja_parser_next(p)->kind;
    if (jinja_parser_skip_word(p, "in"))
        return JINJA_OP_IN;
    if (!jinja_parser_is_word(p, "not") || p->token[1].kind != JINJA_T_NAME ||
        p->token[1].len != 2 || memcmp(p->token[1].text, "in", 2) != 0)
        return 0;
    jinja_parser_next(p);
    jinja_parser_next(p);
    return JINJA_OP_NOT_IN;
}

static struct jinja_node *parse_comparison(struct jinja_parser *p)
{
    struct jinja_node *first = parse_sum(p);
    int op = first ? comparison(p) : 0;
    if (!op)
        return first;
    struct jinja_node *node = jinja_parser_node_on(p, JINJA_COMPARE, first);
    int *ops = NULL;
    size_t n = 0, cap = 0;
    jinja_parser_add(p, node, first);
    for (; op && !p->source->failed; op = comparison(p)) {
        ops = jinja_source_grow(p->source, ops, n, &cap, sizeof *ops);
        if (ops)
            ops[n++] = op;
        jinja_parser_add(p, node, parse_sum(p));
    }
    if (node)
        node->ops = ops;
    return jinja_parser_ends(p, node);
}

static struct jinja_node *parse_not(struct jinja_parser *p)
{
    size_t n = 0;
    uint32_t from = p->token->at.from;
    while (jinja_parser_skip_word(p, "not"))
        n++;
    struct jinja_node *node = parse_comparison(p);
    for (; n > 0 && node; n--) {
        node = jinja_expression_negate(p, node);
        if (node)
            node->at.from = from;
    }
    return node;
}

static struct jinja_node *parse_and(struct jinja_parser *p)
{
    struct jinja_node *node = parse_not(p);
    while (node && jinja_parser_is_word(p, "and"))
        node = binary(p, JINJA_AND, node, parse_not);
    return node;
}

static struct jinja_node *parse_or(struct jinja_parser *p)
{
    if (++p->nested > JINJA_NODE_DEPTH)
        jinja_source_fail(p->source, p->token->line,
                          "an expression is nested too deeply");
    struct jinja_node *node = p->source->failed ? NULL : parse_and(p);
    while (node && jinja_parser_is_word(p, "or"))
        node = binary(p, JINJA_OR, node, parse_and);
    p->nested--;
    return node;
}

struct jinja_node *jinja_expression(struct jinja_parser *p)
{
    struct jinja_node *node = parse_or(p);
    while (node && jinja_parser_is_word(p, "if")) {
        node = binary(p, JINJA_CHOICE, node, parse_or);
        if (!node || !jinja_parser_skip_word(p, "else"))
            continue;
        if (++p->nested > JINJA_NODE_DEPTH)
            jinja_source_fail(p->source, p->token->line, "too many `else` in a row");
        node->c = p->source->failed ? NULL : jinja_expression(p);
        p->nested--;
        jinja_node_adopt(p->source, node, node->c);
    }
    return p->source->failed ? NULL : node;
}

struct jinja_node *jinja_expression_tuple(struct jinja_parser *p, bool choice,
                                          const char *end_word)
{
    return jinja_primary_tuple(p, choice ? jinja_expression : parse_or, false, end_word);
}

/* ---- targets ---- */

/* A loop's own variable cannot be its target. */
static bool is_target(const struct jinja_node *node, bool of_set)
{
    if (node->kind == JINJA_NAME || node->kind == JINJA_MEMBER)
        return of_set || node->name.len != 4 || memcmp(node->name.text, "loop", 4) != 0;
    if (node->kind != JINJA_TUPLE_OF)
        return false;
    for (size_t i = 0; i < node->list.n; i++)
        if (!is_target(node->list.at[i], of_set))
            return false;
    return true;
}

static struct jinja_node *parse_member(struct jinja_parser *p)
{
    if (p->token->kind != JINJA_T_NAME || p->token[1].kind != JINJA_T_DOT)
        return jinja_primary(p);
    struct jinja_node *node = jinja_parser_node(p, JINJA_MEMBER);
    struct jinja_name space = jinja_parser_name(p);
    jinja_parser_next(p); /* . */
    struct jinja_name member = jinja_parser_name(p);
    if (node) {
        node->name = space;
        node->member = member;
    }
    return jinja_parser_ends(p, node);
}

struct jinja_node *jinja_expression_target(struct jinja_parser *p, bool members,
                                           const char *end_word)
{
    struct jinja_node *node =
        jinja_primary_tuple(p, members ? parse_member : jinja_primary, false, end_word);
    if (node && !is_target(node, members))
        jinja_source_fail(p->source, node->line, "cannot assign to '%.*s'",
                          (int)(node->at.to - node->at.from) > 40
                              ? 40
                              : (int)(node->at.to - node->at.from),
                          p->source->text + node->at.from);
    return p->source->failed ? NULL : node;
}
