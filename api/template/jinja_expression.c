/*
 * Expressions by recursive descent, one function a level where levels differ, a table of
 * operators where they do not. Runs on the thread that compiles.
 *
 * The subtle points are jinja2's: `**` binds to the left, a sign binds before a filter
 * (-1|abs is (-1)|abs) but after `.` and `[`, `is` binds as a filter does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_expression.h"

#include "api/template/jinja_filter.h"
#include "api/template/jinja_test.h"

#include <string.h>

static struct jinja_node *node_new(struct jinja_parser *p, enum jinja_node_kind kind)
{
    return jinja_node_new(p->source, kind, p->token->line, p->token->at.from);
}

/* Where the token before the current one ended. */
static struct jinja_node *ends(struct jinja_parser *p, struct jinja_node *node)
{
    if (node && p->token[-1].at.to > node->at.to)
        node->at.to = p->token[-1].at.to;
    return p->source->failed ? NULL : node;
}

/* A node that begins where `first` does and holds it. */
static struct jinja_node *node_on(struct jinja_parser *p, enum jinja_node_kind kind,
                                  const struct jinja_node *first)
{
    if (!first)
        return NULL;
    struct jinja_node *node =
        jinja_node_new(p->source, kind, p->token->line, first->at.from);
    jinja_node_adopt(p->source, node, first);
    return node;
}

static void add(struct jinja_parser *p, struct jinja_node *parent,
                struct jinja_node *child)
{
    if (!parent || !child)
        return;
    jinja_node_add(p->source, &parent->list, child);
    jinja_node_adopt(p->source, parent, child);
}

static bool is_word_operator(const struct jinja_token *t)
{
    return t->len == 2 && memcmp(t->text, "is", 2) == 0;
}

/* ---- primaries ---- */

static struct jinja_node *parse_string(struct jinja_parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_CONSTANT);
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
    return ends(p, node);
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
    struct jinja_node *node = node_new(p, JINJA_NAME);
    for (size_t i = 0; node && i < sizeof constants / sizeof *constants; i++) {
        if (!jinja_parser_is_word(p, constants[i].word))
            continue;
        node->kind = JINJA_CONSTANT;
        node->constant =
            (struct jinja_value){.kind = constants[i].kind, .truth = constants[i].truth};
        jinja_parser_next(p);
        return ends(p, node);
    }
    struct jinja_name name = jinja_parser_name(p);
    if (node)
        node->name = name;
    return ends(p, node);
}

static struct jinja_node *parse_number(struct jinja_parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_CONSTANT);
    const struct jinja_token *t = jinja_parser_next(p);
    if (node)
        node->constant =
            t->kind == JINJA_T_REAL ? jinja_real(t->real) : jinja_int(t->integer);
    return ends(p, node);
}

