/* Which bytes of a text a client's content put there, as one byte for each of them. Pure
 * functions; any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_MARKS_H
#define ENGINE_TOKENIZER_MARKS_H

#include "engine/base/buf.h"
#include "engine/types.h"

#include <stdbool.h>
#include <stddef.h>

/* Where two fall together, the larger holds. */
enum mark {
    MARK_NONE,  /* the server's own */
    MARK_ADDED, /* content in which added tokens are found, unless special */
    MARK_ALL    /* content in which none is */
};

/* Writes the marks of t's bytes to out, which is empty; a text without content gives
 * none. Memory: out->failed. */
void marks_spread(struct buf *out, const struct engine_text *t);

/* Gives all bytes of a character the largest of their marks; text is valid UTF-8. */
void marks_whole(char *marks, const char *text, size_t len);

/* The largest of marks[begin..end). */
enum mark marks_largest(const char *marks, size_t begin, size_t end);

/* Appends a mark n times. */
void marks_put(struct buf *out, enum mark mark, size_t n);

#endif
