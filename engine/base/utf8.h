/* UTF-8: decode, encode, validate, count. Strict (RFC 3629): no surrogates, no overlong
 * forms, nothing above U+10FFFF. Pure functions, any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_UTF8_H
#define ENGINE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the first code point of s[0..len). Returns its length in bytes (1..4), 0 when
 * the bytes are a proper beginning of a longer sequence (more input may complete it; also
 * for len = 0), or -1 when they can never begin a valid sequence. */
int utf8_decode(const char *s, size_t len, uint32_t *c);

/* Writes c into out[4], returns its length; c must be a valid scalar value. */
int utf8_encode(uint32_t c, char out[4]);

bool utf8_valid(const char *s, size_t len);

/* Number of code points, counting each undecodable byte as one. */
size_t utf8_count(const char *s, size_t len);

#endif
