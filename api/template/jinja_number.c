/*
 * Numbers out of values, as Python's int() and float() read them: blanks around, single
 * underscores between digits, a sign. Runs on the render's thread. Digits are ASCII's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_number.h"

#include "api/template/jinja_operator.h"
#include "api/template/jinja_space.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MOST = 400 }; /* characters of a number that is read */

/* Copies the text without blanks around and underscores between digits. False: it is too
 * long, empty, or has an underscore elsewhere. */
static bool clean(const struct jinja_string *s, char out[NUMBER_MOST + 1])
{
    size_t from = jinja_space_begin(s->text, s->len), n = 0;
    size_t to = s->len - (from < s->len ? jinja_space_end(s->text, s->len) : 0);
    if (to - from > NUMBER_MOST || from == to)
        return false;
    for (size_t i = from; i < to; i++) {
        char before = i > from ? s->text[i - 1] : '_', c = s->text[i];
        if (c == '_' && (before == '_' || i + 1 == to))
            return false;
        if (c != '_')
            out[n++] = c;
    }
    out[n] = '\0';
    return n > 0 && strlen(out) == n;
}

/* The base of a prefix such as 0x; 0: there is none. */
static int prefix_of(const char *digits)
{
    static const char letters[] = "bBoOxX";
    static const int bases[] = {2, 2, 8, 8, 16, 16};
    const char *at = digits[0] == '0' && digits[1] ? strchr(letters, digits[1]) : NULL;
    return at ? bases[at - letters] : 0;
}

static bool whole(const char *s, int64_t base, int64_t *out)
{
    char *end;
    const char *digits = s + (*s == '-' || *s == '+');
    int prefix = prefix_of(digits);
    if (prefix && (base == 0 || base == prefix)) {
        digits += 2;
        base = prefix;
    }
    if (base == 0)
        base = 10;
    if (base < 2 || base > 36 || !isalnum((unsigned char)*digits))
        return false;
    long long value = strtoll(digits, &end, (int)base);
    *out = *s == '-' ? -value : value;
    return *end == '\0';
}

static bool real_of(const char *s, double *out)
{
    char *end;
    const char *digits = s + (*s == '-' || *s == '+');
    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
        return false;
    if (strchr(s, '('))
        return false;
    *out = strtod(s, &end);
    return *end == '\0' && end != s;
}

static struct jinja_value fallback(const struct jinja_args *args, struct jinja_value zero)
{
    return args->param[0] ? *args->param[0] : zero;
}

static struct jinja_value truncate(struct jinja_render *r, double x)
{
    if (!(x > -0x1p63 && x < 0x1p63))
        return jinja_render_fail(r, "a float that is no integer of 64 bits");
    return jinja_int((int64_t)x);
}

static struct jinja_value int_of_text(struct jinja_render *r,
                                      const struct jinja_string *s,
                                      const struct jinja_args *args)
{
    char text[NUMBER_MOST + 1];
    int64_t x;
    double real;
    int64_t base = jinja_builtin_int(r, args, 1, 10);
    jinja_render_work(r, s->len);
    if (!clean(s, text))
        return fallback(args, jinja_int(0));
    if (whole(text, base, &x))
        return x == INT64_MAX || x == INT64_MIN
                   ? jinja_render_fail(r, "an integer beyond 64 bits")
                   : jinja_int(x);
    if (!real_of(text, &real) || !isfinite(real))
        return fallback(args, jinja_int(0));
    return truncate(r, real);
}

struct jinja_value jinja_number_int(struct jinja_render *r, struct jinja_value self,
                                    const struct jinja_args *args)
{
    switch (self.kind) {
    case JINJA_UNDEFINED:
        return jinja_operator_undefined(r, self);
    case JINJA_BOOL:
        return jinja_int(self.truth);
    case JINJA_INT:
        return self;
    case JINJA_REAL:
        return isnan(self.real) ? fallback(args, jinja_int(0)) : truncate(r, self.real);
    case JINJA_STRING:
        return int_of_text(r, self.string, args);
    default:
        return fallback(args, jinja_int(0));
    }
}

struct jinja_value jinja_number_real(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args)
{
    char text[NUMBER_MOST + 1];
    double x;
    switch (self.kind) {
    case JINJA_UNDEFINED:
        return jinja_operator_undefined(r, self);
    case JINJA_BOOL:
        return jinja_real(self.truth);
    case JINJA_INT:
        return jinja_real((double)self.integer);
    case JINJA_REAL:
        return self;
    case JINJA_STRING:
        jinja_render_work(r, self.string->len);
        if (clean(self.string, text) && real_of(text, &x))
            return jinja_real(x);
        return fallback(args, jinja_real(0));
    default:
        return fallback(args, jinja_real(0));
    }
}
