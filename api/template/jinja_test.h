/* Tests: value is name(arguments). SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_TEST_H
#define API_TEMPLATE_JINJA_TEST_H

#include "api/template/jinja_builtin.h"

/* NULL: there is none of that name. A test answers a boolean. */
const struct jinja_builtin *jinja_test_find(const char *name, size_t len);

#endif
