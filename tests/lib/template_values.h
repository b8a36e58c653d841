/*
 * A render without a template, and values to try the parts of the interpreter with.
 *
 * Texts are written with marks in them: "a<1|b>c" is a, then b of mark 1, then c. What a
 * test gets back is shown the same way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_TEMPLATE_VALUES_H
#define TESTS_LIB_TEMPLATE_VALUES_H

#include "api/template/jinja_string.h"

struct template_values {
    struct arena arena;
    struct template_limits limits;
    struct template_args args;
    struct jinja_render render;
};

void template_values_open(struct template_values *t);
void template_values_close(struct template_values *t);

/* A text with marks; the value that JSON describes, every text of mark 0. */
struct jinja_value template_values_text(struct template_values *t, const char *shown);
struct jinja_value template_values_json(struct template_values *t, const char *json);

/* A text as it is written above; "failed: …" after a failure, which is cleared. */
const char *template_values_shown(struct template_values *t, struct jinja_value v);

#endif
