/*
 * Statements: a table of words and the functions that read what stands behind them.
 * Runs on the thread that compiles; refuses unknown words, with the line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_parser.h"

#include "api/template/jinja_expression.h"
#include "api/template/jinja_postfix.h"

#include <stdio.h>
#include <string.h>

const struct jinja_token *jinja_parser_next(struct jinja_parser *p)
{
    const struct jinja_token *t = p->token;
    if (t->kind != JINJA_T_EOF)
        p->token++;
    return t;
}

bool jinja_parser_is_word(const struct jinja_parser *p, const char *word)
{
    const struct jinja_token *t = p->token;
    return t->kind == JINJA_T_NAME && strlen(word) == t->len &&
           memcmp(t->text, word, t->len) == 0;
}

bool jinja_parser_skip_word(struct jinja_parser *p, const char *word)
{
    bool found = jinja_parser_is_word(p, word);
    if (found)
        jinja_parser_next(p);
    return found;
}

bool jinja_parser_skip(struct jinja_parser *p, enum jinja_token_kind kind)
{
    bool found = p->token->kind == kind;
    if (found)
        jinja_parser_next(p);
    return found;
}

/* A token as a message shows it: names and operators are themselves, in quotes. */
static void describe(char out[80], enum jinja_token_kind kind, const char *text,
                     size_t len)
{
    const char *what = jinja_lexer_describe(kind);
    if (kind == JINJA_T_NAME && text)
        snprintf(out, 80, "'%.*s'", (int)(len < 60 ? len : 60), text);
    else
        snprintf(out, 80, kind >= JINJA_T_POW ? "'%s'" : "%s", what);
}

void jinja_parser_unexpected(struct jinja_parser *p, const char *expected)
{
    char found[80];
    describe(found, p->token->kind, p->token->text, p->token->len);
    jinja_source_fail(p->source, p->token->line, "expected %s, found %s", expected,
                      found);
}

void jinja_parser_expect(struct jinja_parser *p, enum jinja_token_kind kind)
{
    char expected[80];
    if (p->source->failed || jinja_parser_skip(p, kind))
        return;
    describe(expected, kind, NULL, 0);
    jinja_parser_unexpected(p, expected);
}

struct jinja_name jinja_parser_name(struct jinja_parser *p)
{
    const struct jinja_token *t = p->token;
    jinja_parser_expect(p, JINJA_T_NAME);
    char *copy = p->source->failed ? NULL : jinja_source_alloc(p->source, t->len + 1);
    if (!copy)
        return (struct jinja_name){0};
    memcpy(copy, t->text, t->len);
    return (struct jinja_name){copy, t->len};
}

struct jinja_node *jinja_parser_node(struct jinja_parser *p, enum jinja_node_kind kind)
{
    return jinja_node_new(p->source, kind, p->token->line, p->token->at.from);
}

struct jinja_node *jinja_parser_ends(struct jinja_parser *p, struct jinja_node *node)
{
    if (node && p->token[-1].at.to > node->at.to)
        node->at.to = p->token[-1].at.to;
    return p->source->failed ? NULL : node;
}

struct jinja_node *jinja_parser_node_on(struct jinja_parser *p, enum jinja_node_kind kind,
                                        const struct jinja_node *first)
{
    if (!first)
        return NULL;
    struct jinja_node *node =
        jinja_node_new(p->source, kind, p->token->line, first->at.from);
    jinja_node_adopt(p->source, node, first);
    return node;
}

void jinja_parser_add(struct jinja_parser *p, struct jinja_node *parent,
                      struct jinja_node *child)
{
    if (!parent || !child)
        return;
    jinja_node_add(p->source, &parent->list, child);
    jinja_node_adopt(p->source, parent, child);
}

static struct jinja_node *statement_new(struct jinja_parser *p, enum jinja_node_kind kind)
{
    struct jinja_node *node =
        jinja_node_new(p->source, kind, p->token->line, p->token->at.from);
    jinja_parser_next(p);
    return node;
}

static struct jinja_nodes parse_nodes(struct jinja_parser *p, const char *const *ends);

