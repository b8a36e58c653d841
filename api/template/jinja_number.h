/* The filters int and float. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_NUMBER_H
#define API_TEMPLATE_JINJA_NUMBER_H

#include "api/template/jinja_builtin.h"

struct jinja_value jinja_number_int(struct jinja_render *r, struct jinja_value self,
                                    const struct jinja_args *args);
struct jinja_value jinja_number_real(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args);

#endif
