/*
 * "%d items" % n, also the filter format. Bytes of the format and of texts put into it
 * keep their marks; digits and filling are the template's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_FORMAT_PERCENT_H
#define API_TEMPLATE_JINJA_FORMAT_PERCENT_H

#include "api/template/jinja_string.h"

/* args: a tuple of arguments, a dict for %(name)s, or one argument. Answers a new text, or
 * fails the render with what Python would say. */
struct jinja_value jinja_format_percent(struct jinja_render *r,
                                        const struct jinja_string *format,
                                        struct jinja_value args);

#endif
