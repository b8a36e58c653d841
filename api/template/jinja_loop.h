/* {% for %}: its rounds and the variable `loop`. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_LOOP_H
#define API_TEMPLATE_JINJA_LOOP_H

#include "api/template/jinja_builtin.h"
#include "api/template/jinja_node.h"

struct jinja_loop;

/* Runs the statement; writes to r->out. */
void jinja_loop_run(struct jinja_render *r, const struct jinja_node *node);

/* loop.index and the like. */
struct jinja_value jinja_loop_member(struct jinja_render *r, struct jinja_loop *loop,
                                     const struct jinja_string *name);

/* loop(items) of a recursive loop: what its body makes of them. */
struct jinja_value jinja_loop_again(struct jinja_render *r, struct jinja_loop *loop,
                                    const struct jinja_args *args);

#endif
