/* GPT-2's byte-level alphabet, which writes each byte as one printable character. Bytes
 * that are printable in Latin-1 stand for themselves; the other 68 are numbered from
 * U+0100.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_BYTE_LEVEL_H
#define ENGINE_TOKENIZER_BYTE_LEVEL_H

#include <stdint.h>

enum { BYTE_LEVEL_END = 0x144 }; /* first code point above the alphabet */

static inline uint32_t byte_level_char(unsigned char b)
{
    if (b <= 0x20)
        return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0)
        return 0x121u + (b - 0x7Fu);
    return b == 0xAD ? 0x143u : b;
}

/* The byte, or -1 for a character outside the alphabet. */
static inline int byte_level_byte(uint32_t c)
{
    if (c >= 0x100 && c <= 0x120)
        return (int)(c - 0x100);
    if (c >= 0x121 && c <= 0x142)
        return (int)(c - 0x121 + 0x7F);
    if (c == 0x143)
        return 0xAD;
    return c <= 0xFF && byte_level_char((unsigned char)c) == c ? (int)c : -1;
}

#endif
