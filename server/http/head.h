/*
 * A request's head: from bytes to method, target and headers (RFC 9112, sections 2 to 7).
 *
 * Strict where two readers could see two requests: one space between the parts of the
 * request line, no space before a colon, no folded line, no control character, one Host,
 * at most one Content-Length or Transfer-Encoding and never both. A bare LF ends a line
 * as CRLF does (section 2.2). Pure functions; any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HEAD_H
#define SERVER_HTTP_HEAD_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct http_header { /* both end in a NUL, too */
    const char *name, *value;
    size_t name_len, value_len;
};

struct head_limits { /* bytes */
    size_t target, headers;
};

/* How far a head has been scanned; zeroed at its first byte. */
struct head_scan {
    size_t at, line,
        headers; /* next byte; start of its line; of the first header, or 0 */
};

struct head {
    char *bytes; /* owns; what follows points into it */
    const char *method, *target;
    size_t target_len;
    int minor; /* HTTP/1.minor */
    struct http_header *headers;
    size_t n_headers;
    uint64_t content_length; /* 0 without; unknown when chunked */
    bool chunked, expects_continue, keep_alive;
};

/* Looks for the head's end in data[0..len), whose earlier bytes are those of the last call
 * with this scan. How many bytes the head has, 0 when more must come, or -code: ERR_URI,
 * ERR_HEADERS, ERR_ARGUMENT for bytes that begin no request. */
ssize_t head_find(struct head_scan *scan, const struct head_limits *limits,
                  const char *data, size_t len, struct err *err);

/* Parses a head that head_find has found, and copies it. ERR_ARGUMENT, ERR_URI,
 * ERR_HEADERS, ERR_TOO_LARGE for a length beyond 64 bits, ERR_MEMORY; *out then holds
 * nothing. */
int head_parse(struct head *out, const struct head_limits *limits, const char *data,
               size_t len, struct err *err);

void head_free(struct head *head); /* accepts a zeroed struct */

/* Bytes that the head holds. */
size_t head_bytes(size_t len, size_t n_headers);

/* The first header of that name (any case), or NULL. */
const struct http_header *head_header(const struct head *head, const char *name);

/* Percent-decodes; to may have the same length. The decoded length, or -1 for a bad
 * escape or a control character. */
ssize_t head_unescape(const char *from, size_t len, char *to);

#endif
