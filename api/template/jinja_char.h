/*
 * What Unicode says of a character, as Python's str reads it. Pure functions, any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_CHAR_H
#define API_TEMPLATE_JINJA_CHAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What repr() shows as it is: assigned, no separator but the space, no control. */
bool jinja_char_printable(uint32_t c);

/* Has a case; is passed over when the place of a final sigma is looked for. */
bool jinja_char_cased(uint32_t c);
bool jinja_char_ignorable(uint32_t c);

/* The full mappings, which may be up to three characters; answer their number. */
enum { JINJA_CHAR_MOST = 3 };
size_t jinja_char_upper(uint32_t c, uint32_t out[JINJA_CHAR_MOST]);
size_t jinja_char_lower(uint32_t c, uint32_t out[JINJA_CHAR_MOST]);
size_t jinja_char_title(uint32_t c, uint32_t out[JINJA_CHAR_MOST]);

#endif
