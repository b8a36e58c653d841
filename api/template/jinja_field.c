/*
 * Digits first, then sign, prefix and filling around them. Runs on the render's thread.
 * Widths and precisions are a template's: what they cost is taken from the render's
 * memory and output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_field.h"

#include "api/template/jinja_print.h"
#include "engine/base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { REAL_BYTES = 400, GROUP_DECIMAL = 3, GROUP_BINARY = 4 };

const struct jinja_field jinja_field_plain = {
    .fill = " ", .fill_len = 1, .align = '>', .sign = '-', .precision = -1};

struct number {
    char lead[4]; /* sign and prefix, with a NUL */
    char *digits;
    size_t len;
};

int64_t jinja_field_digits(const struct jinja_string *s, size_t *at)
{
    int64_t value = -1;
    for (; *at < s->len && s->text[*at] >= '0' && s->text[*at] <= '9'; (*at)++) {
        value = (value < 0 ? 0 : value) * 10 + (s->text[*at] - '0');
        value = value > INT32_MAX ? INT32_MAX : value;
    }
    return value;
}

/* ---- filling ---- */

static void put_fill(struct jinja_builder *b, const struct jinja_field *f, int64_t n)
{
    char run[256];
    size_t fits = sizeof run / f->fill_len;
    if (n <= 0)
        return;
    for (size_t i = 0; i < fits && (int64_t)i < n; i++)
        memcpy(run + i * f->fill_len, f->fill, f->fill_len);
    for (; n > 0 && !b->render->failed; n -= (int64_t)fits)
        jinja_string_put(b, run, f->fill_len * (n < (int64_t)fits ? (size_t)n : fits), 0);
}

static int64_t fill_left(const struct jinja_field *f, int64_t fill)
{
    return f->align == '>' ? fill : f->align == '^' ? fill / 2 : 0;
}

static void put_number(struct jinja_builder *b, const struct jinja_field *f,
                       const struct number *n)
{
    int64_t fill = f->width - (int64_t)(strlen(n->lead) + n->len);
    int64_t left = fill > 0 ? fill_left(f, fill) : 0;
    put_fill(b, f, left);
    jinja_string_puts(b, n->lead);
    if (f->align == '=')
        put_fill(b, f, fill);
    jinja_string_put(b, n->digits, n->len, 0);
    if (f->align != '=')
        put_fill(b, f, fill - left);
}

void jinja_field_text(struct jinja_builder *b, const struct jinja_field *f,
                      const struct jinja_string *s)
{
    size_t len = 0;
    int64_t count = 0;
    for (; len < s->len && (f->precision < 0 || count < f->precision); count++) {
        uint32_t c;
        len += (size_t)utf8_decode(s->text + len, s->len - len, &c);
    }
    int64_t fill = f->width - count;
    int64_t left = fill > 0 ? fill_left(f, fill) : 0;
    put_fill(b, f, left);
    jinja_string_slice(b, s, 0, len);
    put_fill(b, f, fill - left);
}

/* ---- digits ---- */

static size_t grouped_len(size_t digits, size_t group)
{
    return digits + (digits > 0 ? (digits - 1) / group : 0);
}

/* The first `whole` bytes of the digits with a separator in each group and, where zeros
 * fill the field, zeros in front: they are grouped, too. */
static void group(struct jinja_render *r, const struct jinja_field *f, struct number *n,
                  size_t whole)
{
    bool binary = f->type && strchr("bxXo", f->type);
    size_t size = binary ? GROUP_BINARY : GROUP_DECIMAL, digits = whole;
    size_t around = strlen(n->lead) + n->len - whole;
    bool zeros = f->align == '=' && f->fill[0] == '0';
    int64_t most = (int64_t)r->args->limits->output_bytes;
    int64_t width = f->width < most ? f->width : most;
    while (zeros && (int64_t)(grouped_len(digits, size) + around) < width)
        digits++;
    size_t len = grouped_len(digits, size), rest = n->len - whole;
    char *out = jinja_render_alloc(r, len + rest + 1);
    if (!out)
        return;
    size_t at = len;
    for (size_t i = 0; i < digits; i++) {
        if (i > 0 && i % size == 0)
            out[--at] = f->grouping;
        out[--at] = i < whole ? n->digits[whole - 1 - i] : '0';
    }
    memcpy(out + len, n->digits + whole, rest);
    n->digits = out;
    n->len = len + rest;
}

