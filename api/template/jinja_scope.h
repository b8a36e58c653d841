/*
 * Scopes of a template, as jinja2's compiler sees them: every name gets its place before
 * the first render. A scope is a template, a macro, a block with a body of its own or a
 * round of a loop; `if` has none. On the thread that compiles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_SCOPE_H
#define API_TEMPLATE_JINJA_SCOPE_H

#include "api/template/jinja_node.h"

/* Fills in the tree's refs, loads and numbers of slots. */
void jinja_scope(struct jinja_source *s, struct jinja_function *root);

#endif
