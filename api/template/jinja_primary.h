/* Parsing of what expressions are made of. Every function answers NULL after a failure of
 * the source. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_PRIMARY_H
#define API_TEMPLATE_JINJA_PRIMARY_H

#include "api/template/jinja_parser.h"

struct jinja_node *jinja_primary(struct jinja_parser *p);
struct jinja_node *jinja_primary_number(struct jinja_parser *p);

/* Elements that `parse` reads, up to the tag's end, `)` or end_word (NULL: none). One
 * without a comma is itself. `empty`: nothing is a tuple, too. */
struct jinja_node *jinja_primary_tuple(struct jinja_parser *p, jinja_parser_fn *parse,
                                       bool empty, const char *end_word);

#endif
