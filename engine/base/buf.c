/* Byte buffers and JSON writing. Runs on the thread of its owner.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/buf.h"

#include "engine/base/mem.h"
#include "engine/base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->failed || more > PTRDIFF_MAX / 2 - b->len) {
        b->failed = true;
        return false;
    }
    if (b->len + more + 1 <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap * 2 : 128;
    if (cap < b->len + more + 1)
        cap = b->len + more + 1;
    char *data = mem_grow(b->data, b->len, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
    if (!buf_reserve(b, len))
        return;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    else if (buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        if (b->data)
            b->data[0] = '\0';
        return;
    }
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

static void put_escaped(struct buf *b, uint32_t c, const char *s, size_t n)
{
    static const char names[] = "btnvfr"; /* from U+0008; \v has no short form in JSON */
    if (c == '"' || c == '\\')
        buf_printf(b, "\\%c", (char)c);
    else if (c >= 8 && c <= 13 && c != 11)
        buf_printf(b, "\\%c", names[c - 8]);
    else if (c < 0x20 || c == 0x7F || c == 0x2028 || c == 0x2029)
        buf_printf(b, "\\u%04x", (unsigned)c);
    else
        buf_put(b, s, n);
}

void buf_json_string(struct buf *b, const char *s, size_t len)
{
    buf_putc(b, '"');
    size_t i = 0, plain = 0; /* [plain, i) waits to be copied as it is */
    while (i < len) {
        unsigned char ch = (unsigned char)s[i];
        if (ch >= 0x20 && ch < 0x7F && ch != '"' && ch != '\\') {
            i++;
            continue;
        }
        buf_put(b, s + plain, i - plain);
        uint32_t c;
        int n = utf8_decode(s + i, len - i, &c);
        if (n > 0)
            put_escaped(b, c, s + i, (size_t)n);
        else
            buf_puts(b, "\xEF\xBF\xBD");
        i += n > 0 ? (size_t)n : 1;
        plain = i;
    }
    buf_put(b, s + plain, i - plain);
    buf_putc(b, '"');
}

void buf_json_number(struct buf *b, double x)
{
    char text[40];
    if (!isfinite(x)) {
        buf_puts(b, "null");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    buf_puts(b, text);
}