static struct jinja_node *parse_list(struct jinja_parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_LIST_OF);
    jinja_parser_next(p);
    while (!p->source->failed && p->token->kind != JINJA_T_RBRACKET) {
        add(p, node, jinja_expression(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    jinja_parser_expect(p, JINJA_T_RBRACKET);
    return ends(p, node);
}

static struct jinja_node *parse_dict(struct jinja_parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_DICT_OF);
    jinja_parser_next(p);
    while (!p->source->failed && p->token->kind != JINJA_T_RBRACE) {
        add(p, node, jinja_expression(p));
        jinja_parser_expect(p, JINJA_T_COLON);
        add(p, node, jinja_expression(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    jinja_parser_expect(p, JINJA_T_RBRACE);
    return ends(p, node);
}

static bool is_tuple_end(const struct jinja_parser *p, const char *end_word)
{
    enum jinja_token_kind kind = p->token->kind;
    return kind == JINJA_T_VARIABLE_END || kind == JINJA_T_BLOCK_END ||
           kind == JINJA_T_RPAREN || (end_word && jinja_parser_is_word(p, end_word));
}

typedef struct jinja_node *parse_fn(struct jinja_parser *p);

/* Elements that `parse` reads. `empty`: () is a tuple. */
static struct jinja_node *tuple_of(struct jinja_parser *p, parse_fn *parse, bool empty,
                                   const char *end_word)
{
    struct jinja_node *tuple = node_new(p, JINJA_TUPLE_OF);
    bool comma = false;
    while (!p->source->failed && !is_tuple_end(p, end_word)) {
        add(p, tuple, parse(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
        comma = true;
    }
    if (p->source->failed)
        return NULL;
    if (tuple->list.n == 0 && !empty)
        jinja_parser_unexpected(p, "an expression");
    return tuple->list.n == 1 && !comma ? tuple->list.at[0] : ends(p, tuple);
}

static struct jinja_node *parse_brackets(struct jinja_parser *p)
{
    uint32_t from = p->token->at.from;
    jinja_parser_next(p);
    struct jinja_node *node = tuple_of(p, jinja_expression, true, NULL);
    jinja_parser_expect(p, JINJA_T_RPAREN);
    if (node)
        node->at.from = from;
    return ends(p, node);
}

static struct jinja_node *parse_primary(struct jinja_parser *p)
{
    switch (p->token->kind) {
    case JINJA_T_NAME:
        return parse_name(p);
    case JINJA_T_STRING:
        return parse_string(p);
    case JINJA_T_INTEGER:
    case JINJA_T_REAL:
        return parse_number(p);
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

/* ---- what stands behind a primary ---- */

static struct jinja_node *parse_attribute(struct jinja_parser *p, struct jinja_node *of)
{
    jinja_parser_next(p);
    if (p->token->kind == JINJA_T_INTEGER) {
        struct jinja_node *item = node_on(p, JINJA_ITEM, of), *index = parse_number(p);
        if (item) {
            item->a = of;
            item->b = index;
        }
        return ends(p, item);
    }
    struct jinja_node *node = node_on(p, JINJA_ATTRIBUTE, of);
    struct jinja_name name = jinja_parser_name(p);
    if (node) {
        node->of = of;
        node->word = jinja_node_text(p->source, name.text, name.len);
    }
    return ends(p, node);
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
    struct jinja_node *slice = node_new(p, JINJA_SLICE);
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
    return ends(p, slice);
}

static struct jinja_node *parse_item(struct jinja_parser *p, struct jinja_node *of)
{
    struct jinja_node *node = node_on(p, JINJA_ITEM, of);
    struct jinja_node *tuple = node_new(p, JINJA_TUPLE_OF);
    jinja_parser_next(p);
    do
        add(p, tuple, parse_subscript(p));
    while (!p->source->failed && jinja_parser_skip(p, JINJA_T_COMMA));
    jinja_parser_expect(p, JINJA_T_RBRACKET);
    if (p->source->failed)
        return NULL;
    node->a = of;
    node->b = tuple->list.n == 1 ? tuple->list.at[0] : tuple;
    jinja_node_adopt(p->source, node, node->b);
    return ends(p, node);
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
    struct jinja_node *node = node_on(p, JINJA_CALL, of);
    if (node)
        node->of = of;
    parse_arguments(p, node);
    return ends(p, node);
}

static struct jinja_node *parse_postfix(struct jinja_parser *p, struct jinja_node *node)
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
    struct jinja_node *node = node_new(p, JINJA_FILTER);
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
    return ends(p, node);
}

struct jinja_node *jinja_expression_filters(struct jinja_parser *p, struct jinja_node *of)
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

static struct jinja_node *negate(struct jinja_parser *p, struct jinja_node *node)
{
    struct jinja_node *not_it = node_on(p, JINJA_NOT, node);
    if (not_it)
        not_it->a = node;
    return ends(p, not_it);
}

static struct jinja_node *parse_test(struct jinja_parser *p, struct jinja_node *of)
{
    struct jinja_node *node = node_on(p, JINJA_TEST, of);
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
        struct jinja_node *argument = parse_postfix(p, parse_primary(p));
        jinja_node_add(p->source, &node->args.plain, argument);
        jinja_node_adopt(p->source, node, argument);
    }
    node = ends(p, node);
    return negated && node ? negate(p, node) : node;
}

static struct jinja_node *parse_filters_and_tests(struct jinja_parser *p,
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

/* ---- operators ---- */

static struct jinja_node *parse_signed(struct jinja_parser *p)
{
    if (p->token->kind != JINJA_T_SUB && p->token->kind != JINJA_T_ADD)
        return parse_postfix(p, parse_primary(p));
    struct jinja_node *node = node_new(p, JINJA_SIGN);
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
    return parse_postfix(p, node);
}

static struct jinja_node *parse_unary(struct jinja_parser *p)
{
    return parse_filters_and_tests(p, parse_signed(p));
}

static struct jinja_node *binary(struct jinja_parser *p, enum jinja_node_kind kind,
                                 struct jinja_node *a, parse_fn *parse)
{
    struct jinja_node *node = node_on(p, kind, a);
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
    struct jinja_node *node = node_on(p, JINJA_CONCAT, first);
    add(p, node, first);
    while (!p->source->failed && jinja_parser_skip(p, JINJA_T_TILDE))
        add(p, node, parse_product(p));
    return ends(p, node);
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
    struct jinja_node *node = node_on(p, JINJA_COMPARE, first);
    int *ops = NULL;
    size_t n = 0, cap = 0;
    add(p, node, first);
    for (; op && !p->source->failed; op = comparison(p)) {
        ops = jinja_source_grow(p->source, ops, n, &cap, sizeof *ops);
        if (ops)
            ops[n++] = op;
        add(p, node, parse_sum(p));
    }
    if (node)
        node->ops = ops;
    return ends(p, node);
}

static struct jinja_node *parse_not(struct jinja_parser *p)
{
    size_t n = 0;
    uint32_t from = p->token->at.from;
    while (jinja_parser_skip_word(p, "not"))
        n++;
    struct jinja_node *node = parse_comparison(p);
    for (; n > 0 && node; n--) {
        node = negate(p, node);
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
    return tuple_of(p, choice ? jinja_expression : parse_or, false, end_word);
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
        return parse_primary(p);
    struct jinja_node *node = node_new(p, JINJA_MEMBER);
    struct jinja_name space = jinja_parser_name(p);
    jinja_parser_next(p); /* . */
    struct jinja_name member = jinja_parser_name(p);
    if (node) {
        node->name = space;
        node->member = member;
    }
    return ends(p, node);
}

struct jinja_node *jinja_expression_target(struct jinja_parser *p, bool members,
                                           const char *end_word)
{
    struct jinja_node *node =
        tuple_of(p, members ? parse_member : parse_primary, false, end_word);
    if (node && !is_target(node, members))
        jinja_source_fail(p->source, node->line, "cannot assign to '%.*s'",
                          (int)(node->at.to - node->at.from) > 40
                              ? 40
                              : (int)(node->at.to - node->at.from),
                          p->source->text + node->at.from);
    return p->source->failed ? NULL : node;
}
