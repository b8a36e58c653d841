/* Evaluation of expressions. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_EVAL_H
#define API_TEMPLATE_JINJA_EVAL_H

#include "api/template/jinja_node.h"
#include "api/template/jinja_string.h"

/* UNDEFINED after a failure, which names the innermost expression that failed. */
struct jinja_value jinja_eval(struct jinja_render *r, const struct jinja_node *node);

/* What the node calls, with one more argument by name: the body of a call block. */
struct jinja_value jinja_eval_call(struct jinja_render *r, const struct jinja_node *node,
                                   const struct jinja_value *caller);

#endif
