/*
 * The framing of a request's body: by length, or chunked (RFC 9112, sections 6 and 7.1).
 *
 * The caller alternates: framing_read reads framing and says by `left` how many bytes of
 * content come next; framing_took counts those that were used. What is not content is
 * bounded: a chunk's line and all trailers have a limit, so that bytes which are progress
 * of nothing end the request. A chunk's line and a chunk end in CRLF: where a bare LF
 * ended one, two readers could see two requests. Pure functions; any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_FRAMING_H
#define SERVER_HTTP_FRAMING_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum framing_place {
    FRAMING_CONTENT,   /* `left` bytes of it come next */
    FRAMING_SIZE,      /* in a chunk's size */
    FRAMING_BLANK,     /* behind it, on the same line, */
    FRAMING_EXTENSION, /* and behind its semicolon */
    FRAMING_CHUNK_END, /* in the line end behind a chunk */
    FRAMING_TRAILERS,
    FRAMING_DONE
};

struct framing {
    enum framing_place place;
    bool chunked;
    bool cr;         /* the last byte was a carriage return */
    unsigned line;   /* bytes of this chunk's line, or of the trailers, so far */
    unsigned column; /* bytes of this trailer */
    uint64_t left;   /* content; in FRAMING_SIZE the size so far */
};

/* content_length is unused when chunked. */
void framing_open(struct framing *f, bool chunked, uint64_t content_length);

/* Reads framing from data up to the next content: how many bytes it took, or -code:
 * ERR_ARGUMENT for a bad chunk, ERR_TOO_LARGE for a size beyond 60 bits, ERR_HEADERS for
 * long trailers. */
ssize_t framing_read(struct framing *f, const char *data, size_t len, struct err *err);

/* How many bytes of content come next, at most len. */
size_t framing_content(const struct framing *f, size_t len);

/* Counts content that was used. */
void framing_took(struct framing *f, size_t bytes);

static inline bool framing_done(const struct framing *f)
{
    return f->place == FRAMING_DONE;
}

#endif
