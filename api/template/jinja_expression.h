/* Parsing of expressions: jinja2's grammar and precedence. Every function answers NULL
 * after a failure of the source. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_EXPRESSION_H
#define API_TEMPLATE_JINJA_EXPRESSION_H

#include "api/template/jinja_parser.h"

struct jinja_node *jinja_expression(struct jinja_parser *p);

/* One expression, or a tuple without brackets. `choice`: "a if b" may stand in it. */
struct jinja_node *jinja_expression_tuple(struct jinja_parser *p, bool choice,
                                          const char *end_word);

/* Names, tuples of names, and namespaces' members where `members`. */
struct jinja_node *jinja_expression_target(struct jinja_parser *p, bool members,
                                           const char *end_word);

/* `not` of the node. */
struct jinja_node *jinja_expression_negate(struct jinja_parser *p,
                                           struct jinja_node *node);

#endif
