/* UTF-8 by the table of the Unicode Standard, section 3.9 (table 3-7, well-formed
 * sequences).
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/utf8.h"

int utf8_decode(const char *s, size_t len, uint32_t *c)
{
    if (len == 0)
        return 0;
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) {
        *c = u[0];
        return 1;
    }
    if (u[0] < 0xC2 || u[0] > 0xF4)
        return -1;
    int n = u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    unsigned low = u[0] == 0xE0 ? 0xA0 : u[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = u[0] == 0xED ? 0x9F : u[0] == 0xF4 ? 0x8F : 0xBF;
    uint32_t v = u[0] & (0x7Fu >> n);
    for (int i = 1; i < n; i++) {
        if ((size_t)i == len)
            return 0;
        if (u[i] < low || u[i] > high)
            return -1;
        low = 0x80;
        high = 0xBF;
        v = v << 6 | (u[i] & 0x3Fu);
    }
    *c = v;
    return n;
}

int utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)((0xF00 >> n & 0xFF) | c);
    return n;
}

bool utf8_valid(const char *s, size_t len)
{
    uint32_t c;
    for (size_t i = 0; i < len;) {
        int n = utf8_decode(s + i, len - i, &c);
        if (n <= 0)
            return false;
        i += (size_t)n;
    }
    return true;
}

size_t utf8_count(const char *s, size_t len)
{
    size_t count = 0;
    uint32_t c;
    for (size_t i = 0; i < len; count++) {
        int n = utf8_decode(s + i, len - i, &c);
        i += n > 0 ? (size_t)n : 1;
    }
    return count;
}
