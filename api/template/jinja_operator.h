/* Python's operators on values: truth, equality, order, membership, arithmetic. Failures
 * are the render's. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_OPERATOR_H
#define API_TEMPLATE_JINJA_OPERATOR_H

#include "api/template/jinja_string.h"

bool jinja_operator_truth(struct jinja_value v);
bool jinja_operator_equal(struct jinja_render *r, struct jinja_value a,
                          struct jinja_value b);
/* Below, equal to or above 0. Fails for what has no order; `sign` is for its text. */
int jinja_operator_order(struct jinja_render *r, struct jinja_value a,
                         struct jinja_value b, const char *sign);
bool jinja_operator_contains(struct jinja_render *r, struct jinja_value all,
                             struct jinja_value one);

/* `op` is a token's kind (jinja_lexer.h), or a word of jinja_node.h. */
bool jinja_operator_compare(struct jinja_render *r, int op, struct jinja_value a,
                            struct jinja_value b);

/* "'x' is undefined". */
struct jinja_value jinja_operator_undefined(struct jinja_render *r, struct jinja_value v);

/* The text as Markup.escape leaves it: as it is if it is safe. */
void jinja_operator_escape(struct jinja_builder *b, const struct jinja_string *s);

#endif
