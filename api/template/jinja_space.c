/*
 * Python's blanks: those of ASCII with the four separators, U+0085, U+00A0 and the blanks
 * of Unicode (not U+200B, not U+FEFF). Pure functions, any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_space.h"

#include "engine/base/utf8.h"

#include <stdbool.h>

static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
           c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_break(uint32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
           c == 0x2028 || c == 0x2029;
}

size_t jinja_space_first(const char *s, size_t len)
{
    uint32_t c;
    int n = utf8_decode(s, len, &c);
    return n > 0 && is_space(c) ? (size_t)n : 0;
}

size_t jinja_space_last(const char *s, size_t len)
{
    size_t n = 1;
    while (n < len && n < 4 && ((unsigned char)s[len - n] & 0xC0) == 0x80)
        n++;
    return len > 0 && jinja_space_first(s + len - n, n) == n ? n : 0;
}

size_t jinja_space_begin(const char *s, size_t len)
{
    size_t at = 0;
    for (size_t n; (n = jinja_space_first(s + at, len - at)) > 0;)
        at += n;
    return at;
}

size_t jinja_space_end(const char *s, size_t len)
{
    size_t left = len;
    for (size_t n; (n = jinja_space_last(s, left)) > 0;)
        left -= n;
    return len - left;
}

size_t jinja_space_break(const char *s, size_t len)
{
    uint32_t c;
    int n = utf8_decode(s, len, &c);
    if (n <= 0 || !is_break(c))
        return 0;
    return c == '\r' && len > 1 && s[1] == '\n' ? 2 : (size_t)n;
}