/* A body: from the tag's end up to one of the words, which stay. */
static struct jinja_nodes parse_body(struct jinja_parser *p, const char *const *ends)
{
    jinja_parser_skip(p, JINJA_T_COLON);
    jinja_parser_expect(p, JINJA_T_BLOCK_END);
    return parse_nodes(p, ends);
}

/* The same up to one word, which is stepped over. */
static struct jinja_nodes parse_up_to(struct jinja_parser *p, const char *word)
{
    const char *const ends[] = {word, NULL};
    struct jinja_nodes body = parse_body(p, ends);
    jinja_parser_next(p);
    return body;
}

static struct jinja_node *parse_if(struct jinja_parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct jinja_node *first = statement_new(p, JINJA_IF), *node = first;
    while (!p->source->failed) {
        node->branch.test = jinja_expression_tuple(p, false, NULL);
        node->branch.then = parse_body(p, ends);
        if (jinja_parser_is_word(p, "elif")) {
            node = statement_new(p, JINJA_IF);
            jinja_node_add(p->source, &first->branch.elifs, node);
            continue;
        }
        if (jinja_parser_skip_word(p, "else"))
            first->branch.otherwise = parse_up_to(p, "endif");
        else
            jinja_parser_next(p);
        break;
    }
    return first;
}

static struct jinja_node *parse_for(struct jinja_parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    struct jinja_node *node = statement_new(p, JINJA_FOR);
    struct jinja_for *loop = jinja_source_alloc(p->source, sizeof *loop);
    if (!node || !loop)
        return NULL;
    node->loop = loop;
    loop->target = jinja_expression_target(p, false, "in");
    if (!p->source->failed && !jinja_parser_skip_word(p, "in"))
        jinja_parser_unexpected(p, "'in'");
    if (!p->source->failed)
        loop->iter = jinja_expression_tuple(p, false, "recursive");
    if (!p->source->failed && jinja_parser_skip_word(p, "if"))
        loop->test = jinja_expression(p);
    if (!p->source->failed && jinja_parser_skip_word(p, "recursive"))
        loop->recursive = jinja_source_alloc(p->source, sizeof *loop->recursive);
    p->loops++;
    loop->body = parse_body(p, ends);
    p->loops--;
    if (jinja_parser_skip_word(p, "else"))
        loop->otherwise = parse_up_to(p, "endfor");
    else
        jinja_parser_next(p);
    return node;
}

static struct jinja_node *parse_set(struct jinja_parser *p)
{
    struct jinja_node *node = statement_new(p, JINJA_SET);
    struct jinja_node *target = jinja_expression_target(p, true, NULL);
    if (!node || !target)
        return NULL;
    node->block.target = target;
    if (jinja_parser_skip(p, JINJA_T_ASSIGN)) {
        node->block.value = jinja_expression_tuple(p, true, NULL);
        return node;
    }
    node->kind = JINJA_SET_BLOCK;
    if (jinja_parser_skip(p, JINJA_T_PIPE))
        node->block.value = jinja_postfix_filters(p, NULL);
    node->block.body = parse_up_to(p, "endset");
    return node;
}

static struct jinja_node *parse_param(struct jinja_parser *p)
{
    struct jinja_node *name =
        jinja_node_new(p->source, JINJA_NAME, p->token->line, p->token->at.from);
    struct jinja_name text = jinja_parser_name(p);
    if (name)
        name->name = text;
    return name;
}

