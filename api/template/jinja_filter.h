/* Filters: value|name(arguments). SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_FILTER_H
#define API_TEMPLATE_JINJA_FILTER_H

#include "api/template/jinja_builtin.h"

/* NULL: there is none of that name. */
const struct jinja_builtin *jinja_filter_find(const char *name, size_t len);

#endif
