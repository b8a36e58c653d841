/*
 * Small templates of our own words, one of each family that the probes tell apart, with
 * what the probes must find.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_CHAT_TEMPLATES_H
#define TESTS_LIB_CHAT_TEMPLATES_H

#include "api/chat_template.h"

struct chat_template_case {
    const char *name;
    const char *source;
    enum tool_format format;
    const char *end;       /* "": not known */
    const char *reasoning; /* the member that is read */
    const char *found; /* of p: parts of user, a: of assistant, 1: only one part, d, D:
                            * developer first and later, s: late system, o: objects,
                            * c: calls, t: tools */
};

extern const struct chat_template_case chat_template_cases[];
extern const size_t n_chat_template_cases;

/* Opens one of them; fails the test when it cannot. */
struct chat_template *chat_templates_open(const struct chat_template_case *c);

/* The source by its name. */
const struct chat_template_case *chat_templates_find(const char *name);

#endif
