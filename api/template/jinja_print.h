/*
 * Values as Python 3 prints them: str() and repr(). Bytes of texts keep their marks; what
 * stands around them, and the digits of numbers, are the template's (mark 0).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_PRINT_H
#define API_TEMPLATE_JINJA_PRINT_H

#include "api/template/jinja_string.h"

/* str(): a text is itself, undefined is nothing, a list shows the repr of its items. Too
 * deep nesting fails the render. */
void jinja_print(struct jinja_builder *b, struct jinja_value v);

/* repr(): a text in quotes, with escapes. */
void jinja_print_repr(struct jinja_builder *b, struct jinja_value v);

/* ascii(): repr() with everything beyond ASCII escaped. */
void jinja_print_ascii(struct jinja_builder *b, struct jinja_value v);

/* The name of its type: "str", "NoneType", "Undefined", as Python's errors show it. */
const char *jinja_print_type(struct jinja_value v);

/* The shortest digits that read back as x, with a NUL; Python's form: "12.0", "1e-07",
 * "1e+16", "inf", "nan". Answers the length. */
enum { JINJA_PRINT_REAL = 32 };
size_t jinja_print_real(double x, char out[JINJA_PRINT_REAL]);

#endif
