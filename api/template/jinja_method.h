/* Methods of values. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_METHOD_H
#define API_TEMPLATE_JINJA_METHOD_H

#include "api/template/jinja_builtin.h"

/* NULL: this kind of value has none of that name here. A row without a function is a
 * method that the sandbox refuses. */
const struct jinja_builtin *jinja_method_find(struct jinja_value of, const char *name,
                                              size_t len);

#endif
