/* Statements: they write to r->out and set variables of r->here.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_STATEMENT_H
#define API_TEMPLATE_JINJA_STATEMENT_H

#include "api/template/jinja_node.h"
#include "api/template/jinja_string.h"

enum jinja_flow { JINJA_FLOW_NEXT, JINJA_FLOW_BREAK, JINJA_FLOW_CONTINUE };

/* Runs them one after the other until one breaks off or the render fails. */
enum jinja_flow jinja_statement_run(struct jinja_render *r,
                                    const struct jinja_nodes *body);

/* Sets the names, tuples of names and namespaces' members of a target. */
void jinja_statement_assign(struct jinja_render *r, const struct jinja_node *target,
                            struct jinja_value v);

#endif
