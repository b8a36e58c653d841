/*
 * From tokens to the tree. Statements are jinja_parser.c's; expressions are
 * jinja_expression.c's, made of what jinja_primary.c and jinja_postfix.c read. On the thread that compiles; both fail the source with a line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_PARSER_H
#define API_TEMPLATE_JINJA_PARSER_H

#include "api/template/jinja_lexer.h"
#include "api/template/jinja_node.h"

struct jinja_parser {
    struct jinja_source *source;
    const struct jinja_token *token; /* the current one; the last is EOF */
    int nested;                      /* expressions and statements under way */
    int loops;                       /* around this place, within its function */
};

/* The whole template; NULL after a failure. */
struct jinja_function *jinja_parser(struct jinja_source *s);

/* Steps over the token and answers it; EOF stays. */
const struct jinja_token *jinja_parser_next(struct jinja_parser *p);
bool jinja_parser_is_word(const struct jinja_parser *p, const char *word);
bool jinja_parser_skip_word(struct jinja_parser *p, const char *word);
bool jinja_parser_skip(struct jinja_parser *p, enum jinja_token_kind kind);
void jinja_parser_expect(struct jinja_parser *p, enum jinja_token_kind kind);
/* A name, which must stand here; with a NUL behind it. */
struct jinja_name jinja_parser_name(struct jinja_parser *p);
/* Fails at the current token. */
void jinja_parser_unexpected(struct jinja_parser *p, const char *expected);

/* Making nodes, with their places in the source; NULL after a failure. A node that begins
 * at the current token; one that begins where `first` does and holds it; the same node,
 * which ends before the current token; `child` as the last of the parent's list. */
struct jinja_node *jinja_parser_node(struct jinja_parser *p, enum jinja_node_kind kind);
struct jinja_node *jinja_parser_node_on(struct jinja_parser *p, enum jinja_node_kind kind,
                                        const struct jinja_node *first);
struct jinja_node *jinja_parser_ends(struct jinja_parser *p, struct jinja_node *node);
void jinja_parser_add(struct jinja_parser *p, struct jinja_node *parent,
                      struct jinja_node *child);

typedef struct jinja_node *jinja_parser_fn(struct jinja_parser *p);

#endif
