/*
 * An HTTP/1 answer, read as its bytes come: status, then the body by chunks, by length or
 * until the connection ends. Pure: no socket, no time. Headers are looked at for the
 * body's framing alone. It refuses what is no HTTP, a head of more than 16 KiB and a body
 * of more than 64 MiB that nobody takes. One owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_HTTP_READER_H
#define SERVER_CMD_HTTP_READER_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum http_reader_part {
    HTTP_READER_HEAD,
    HTTP_READER_LENGTH,  /* a body of `left` more bytes */
    HTTP_READER_REST,    /* a body until the connection ends */
    HTTP_READER_SIZE,    /* the line of a chunk's size */
    HTTP_READER_CHUNK,   /* `left` more bytes of a chunk */
    HTTP_READER_BREAK,   /* the line's end behind a chunk */
    HTTP_READER_TRAILER, /* lines behind the last chunk */
    HTTP_READER_DONE     /* what follows is ignored */
};

/* A zeroed struct is a reader at its begin. */
struct http_reader {
    bool no_body; /* set by the caller: the answer of a HEAD */
    int status;   /* 0 until the head is whole */
    enum http_reader_part part;
    struct buf body; /* owns; what has come and was not taken by http_reader_line */
    struct buf raw;  /* owns; bytes that were not understood yet */
    uint64_t left;
    size_t taken; /* bytes of body that the last line was */
};

void http_reader_free(struct http_reader *r); /* frees and zeroes */

/* Understands the next bytes. ERR_FORMAT, ERR_TOO_LARGE, ERR_MEMORY. */
int http_reader_put(struct http_reader *r, const char *data, size_t len, struct err *err);

/* The connection has ended: ERR_IO unless the answer is whole. */
int http_reader_end(struct http_reader *r, struct err *err);

/* The next line of the body, without LF or CRLF; false: not whole yet. Borrows until the
 * next call of this reader. */
bool http_reader_line(struct http_reader *r, const char **line, size_t *len);

#endif
