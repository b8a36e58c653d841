/* Parsing of what stands behind a primary. Every function answers NULL after a failure of
 * the source. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_POSTFIX_H
#define API_TEMPLATE_JINJA_POSTFIX_H

#include "api/template/jinja_parser.h"

/* .name, [item] and (arguments) behind the node, if any. */
struct jinja_node *jinja_postfix(struct jinja_parser *p, struct jinja_node *node);

/* |filter, `is` test and (arguments) behind it, if any. */
struct jinja_node *jinja_postfix_filters_and_tests(struct jinja_parser *p,
                                                   struct jinja_node *node);

/* Names of filters and their arguments, joined by |, on `of` (NULL: a block's body). */
struct jinja_node *jinja_postfix_filters(struct jinja_parser *p, struct jinja_node *of);

#endif
