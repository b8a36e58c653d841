/* Global names: the variables of a render, then the functions of the language.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_GLOBAL_H
#define API_TEMPLATE_JINJA_GLOBAL_H

#include "api/template/jinja_string.h"

/* UNDEFINED, without a name, where there is none. */
struct jinja_value jinja_global_find(struct jinja_render *r, const char *name,
                                     size_t len);

#endif
