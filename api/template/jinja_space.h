/* Python's blanks, as str.isspace(), str.strip() and the regular expressions of jinja2's
 * lexer see them. Pure functions, any thread. The text is valid UTF-8.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_TEMPLATE_JINJA_SPACE_H
#define API_TEMPLATE_JINJA_SPACE_H

#include <stddef.h>

/* Bytes of the blank at the begin of s[0..len), or of that at its end; 0: none there. */
size_t jinja_space_first(const char *s, size_t len);
size_t jinja_space_last(const char *s, size_t len);

/* Bytes of all blanks at the begin, at the end. */
size_t jinja_space_begin(const char *s, size_t len);
size_t jinja_space_end(const char *s, size_t len);

/* Bytes of the line break at the begin of s, as str.splitlines() sees them; 0: none. */
size_t jinja_space_break(const char *s, size_t len);

#endif