static void set_lead(struct number *n, const struct jinja_field *f, bool negative,
                     const char *prefix)
{
    char sign = negative ? '-' : f->sign;
    snprintf(n->lead, sizeof n->lead, "%.*s%s", !negative && sign == '-' ? 0 : 1, &sign,
             prefix);
}

static unsigned base_of(char type)
{
    return type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
}

static const char *prefix_of(char type)
{
    return type == 'x'   ? "0x"
           : type == 'X' ? "0X"
           : type == 'o' ? "0o"
           : type == 'b' ? "0b"
                         : "";
}

void jinja_field_int(struct jinja_builder *b, const struct jinja_field *f, int64_t x)
{
    const char *alphabet = f->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    uint64_t rest = x < 0 ? -(uint64_t)x : (uint64_t)x;
    unsigned base = base_of(f->type);
    size_t least = f->precision > 64 ? (size_t)f->precision : 64;
    char *room = jinja_render_alloc(b->render, least);
    struct number n = {.digits = room};
    if (!room)
        return;
    size_t at = least;
    for (; rest > 0 || at == least; rest /= base)
        room[--at] = alphabet[rest % base];
    while ((int64_t)(least - at) < f->precision)
        room[--at] = '0';
    n.digits = room + at;
    n.len = least - at;
    set_lead(&n, f, x < 0, f->alternate ? prefix_of(f->type) : "");
    if (f->grouping)
        group(b->render, f, &n, n.len);
    put_number(b, f, &n);
}

/* ---- reals ---- */

/* Python's default: repr, or with a precision %g which always shows that it is a real. */
static size_t print_default(char *out, size_t cap, int64_t precision, double x)
{
    if (precision < 0)
        return jinja_print_real(x, out);
    int most = precision > 0 ? (int)precision : 1;
    size_t len = (size_t)snprintf(out, cap, "%.*g", most, x);
    char *e = strchr(out, 'e');
    /* %g turns to an exponent one digit later than this form does. */
    if (!e && isfinite(x) && fabs(x) >= 1 && (int)strcspn(out, ".") >= most + (x < 0))
        return (size_t)snprintf(out, cap, "%.*e", most - 1, x);
    if (!e && isfinite(x) && !strchr(out, '.')) {
        memcpy(out + len, ".0", 3);
        len += 2;
    }
    return len;
}

static size_t print_real(char *out, size_t cap, const struct jinja_field *f, double x)
{
    char format[] = "%#.*f";
    bool percent = f->type == '%';
    int64_t precision = f->precision < 0 ? 6 : f->precision;
    if (!f->type)
        return print_default(out, cap, f->precision, x);
    format[4] = percent ? 'f' : f->type;
    if (!f->alternate)
        memmove(format + 1, format + 2, 4);
    size_t len =
        (size_t)snprintf(out, cap, format, (int)precision, percent ? x * 100 : x);
    if (percent)
        memcpy(out + len, "%", 2);
    return len + percent;
}

void jinja_field_real(struct jinja_builder *b, const struct jinja_field *f, double x)
{
    size_t most = b->render->args->limits->output_bytes;
    size_t cap = REAL_BYTES + (f->precision > 0 ? (size_t)f->precision : 0);
    if (f->precision > 0 && (size_t)f->precision > most) {
        jinja_render_fail(b->render, "precision too big");
        return;
    }
    char *text = jinja_render_alloc(b->render, cap);
    struct number n = {.digits = text};
    if (!text)
        return;
    n.len = print_real(text, cap - 2, f, signbit(x) && !isnan(x) ? -x : x);
    set_lead(&n, f, signbit(x) && !isnan(x), "");
    if (f->grouping && isfinite(x))
        group(b->render, f, &n, strcspn(text, ".e%"));
    put_number(b, f, &n);
}
