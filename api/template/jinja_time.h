/*
 * strftime of a moment in UTC, in the C locale.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_TIME_H
#define API_TEMPLATE_JINJA_TIME_H

#include "api/template/jinja_string.h"

/* What Python's datetime without a zone makes of the format: %f is six zeros, %z and %Z
 * are nothing, unknown directives stay. now_s is seconds of Unix time. Fails the render on
 * a time beyond years and on a directive wider than JINJA_TIME_WIDEST. */
enum { JINJA_TIME_WIDEST = 512 };
struct jinja_value jinja_time(struct jinja_render *r, const struct jinja_string *format,
                              int64_t now_s);

#endif
