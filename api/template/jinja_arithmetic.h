/* Python's arithmetic on numbers and sequences. Failures are the render's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_ARITHMETIC_H
#define API_TEMPLATE_JINJA_ARITHMETIC_H

#include "api/template/jinja_string.h"

/* `op` is the kind of an operator's token (jinja_lexer.h). */
struct jinja_value jinja_arithmetic(struct jinja_render *r, int op, struct jinja_value a,
                                    struct jinja_value b);
struct jinja_value jinja_arithmetic_sign(struct jinja_render *r, int op,
                                         struct jinja_value v);

#endif
