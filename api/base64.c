/* Base64, three bytes at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = 0;
        size_t n = len - i < 3 ? len - i : 3;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (unsigned char)s[i + k] : 0u);
        char digits[4];
        for (size_t k = 0; k < 4; k++)
            digits[k] = k > n ? '=' : alphabet[bits >> (18 - 6 * k) & 63];
        buf_put(out, digits, sizeof digits);
    }
}

/* Four digits as up to three bytes; 0: they are none. Padding only where `last`. */
static size_t read_group(const char *digits, bool last, char bytes[3])
{
    uint32_t bits = 0;
    size_t n = last && digits[3] == '=' ? (digits[2] == '=' ? 1 : 2) : 3;
    for (size_t k = 0; k < 4; k++) {
        const char *at = k <= n ? memchr(alphabet, digits[k], 64) : alphabet;
        if (!at)
            return 0;
        bits = bits << 6 | (uint32_t)(at - alphabet);
    }
    for (size_t k = 0; k < 3; k++)
        bytes[k] = (char)(bits >> (16 - 8 * k) & 255);
    return n == 3 || (bits & ((1u << (24 - 8 * n)) - 1)) == 0 ? n : 0;
}

bool base64_read(struct buf *out, const char *digits, size_t len)
{
    size_t before = out->len;
    bool good = len % 4 == 0;
    for (size_t i = 0; i < len && good; i += 4) {
        char bytes[3];
        size_t n = read_group(digits + i, i + 4 == len, bytes);
        good = n > 0;
        buf_put(out, bytes, n);
    }
    if (!good && !out->failed)
        out->len = before;
    return good;
}
