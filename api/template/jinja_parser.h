/*
 * From tokens to the tree. Statements are jinja_parser.c's, expressions are
 * jinja_expression.c's. On the thread that compiles; both fail the source with a line.
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

#endif
