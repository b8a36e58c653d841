/* Readers of values, and the decoding of strings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/value.h"

#include "engine/base/utf8.h"

#include <string.h>

_Static_assert(sizeof(struct value) == 16, "body_bytes counts on it");

enum value_kind value_kind(const struct value *v)
{
    return v ? (enum value_kind)v->kind : VALUE_ABSENT;
}

const char *value_kind_name(const struct value *v)
{
    static const char *const names[] = {
        "nothing",    "null",          "a boolean",
        "an integer", "a real number", "a number too large",
        "a string",   "an array",      "an object"};
    return names[value_kind(v)];
}

bool value_numeric(const struct value *v)
{
    return value_kind(v) == VALUE_INT || value_kind(v) == VALUE_REAL;
}

bool value_bool(const struct value *v)
{
    return value_kind(v) == VALUE_BOOL && v->integer;
}

int64_t value_int(const struct value *v)
{
    return value_kind(v) == VALUE_INT ? v->integer : 0;
}

double value_number(const struct value *v)
{
    return value_kind(v) == VALUE_REAL ? v->real : (double)value_int(v);
}

size_t value_len(const struct value *v)
{
    return value_kind(v) >= VALUE_ARRAY ? v->len : 0;
}

const struct value *value_first(const struct value *v)
{
    return value_len(v) ? v + 1 : NULL;
}

const struct value *value_next(const struct value *v)
{
    return v + v->span;
}

const struct value *value_of(const struct value *name)
{
    return name + 1;
}

const struct value *value_get(const struct value *object, const char *name)
{
    if (value_kind(object) != VALUE_OBJECT)
        return NULL;
    const struct value *x = value_first(object);
    for (size_t i = 0; i < value_len(object); i++, x = value_next(x))
        if (value_is(x, name))
            return value_of(x);
    return NULL;
}

/* ---- strings ---------------------------------------------------------------- */

/* Four hexadecimal digits; -1 when they are not. */
static int32_t hex4(const char *s, const char *end)
{
    int32_t x = 0;
    if (end - s < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = s[i], low = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            x = x << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            x = x << 4 | (low - 'a' + 10);
        else
            return -1;
    }
    return x;
}

/* The digits behind \u at s, and those of the pair's other half (RFC 8259, section 7). */
static size_t unescape_hex(const char *s, const char *end, uint32_t *c)
{
    int32_t x = hex4(s, end);
    if (x < 0 || (x >= 0xDC00 && x <= 0xDFFF))
        return 0;
    *c = (uint32_t)x;
    if (x < 0xD800 || x > 0xDFFF)
        return 4;
    int32_t y = end - s >= 6 && s[4] == '\\' && s[5] == 'u' ? hex4(s + 6, end) : -1;
    if (y < 0xDC00 || y > 0xDFFF)
        return 0;
    *c = 0x10000 + ((uint32_t)(x - 0xD800) << 10) + (uint32_t)(y - 0xDC00);
    return 10;
}

bool value_unescape(const char **at, const char *end, uint32_t *c)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *s = *at;
    if (s == end)
        return false;
    size_t digits = *s == 'u' ? unescape_hex(s + 1, end, c) : 0;
    const char *letter = *s ? strchr(letters, *s) : NULL;
    if (letter)
        *c = (unsigned char)meant[letter - letters];
    if (!letter && !digits)
        return false;
    *at = s + 1 + digits;
    return true;
}

/* A string's decoded bytes, one by one. What stands in the text is valid: body_parse saw
 * it. */
struct decoder {
    const char *at, *end;
    char bytes[4]; /* of the last escape; those from `used` on are to come */
    int n, used;
};

static struct decoder decode(const struct value *v)
{
    return (struct decoder){.at = v->text, .end = v->text + v->len};
}

/* The next byte, -1 at the end. */
static int next_byte(struct decoder *d)
{
    uint32_t c;
    if (d->used < d->n)
        return (unsigned char)d->bytes[d->used++];
    if (d->at == d->end)
        return -1;
    char plain = *d->at++;
    if (plain != '\\' || !value_unescape(&d->at, d->end, &c))
        return (unsigned char)plain;
    d->n = utf8_encode(c, d->bytes);
    d->used = 1;
    return (unsigned char)d->bytes[0];
}

size_t value_text_len(const struct value *v)
{
    if (value_kind(v) != VALUE_STRING)
        return 0;
    if (!v->escaped)
        return v->len;
    struct decoder d = decode(v);
    size_t len = 0;
    while (next_byte(&d) >= 0)
        len++;
    return len;
}

size_t value_peek(const struct value *v, char *text, size_t cap)
{
    size_t len = 0;
    if (value_kind(v) == VALUE_STRING && !v->escaped) {
        len = v->len < cap ? v->len : cap - 1;
        memcpy(text, v->text, len);
    } else if (value_kind(v) == VALUE_STRING) {
        struct decoder d = decode(v);
        for (int c; len + 1 < cap && (c = next_byte(&d)) >= 0; len++)
            text[len] = (char)c;
    }
    text[len] = '\0';
    return len;
}

char *value_text(const struct value *v, struct arena *arena)
{
    size_t cap = value_text_len(v) + 1;
    char *text = arena_alloc(arena, cap);
    if (text)
        value_peek(v, text, cap);
    return text;
}

static int compare_plain(const struct value *a, const struct value *b)
{
    int rc = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return rc ? rc : (a->len > b->len) - (a->len < b->len);
}

int value_compare(const struct value *a, const struct value *b)
{
    if (!a->escaped && !b->escaped)
        return compare_plain(a, b);
    struct decoder x = decode(a), y = decode(b);
    for (;;) {
        int c = next_byte(&x), d = next_byte(&y);
        if (c != d || c < 0)
            return c - d;
    }
}

bool value_is(const struct value *v, const char *text)
{
    if (value_kind(v) != VALUE_STRING)
        return false;
    if (!v->escaped)
        return strncmp(v->text, text, v->len) == 0 && text[v->len] == '\0';
    struct value other = {.text = text, .len = (uint32_t)strlen(text)};
    return value_compare(v, &other) == 0;
}
