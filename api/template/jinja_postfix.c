/*
 * Attributes, items, calls, filters and tests. Runs on the thread that compiles; names of
 * filters and tests are looked up here, and missed only where they are reached.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_postfix.h"

#include "api/template/jinja_expression.h"
#include "api/template/jinja_filter.h"
#include "api/template/jinja_primary.h"
#include "api/template/jinja_test.h"

#include <string.h>

static bool is_word_operator(const struct jinja_token *t)
{
    return t->len == 2 && memcmp(t->text, "is", 2) == 0;
}

static struct jinja_node *parse_attribute(struct jinja_parser *p, struct jinja_node *of)
{
    jinja_parser_next(p);
    if (p->token->kind == JINJA_T_INTEGER) {
        struct jinja_node *item = jinja_parser_node_on(p, JINJA_ITEM, of),
                          *index = jinja_primary_number(p);
        if (item) {
            item->a = of;
            item->b = index;
        }
        return jinja_parser_ends(p, item);
    }
    struct jinja_node *node = jinja_parser_node_on(p, JINJA_ATTRIBUTE, of);
    struct jinja_name name = jinja_parser_name(p);
    if (node) {
        node->of = of;
        node->word = jinja_node_text(p->source, name.text, name.len);
    }
    return jinja_parser_ends(p, node);
}

/* A part of [from:to:step]; NULL: it is left out. */
static struct jinja_node *parse_bound(struct jinja_parser *p, struct jinja_node *slice)
{
    enum jinja_token_kind kind = p->token->kind;
    if (kind == JINJA_T_COLON || kind == JINJA_T_RBRACKET || kind == JINJA_T_COMMA)
        return NULL;
    struct jinja_node *node = jinja_expression(p);
    jinja_node_adopt(p->source, slice, node);
    return node;
}

static struct jinja_node *parse_subscript(struct jinja_parser *p)
{
    struct jinja_node *slice = jinja_parser_node(p, JINJA_SLICE);
    struct jinja_node *from = parse_bound(p, slice);
    if (!slice)
        return NULL;
    if (!jinja_parser_skip(p, JINJA_T_COLON)) {
        if (!from)
            jinja_parser_unexpected(p, "an expression");
        return from;
    }
    slice->a = from;
    slice->b = parse_bound(p, slice);
    if (jinja_parser_skip(p, JINJA_T_COLON))
        slice->c = parse_bound(p, slice);
    return jinja_parser_ends(p, slice);
}

static struct jinja_node *parse_item(struct jinja_parser *p, struct jinja_node *of)
{
    struct jinja_node *node = jinja_parser_node_on(p, JINJA_ITEM, of);
    struct jinja_node *tuple = jinja_parser_node(p, JINJA_TUPLE_OF);
    jinja_parser_next(p);
    do
        jinja_parser_add(p, tuple, parse_subscript(p));
    while (!p->source->failed && jinja_parser_skip(p, JINJA_T_COMMA));
    jinja_parser_expect(p, JINJA_T_RBRACKET);
    if (p->source->failed)
        return NULL;
    node->a = of;
    node->b = tuple->list.n == 1 ? tuple->list.at[0] : tuple;
    jinja_node_adopt(p->source, node, node->b);
    return jinja_parser_ends(p, node);
}

static void parse_keyword(struct jinja_parser *p, struct jinja_node *call)
{
    struct jinja_arguments *args = &call->args;
    struct jinja_name name = jinja_parser_name(p);
    jinja_parser_next(p); /* = */
    args->named = jinja_source_grow(p->source, args->named, args->n_named,
                                    &args->named_cap, sizeof *args->named);
    struct jinja_node *value = jinja_expression(p);
    jinja_node_adopt(p->source, call, value);
    if (args->named && value)
        args->named[args->n_named++] = (struct jinja_keyword){
            .name = jinja_node_text(p->source, name.text, name.len), .value = value};
}

static void parse_argument(struct jinja_parser *p, struct jinja_node *call)
{
    struct jinja_arguments *args = &call->args;
    bool stars = jinja_parser_skip(p, JINJA_T_POW);
    bool star = !stars && jinja_parser_skip(p, JINJA_T_MUL);
    bool named = !stars && !star && p->token->kind == JINJA_T_NAME &&
                 p->token[1].kind == JINJA_T_ASSIGN;
    if (args->rest_named || (args->rest && !stars && !named) ||
        (!stars && !star && !named && args->n_named > 0))
        jinja_source_fail(p->source, p->token->line,
                          "an argument by place behind one by name");
    if (named) {
        parse_keyword(p, call);
        return;
    }
    struct jinja_node *value = jinja_expression(p);
    jinja_node_adopt(p->source, call, value);
    if (stars)
        args->rest_named = value;
    else if (star)
        args->rest = value;
    else
        jinja_node_add(p->source, &args->plain, value);
}

