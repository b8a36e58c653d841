/*
 * A growing run of bytes, always with a NUL behind its end.
 *
 * A failed growth is remembered: `failed` stays true, later puts do nothing, and the
 * builder looks once, at the end. A zeroed struct is an empty buf. Not thread-safe; one
 * owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_BUF_H
#define ENGINE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* owns; NULL while empty */
    size_t len, cap;
    bool failed; /* memory ran out at some put */
};

void buf_free(struct buf *b);  /* frees and zeroes */
void buf_reset(struct buf *b); /* len = 0, keeps memory, clears failed */
bool buf_reserve(struct buf *b, size_t more);
void buf_put(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n); /* removes the first n bytes */

/* JSON writing: a quoted, escaped string (invalid UTF-8 becomes U+FFFD); a number in the
 * shortest form that reads back as the same double, or null when it is not finite. */
void buf_json_string(struct buf *b, const char *s, size_t len);
void buf_json_number(struct buf *b, double x);

#endif
