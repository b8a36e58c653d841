/* Numbers and strings of a template's source, as Python reads them. On the thread that
 * compiles. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_LITERAL_H
#define API_TEMPLATE_JINJA_LITERAL_H

#include "api/template/jinja_lexer.h"

/* Reads an integer or a real from s, which begins with a digit, into the token; answers
 * its bytes. Integers beyond 64 bits fail. */
size_t jinja_literal_number(struct jinja_source *source, struct jinja_token *t,
                            const char *s, size_t len);

/* Decodes what stands between the quotes into the token's text. */
void jinja_literal_string(struct jinja_source *source, struct jinja_token *t,
                          const char *s, size_t len);

#endif
