/*
 * Names, literals, lists, dicts, tuples and brackets. Runs on the thread that compiles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_primary.h"

#include "api/template/jinja_expression.h"

#include <string.h>

static struct jinja_node *parse_string(struct jinja_parser *p)
{
    struct jinja_node *node = jinja_parser_node(p, JINJA_CONSTANT);
    const struct jinja_token *first = p->token;
    size_t len = 0, at = 0;
    for (const struct jinja_token *t = first; t->kind == JINJA_T_STRING; t++)
        len += t->len;
    bool alone = first[1].kind != JINJA_T_STRING;
    char *joined = alone ? NULL : jinja_source_alloc(p->source, len + 1);
    while (p->token->kind == JINJA_T_STRING) {
        const struct jinja_token *t = jinja_parser_next(p);
        if (joined)
            memcpy(joined + at, t->text, t->len);
        at += t->len;
    }
    if (node)
        node->constant = jinja_node_text(p->source, alone ? first->text : joined, len);
    return jinja_parser_ends(p, node);
}

static const struct {
    char word[6];
    enum jinja_kind kind;
    bool truth;
} constants[] = {
    {"true", JINJA_BOOL, true},   {"True", JINJA_BOOL, true},
    {"false", JINJA_BOOL, false}, {"False", JINJA_BOOL, false},
    {"none", JINJA_NONE, false},  {"None", JINJA_NONE, false},
};

static struct jinja_node *parse_name(struct jinja_parser *p)
{
    struct jinja_node *node = jinja_parser_node(p, JINJA_NAME);
    for (size_t i = 0; node && i < sizeof constants / sizeof *constants; i++) {
        if (!jinja_parser_is_word(p, constants[i].word))
            continue;
        node->kind = JINJA_CONSTANT;
        node->constant =
            (struct jinja_value){.kind = constants[i].kind, .truth = constants[i].truth};
        jinja_parser_next(p);
        return jinja_parser_ends(p, node);
    }
    struct jinja_name name = jinja_parser_name(p);
    if (node)
        node->name = name;
    return jinja_parser_ends(p, node);
}

struct jinja_node *jinja_primary_number(struct jinja_parser *p)
{
    struct jinja_node *node = jinja_parser_node(p, JINJA_CONSTANT);
    const struct jinja_token *t = jinja_parser_next(p);
    if (node)
        node->constant =
            t->kind == JINJA_T_REAL ? jinja_real(t->real) : jinja_int(t->integer);
    return jinja_parser_ends(p, node);
}

static struct jinja_node *parse_list(struct jinja_parser *p)
{
    struct jinja_node *node = jinja_parser_node(p, JINJA_LIST_OF);
    jinja_parser_next(p);
    while (!p->source->failed && p->token->kind != JINJA_T_RBRACKET) {
        jinja_parser_add(p, node, jinja_expression(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    jinja_parser_expect(p, JINJA_T_RBRACKET);
    return jinja_parser_ends(p, node);
}

static struct jinja_node *parse_dict(struct jinja_parser *p)
{
    struct jinja_node *node = jinja_parser_node(p, JINJA_DICT_OF);
    jinja_parser_next(p);
    while (!p->source->failed && p->token->kind != JINJA_T_RBRACE) {
        jinja_parser_add(p, node, jinja_expression(p));
        jinja_parser_expect(p, JINJA_T_COLON);
        jinja_parser_add(p, node, jinja_expression(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    jinja_parser_expect(p, JINJA_T_RBRACE);
    return jinja_parser_ends(p, node);
}

static bool is_tuple_end(const struct jinja_parser *p, const char *end_word)
{
    enum jinja_token_kind kind = p->token->kind;
    return kind == JINJA_T_VARIABLE_END || kind == JINJA_T_BLOCK_END ||
           kind == JINJA_T_RPAREN || (end_word && jinja_parser_is_word(p, end_word));
}

struct jinja_node *jinja_primary_tuple(struct jinja_parser *p, jinja_parser_fn *parse,
                                       bool empty, const char *end_word)
{
    struct jinja_node *tuple = jinja_parser_node(p, JINJA_TUPLE_OF);
    bool comma = false;
    while (!p->source->failed && !is_tuple_end(p, end_word)) {
        jinja_parser_add(p, tuple, parse(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
        comma = true;
    }
    if (p->source->failed)
        return NULL;
    if (tuple->list.n == 0 && !empty)
        jinja_parser_unexpected(p, "an expression");
    return tuple->list.n == 1 && !comma ? tuple->list.at[0] : jinja_parser_ends(p, tuple);
}

static struct jinja_node *parse_brackets(struct jinja_parser *p)
{
    uint32_t from = p->token->at.from;
    jinja_parser_next(p);
    struct jinja_node *node = jinja_primary_tuple(p, jinja_expression, true, NULL);
    jinja_parser_expect(p, JINJA_T_RPAREN);
    if (node)
        node->at.from = from;
    return jinja_parser_ends(p, node);
}

struct jinja_node *jinja_primary(struct jinja_parser *p)
{
    switch (p->token->kind) {
    case JINJA_T_NAME:
        return parse_name(p);
    case JINJA_T_STRING:
        return parse_string(p);
    case JINJA_T_INTEGER:
    case JINJA_T_REAL:
        return jinja_primary_number(p);
    case JINJA_T_LPAREN:
        return parse_brackets(p);
    case JINJA_T_LBRACKET:
        return parse_list(p);
    case JINJA_T_LBRACE:
        return parse_dict(p);
    default:
        jinja_parser_unexpected(p, "an expression");
        return NULL;
    }
}
