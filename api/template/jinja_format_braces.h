/*
 * "{} items".format(n). Bytes of the format and of texts put into it keep their marks;
 * digits and filling are the template's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_FORMAT_BRACES_H
#define API_TEMPLATE_JINJA_FORMAT_BRACES_H

#include "api/template/jinja_string.h"

/* Fields are {}, {0}, {name}, followed by members (.name, [key]), !r, !s or !a, and a
 * specification after a colon, which may have fields itself. named may be NULL. Answers a
 * new text, or fails the render with what Python would say. */
struct jinja_value jinja_format_braces(struct jinja_render *r,
                                       const struct jinja_string *format,
                                       const struct jinja_value *args, size_t n,
                                       const struct jinja_dict *named);

#endif