/* From ( to ), into the node's arguments. */
static void parse_arguments(struct jinja_parser *p, struct jinja_node *call)
{
    jinja_parser_expect(p, JINJA_T_LPAREN);
    while (call && !p->source->failed && p->token->kind != JINJA_T_RPAREN) {
        parse_argument(p, call);
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    if (call && call->args.plain.n + call->args.n_named > JINJA_ARGS_MOST)
        jinja_source_fail(p->source, p->token->line, "a call of more than %d arguments",
                          JINJA_ARGS_MOST);
    jinja_parser_expect(p, JINJA_T_RPAREN);
}

static struct jinja_node *parse_call(struct jinja_parser *p, struct jinja_node *of)
{
    struct jinja_node *node = jinja_parser_node_on(p, JINJA_CALL, of);
    if (node)
        node->of = of;
    parse_arguments(p, node);
    return jinja_parser_ends(p, node);
}

struct jinja_node *jinja_postfix(struct jinja_parser *p, struct jinja_node *node)
{
    while (node) {
        if (p->token->kind == JINJA_T_DOT)
            node = parse_attribute(p, node);
        else if (p->token->kind == JINJA_T_LBRACKET)
            node = parse_item(p, node);
        else if (p->token->kind == JINJA_T_LPAREN)
            node = parse_call(p, node);
        else
            return node;
    }
    return NULL;
}

/* A name with dots; the text from its begin to its end. */
static struct jinja_value dotted_name(struct jinja_parser *p)
{
    uint32_t from = p->token->at.from;
    jinja_parser_expect(p, JINJA_T_NAME);
    while (!p->source->failed && jinja_parser_skip(p, JINJA_T_DOT))
        jinja_parser_expect(p, JINJA_T_NAME);
    return jinja_node_text(p->source, p->source->text + from, p->token[-1].at.to - from);
}

static struct jinja_node *parse_filter(struct jinja_parser *p, struct jinja_node *of)
{
    struct jinja_node *node = jinja_parser_node(p, JINJA_FILTER);
    if (node && of)
        node->at = of->at;
    jinja_node_adopt(p->source, node, of);
    struct jinja_value word = dotted_name(p);
    if (p->source->failed)
        return NULL;
    node->of = of;
    node->word = word;
    node->impl = jinja_filter_find(word.string->text, word.string->len);
    if (p->token->kind == JINJA_T_LPAREN)
        parse_arguments(p, node);
    return jinja_parser_ends(p, node);
}

struct jinja_node *jinja_postfix_filters(struct jinja_parser *p, struct jinja_node *of)
{
    struct jinja_node *node = parse_filter(p, of);
    while (node && jinja_parser_skip(p, JINJA_T_PIPE))
        node = parse_filter(p, node);
    return node;
}

/* Whether the argument of a test without brackets begins here. */
static bool begins_argument(const struct jinja_parser *p)
{
    switch (p->token->kind) {
    case JINJA_T_NAME:
        return !jinja_parser_is_word(p, "else") && !jinja_parser_is_word(p, "or") &&
               !jinja_parser_is_word(p, "and");
    case JINJA_T_STRING:
    case JINJA_T_INTEGER:
    case JINJA_T_REAL:
    case JINJA_T_LBRACKET:
    case JINJA_T_LBRACE:
        return true;
    default:
        return false;
    }
}

static struct jinja_node *parse_test(struct jinja_parser *p, struct jinja_node *of)
{
    struct jinja_node *node = jinja_parser_node_on(p, JINJA_TEST, of);
    jinja_parser_next(p); /* is */
    bool negated = jinja_parser_skip_word(p, "not");
    struct jinja_value word = dotted_name(p);
    if (p->source->failed)
        return NULL;
    node->of = of;
    node->word = word;
    node->impl = jinja_test_find(word.string->text, word.string->len);
    if (p->token->kind == JINJA_T_LPAREN) {
        parse_arguments(p, node);
    } else if (begins_argument(p)) {
        if (jinja_parser_is_word(p, "is"))
            jinja_source_fail(p->source, p->token->line, "tests by `is` in a row");
        struct jinja_node *argument = jinja_postfix(p, jinja_primary(p));
        jinja_node_add(p->source, &node->args.plain, argument);
        jinja_node_adopt(p->source, node, argument);
    }
    node = jinja_parser_ends(p, node);
    return negated && node ? jinja_expression_negate(p, node) : node;
}

struct jinja_node *jinja_postfix_filters_and_tests(struct jinja_parser *p,
                                                   struct jinja_node *node)
{
    while (node) {
        if (jinja_parser_skip(p, JINJA_T_PIPE))
            node = parse_filter(p, node);
        else if (p->token->kind == JINJA_T_NAME && is_word_operator(p->token))
            node = parse_test(p, node);
        else if (p->token->kind == JINJA_T_LPAREN)
            node = parse_call(p, node);
        else
            return node;
    }
    return NULL;
}
