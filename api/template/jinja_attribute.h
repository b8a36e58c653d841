/* a.b and a['b'], in the sandbox's order: a method before an item, or an item before a
 * method. What is not there is UNDEFINED. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_ATTRIBUTE_H
#define API_TEMPLATE_JINJA_ATTRIBUTE_H

#include "api/template/jinja_string.h"

struct jinja_value jinja_attribute(struct jinja_render *r, struct jinja_value of,
                                   const struct jinja_string *name);
struct jinja_value jinja_attribute_item(struct jinja_render *r, struct jinja_value of,
                                        struct jinja_value key);

/* What "a.0.b" names in v, item by item; a number, or none for v itself, is a key too. */
struct jinja_value jinja_attribute_path(struct jinja_render *r, struct jinja_value v,
                                        struct jinja_value path);

#endif
