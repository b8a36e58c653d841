/*
 * One field of a formatted text: a number in a base or with decimals, or a text, brought
 * to a width. What both of Python's ways to format share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_FIELD_H
#define API_TEMPLATE_JINJA_FIELD_H

#include "api/template/jinja_string.h"

struct jinja_field {
    const char *fill; /* one character of fill_len bytes */
    size_t fill_len;
    char align;     /* '<', '>', '^'; '=': filled between the sign and the digits */
    char sign;      /* of what is not negative: '+', ' ', or '-' for none */
    char grouping;  /* between thousands: ',' or '_'; 0: none */
    char type;      /* d x X o b, e E f F g G %; 0: a real as repr shows it */
    bool alternate; /* 0x and the like; the point and zeros of a real stay */
    int64_t width;
    int64_t precision; /* decimals, digits of an integer, characters of a text; -1 */
};

extern const struct jinja_field jinja_field_plain; /* blanks, no width, no precision */

void jinja_field_text(struct jinja_builder *b, const struct jinja_field *f,
                      const struct jinja_string *s);
void jinja_field_int(struct jinja_builder *b, const struct jinja_field *f, int64_t x);
void jinja_field_real(struct jinja_builder *b, const struct jinja_field *f, double x);

/* Decimal digits at s[*at]; moves *at behind them. -1: none; INT32_MAX and above is too
 * large and stays INT32_MAX. */
int64_t jinja_field_digits(const struct jinja_string *s, size_t *at);

#endif