static void parse_signature(struct jinja_parser *p, struct jinja_function *f)
{
    jinja_parser_expect(p, JINJA_T_LPAREN);
    while (!p->source->failed && p->token->kind != JINJA_T_RPAREN) {
        struct jinja_node *name = parse_param(p);
        jinja_node_add(p->source, &f->params, name);
        if (jinja_parser_skip(p, JINJA_T_ASSIGN))
            jinja_node_add(p->source, &f->defaults, jinja_expression(p));
        else if (f->defaults.n > 0)
            jinja_source_fail(p->source, p->token->line,
                              "a parameter without default behind one with a default");
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    if (f->params.n > JINJA_ARGS_MOST)
        jinja_source_fail(p->source, p->token->line, "more than %d parameters",
                          JINJA_ARGS_MOST);
    jinja_parser_expect(p, JINJA_T_RPAREN);
}

static struct jinja_function *function_new(struct jinja_parser *p)
{
    struct jinja_function *f = jinja_source_alloc(p->source, sizeof *f);
    if (f)
        f->caller = f->kwargs = f->varargs = -1;
    return f;
}

/* The body of a function: no loop is around it. */
static struct jinja_nodes parse_function(struct jinja_parser *p, const char *end)
{
    int loops = p->loops;
    p->loops = 0;
    struct jinja_nodes body = parse_up_to(p, end);
    p->loops = loops;
    return body;
}

static struct jinja_node *parse_macro(struct jinja_parser *p)
{
    struct jinja_node *node = statement_new(p, JINJA_MACRO);
    struct jinja_function *f = function_new(p);
    if (!node || !f)
        return NULL;
    node->block.function = f;
    node->block.target = parse_param(p);
    if (p->source->failed)
        return NULL;
    f->name = node->block.target->name;
    parse_signature(p, f);
    f->body = parse_function(p, "endmacro");
    return node;
}

static struct jinja_node *parse_call_block(struct jinja_parser *p)
{
    struct jinja_node *node = statement_new(p, JINJA_CALL_BLOCK);
    struct jinja_function *f = function_new(p);
    if (!node || !f)
        return NULL;
    node->block.function = f;
    if (p->token->kind == JINJA_T_LPAREN)
        parse_signature(p, f);
    node->block.value = p->source->failed ? NULL : jinja_expression(p);
    if (node->block.value && node->block.value->kind != JINJA_CALL)
        jinja_source_fail(p->source, node->line, "{%% call %%} expects a call");
    f->body = parse_function(p, "endcall");
    return node;
}

static struct jinja_node *parse_filter_block(struct jinja_parser *p)
{
    struct jinja_node *node = statement_new(p, JINJA_FILTER_BLOCK);
    if (!node)
        return NULL;
    node->block.value = jinja_postfix_filters(p, NULL);
    node->block.body = parse_up_to(p, "endfilter");
    return node;
}

static struct jinja_node *parse_generation(struct jinja_parser *p)
{
    struct jinja_node *node = statement_new(p, JINJA_GENERATION);
    struct jinja_function *f = function_new(p);
    if (!node || !f)
        return NULL;
    node->block.function = f;
    f->body = parse_function(p, "endgeneration");
    return node;
}

static struct jinja_node *parse_with(struct jinja_parser *p)
{
    struct jinja_node *node = statement_new(p, JINJA_WITH);
    struct jinja_node *targets =
        jinja_node_new(p->source, JINJA_TUPLE_OF, p->token->line, p->token->at.from);
    while (!p->source->failed && p->token->kind != JINJA_T_BLOCK_END) {
        jinja_node_add(p->source, &targets->list, parse_param(p));
        jinja_parser_expect(p, JINJA_T_ASSIGN);
        if (p->source->failed)
            break;
        jinja_node_add(p->source, &node->block.values, jinja_expression(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    if (p->source->failed)
        return NULL;
    node->block.target = targets;
    node->block.body = parse_up_to(p, "endwith");
    return node;
}

static struct jinja_node *parse_print(struct jinja_parser *p)
{
    struct jinja_node *node = statement_new(p, JINJA_OUTPUT);
    while (!p->source->failed && p->token->kind != JINJA_T_BLOCK_END) {
        jinja_node_add(p->source, &node->list, jinja_expression(p));
        if (!jinja_parser_skip(p, JINJA_T_COMMA))
            break;
    }
    return node;
}

static struct jinja_node *parse_jump(struct jinja_parser *p)
{
    if (p->loops == 0)
        jinja_source_fail(p->source, p->token->line, "'%.*s' outside of a loop",
                          (int)p->token->len, p->token->text);
    bool breaks = jinja_parser_is_word(p, "break");
    return statement_new(p, breaks ? JINJA_BREAK : JINJA_CONTINUE);
}

static const struct {
    char word[12];
    struct jinja_node *(*parse)(struct jinja_parser *p);
} statements[] = {
    {"if", parse_if},
    {"for", parse_for},
    {"set", parse_set},
    {"macro", parse_macro},
    {"call", parse_call_block},
    {"filter", parse_filter_block},
    {"generation", parse_generation},
    {"with", parse_with},
    {"print", parse_print},
    {"break", parse_jump},
    {"continue", parse_jump},
};

/* Behind "{%", on a word that ends no body. */
static struct jinja_node *parse_statement(struct jinja_parser *p, const char *expected)
{
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!jinja_parser_is_word(p, statements[i].word))
            continue;
        struct jinja_node *node = statements[i].parse(p);
        jinja_parser_expect(p, JINJA_T_BLOCK_END);
        return node;
    }
    if (p->token->kind == JINJA_T_NAME && expected)
        jinja_source_fail(p->source, p->token->line, "unknown tag '%.*s', expected '%s'",
                          (int)(p->token->len < 60 ? p->token->len : 60), p->token->text,
                          expected);
    else if (p->token->kind == JINJA_T_NAME)
        jinja_source_fail(p->source, p->token->line, "unknown tag '%.*s'",
                          (int)(p->token->len < 60 ? p->token->len : 60), p->token->text);
    else
        jinja_parser_unexpected(p, "the name of a tag");
    return NULL;
}

static bool ends_here(struct jinja_parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (jinja_parser_is_word(p, *ends))
            return true;
    return false;
}

/* Text and {{ … }} in a row are one OUTPUT. */
static struct jinja_node *parse_output(struct jinja_parser *p)
{
    struct jinja_node *output =
        jinja_node_new(p->source, JINJA_OUTPUT, p->token->line, p->token->at.from);
    while (!p->source->failed) {
        struct jinja_node *item = NULL;
        if (p->token->kind == JINJA_T_DATA) {
            const struct jinja_token *t = jinja_parser_next(p);
            item = jinja_node_new(p->source, JINJA_CONSTANT, t->line, t->at.from);
            if (item)
                item->constant = jinja_node_text(p->source, t->text, t->len);
        } else if (jinja_parser_skip(p, JINJA_T_VARIABLE_BEGIN)) {
            item = jinja_expression_tuple(p, true, NULL);
            jinja_parser_expect(p, JINJA_T_VARIABLE_END);
        } else {
            break;
        }
        jinja_node_add(p->source, &output->list, item);
    }
    return output;
}

/* The word that ends a body for good; NULL: the template's end does. */
static const char *last_of(const char *const *ends)
{
    while (ends && ends[0] && ends[1])
        ends++;
    return ends ? ends[0] : NULL;
}

static struct jinja_nodes parse_nodes(struct jinja_parser *p, const char *const *ends)
{
    struct jinja_nodes body = {0};
    uint32_t line = p->token->line;
    if (++p->nested > JINJA_BLOCK_DEPTH)
        jinja_source_fail(p->source, line, "statements are nested too deeply");
    while (!p->source->failed && p->token->kind != JINJA_T_EOF) {
        if (!jinja_parser_skip(p, JINJA_T_BLOCK_BEGIN)) {
            jinja_node_add(p->source, &body, parse_output(p));
            continue;
        }
        if (ends_here(p, ends)) {
            p->nested--;
            return body;
        }
        jinja_node_add(p->source, &body, parse_statement(p, last_of(ends)));
    }
    p->nested--;
    if (ends)
        jinja_source_fail(p->source, line, "the template ends before '%s'",
                          last_of(ends));
    return body;
}

struct jinja_function *jinja_parser(struct jinja_source *s)
{
    struct jinja_parser p = {.source = s, .token = jinja_lexer(s)};
    struct jinja_function *f = p.token ? function_new(&p) : NULL;
    if (f)
        f->body = parse_nodes(&p, NULL);
    return s->failed ? NULL : f;
}
