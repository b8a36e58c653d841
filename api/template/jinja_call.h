/*
 * What can be called, and calls: macros, bodies of call blocks, loops, methods, globals.
 * Depth of calls is limited (template.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_CALL_H
#define API_TEMPLATE_JINJA_CALL_H

#include "api/template/jinja_builtin.h"
#include "api/template/jinja_node.h"

struct jinja_loop;

/* The variables of a function under way. */
struct jinja_activation {
    struct jinja_activation *outer; /* where the function was defined */
    struct jinja_value slots[];     /* UNDEFINED without a name: not set */
};

/* One of: a macro with its home, a row with its self, a loop. */
struct jinja_callable {
    const struct jinja_function *function;
    struct jinja_activation *home;
    const struct jinja_builtin *row;
    struct jinja_value self;
    struct jinja_loop *loop;
};

struct jinja_value jinja_call_macro(struct jinja_render *r,
                                    const struct jinja_function *function);
struct jinja_value jinja_call_method(struct jinja_render *r,
                                     const struct jinja_builtin *row,
                                     struct jinja_value self);
struct jinja_value jinja_call_loop(struct jinja_render *r, struct jinja_loop *loop);

/* Calls v, which fails when it cannot be called. */
struct jinja_value jinja_call(struct jinja_render *r, struct jinja_value v,
                              const struct jinja_args *args);

/* A new activation within `outer`, all unset; NULL after a failure. */
struct jinja_activation *jinja_call_enter(struct jinja_render *r,
                                          const struct jinja_function *function,
                                          struct jinja_activation *outer);

/* Sets the variables of a scope that is entered. */
void jinja_call_load(struct jinja_render *r, const struct jinja_loads *loads);

static inline struct jinja_value *jinja_call_slot(struct jinja_activation *here,
                                                  struct jinja_ref ref)
{
    for (; ref.up > 0; ref.up--)
        here = here->outer;
    return &here->slots[ref.slot];
}

/* Evaluates the arguments of a node, `caller` (NULL: none) among those by name. `few` is
 * room on the stack. */
enum { JINJA_CALL_FEW = 4 };
bool jinja_call_args(struct jinja_render *r, const struct jinja_arguments *from,
                     const struct jinja_value *caller,
                     struct jinja_value few[JINJA_CALL_FEW], struct jinja_args *args);

#endif
