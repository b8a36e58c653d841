/*
 * Functions of the language that are written in C: filters, tests, methods and globals
 * are rows of tables. A row names its parameters as Python does, so that arguments come
 * by place or by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_BUILTIN_H
#define API_TEMPLATE_JINJA_BUILTIN_H

#include "api/template/jinja_string.h"

enum { JINJA_PARAMS_MOST = 6 };

struct jinja_named {
    struct jinja_value name, value;
};

struct jinja_args {
    const struct jinja_value *at; /* [n]: by place */
    size_t n;
    const struct jinja_named *named; /* [n_named] */
    size_t n_named;
    const struct jinja_value *param[JINJA_PARAMS_MOST]; /* of a row; NULL: not given */
};

/* `self` is what stands before the filter, test or method. */
typedef struct jinja_value jinja_builtin_fn(struct jinja_render *r,
                                            struct jinja_value self,
                                            const struct jinja_args *args);

struct jinja_builtin {
    const char *name;
    jinja_builtin_fn *call; /* NULL: a method that the sandbox refuses */
    const char *params;     /* names with a blank between them; "*": any */
    size_t least;           /* how many must be given */
};

/* The row of that name, NULL: none. */
const struct jinja_builtin *jinja_builtin_find(const struct jinja_builtin *rows, size_t n,
                                               const char *name, size_t len);

/* Gives each parameter its argument and calls. */
struct jinja_value jinja_builtin_call(struct jinja_render *r,
                                      const struct jinja_builtin *row,
                                      struct jinja_value self,
                                      const struct jinja_args *args);

/* Parameter i as text, integer or truth; fails where it is something else. */
const struct jinja_string *jinja_builtin_text(struct jinja_render *r,
                                              const struct jinja_args *args, size_t i);
int64_t jinja_builtin_int(struct jinja_render *r, const struct jinja_args *args, size_t i,
                          int64_t absent);
bool jinja_builtin_bool(const struct jinja_args *args, size_t i, bool absent);
/* Whether it is given and not none. */
bool jinja_builtin_given(const struct jinja_args *args, size_t i);

/* str(v), as it is where v is text. Never NULL. */
const struct jinja_string *jinja_builtin_str(struct jinja_render *r,
                                             struct jinja_value v);

#endif
