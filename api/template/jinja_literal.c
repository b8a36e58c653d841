/*
 * Numbers (with underscores, in bases 2, 8, 10, 16) and strings (with Python's escapes)
 * of a template. Runs on the thread that compiles; refuses integers beyond 64 bits,
 * surrogates and \N{…}.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_literal.h"

#include "engine/base/utf8.h"

#include <stdlib.h>
#include <string.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Bytes of (_?digit)* of that base. */
static size_t digits(const char *s, size_t len, int base)
{
    size_t n = 0;
    while (n < len) {
        size_t skip = s[n] == '_';
        if (n + skip >= len || digit_of(s[n + skip]) >= base)
            break;
        n += skip + 1;
    }
    return n;
}

static bool integer_of(const char *s, size_t len, int base, int64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < len; i++)
        if (s[i] != '_' && (__builtin_mul_overflow(*value, base, value) ||
                            __builtin_add_overflow(*value, digit_of(s[i]), value)))
            return false;
    return true;
}

/* Bytes of a fraction and an exponent behind the digits; 0: an integer. */
static size_t real_tail(const char *s, size_t len)
{
    size_t n = 0;
    if (len > 1 && s[0] == '.' && digit_of(s[1]) < 10)
        n = 1 + digits(s + 1, len - 1, 10);
    if (n < len && (s[n] == 'e' || s[n] == 'E')) {
        size_t at = n + 1;
        at += at < len && (s[at] == '+' || s[at] == '-');
        if (at < len && digit_of(s[at]) < 10)
            n = at + digits(s + at, len - at, 10);
    }
    return n;
}

static double real_of(struct jinja_source *source, const char *s, size_t len)
{
    char *copy = jinja_source_alloc(source, len + 1);
    size_t n = 0;
    for (size_t i = 0; copy && i < len; i++)
        if (s[i] != '_')
            copy[n++] = s[i];
    return copy ? strtod(copy, NULL) : 0;
}

size_t jinja_literal_number(struct jinja_source *source, struct jinja_token *t,
                            const char *s, size_t len)
{
    static const char letters[] = "bBoOxX";
    static const int bases[] = {2, 2, 8, 8, 16, 16};
    const char *letter = len > 2 && s[0] == '0' ? strchr(letters, s[1]) : NULL;
    int base = letter && *letter ? bases[letter - letters] : 10;
    size_t prefix = base == 10 ? 0 : 2;
    size_t n = prefix + digits(s + prefix, len - prefix, base);
    bool is_index = s[-1] == '.'; /* a.0.1; a tag's bracket stands before any number */
    size_t tail = base == 10 && !is_index ? real_tail(s + n, len - n) : 0;
    if (tail) {
        t->kind = JINJA_T_REAL;
        t->real = real_of(source, s, n + tail);
    } else if (!integer_of(s + prefix, n - prefix, base, &t->integer)) {
        jinja_source_fail(source, t->line, "an integer beyond 64 bits");
    }
    return n + tail;
}

struct decoder {
    struct jinja_source *source;
    uint32_t line;
    const char *s;
    size_t len, at;
    char *out;
    size_t n;
};

/* A code point of exactly n hexadecimal digits. */
static void decode_hex(struct decoder *d, size_t n)
{
    uint32_t c = 0;
    size_t i = 0;
    while (i < n && d->at < d->len && digit_of(d->s[d->at]) < 16 && c < 0x1000000) {
        c = c * 16 + (uint32_t)digit_of(d->s[d->at++]);
        i++;
    }
    if (i < n || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        jinja_source_fail(d->source, d->line, "an escape of no character in a string");
    else
        d->n += (size_t)utf8_encode(c, d->out + d->n);
}

static void decode_octal(struct decoder *d)
{
    uint32_t c = 0;
    for (int i = 0; i < 3 && d->at < d->len && digit_of(d->s[d->at]) < 8; i++)
        c = c * 8 + (uint32_t)digit_of(d->s[d->at++]);
    d->n += (size_t)utf8_encode(c, d->out + d->n);
}

/* Behind a backslash. What is no escape keeps it. */
static void decode_escape(struct decoder *d)
{
    static const char names[] = "\n\\'\"abfnrtv", means[] = "\0\\'\"\a\b\f\n\r\t\v";
    char c = d->s[d->at];
    const char *name = c ? strchr(names, c) : NULL;
    if (digit_of(c) < 8) {
        decode_octal(d);
        return;
    }
    d->at++;
    if (c == 'x' || c == 'u' || c == 'U') {
        decode_hex(d, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
        jinja_source_fail(d->source, d->line, "characters by name are not supported");
    } else if (!name) {
        d->out[d->n++] = '\\';
        d->out[d->n++] = c;
    } else if (c != '\n') {
        d->out[d->n++] = means[name - names];
    }
}

void jinja_literal_string(struct jinja_source *source, struct jinja_token *t,
                          const char *s, size_t len)
{
    struct decoder d = {.source = source, .line = t->line, .s = s, .len = len};
    t->text = s;
    t->len = len;
    if (!memchr(s, '\\', len))
        return;
    d.out = jinja_source_alloc(source, len + 4);
    while (!source->failed && d.at < len) {
        if (s[d.at++] != '\\')
            d.out[d.n++] = s[d.at - 1];
        else if (d.at < len)
            decode_escape(&d);
    }
    t->text = d.out;
    t->len = d.n;
}
