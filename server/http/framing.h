/*
 * What a request's header fields may look like beyond what the HTTP library checks. Pure
 * functions; any thread. Refuses what lets two parties see two different requests in the
 * same bytes: a name that is no token (space before the colon), two Content-Length, two
 * Host, Content-Length beside Transfer-Encoding, codings other than chunked, NUL in a
 * value.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_FRAMING_H
#define SERVER_HTTP_FRAMING_H

#include "engine/base/err.h"
#include "server/http/http.h"

/* ERR_ARGUMENT with the reason. `end` is one past the last byte of the header block that
 * the headers point into; NULL skips the check for hidden bytes between them. */
int framing_check(const struct http_header *headers, size_t n, const char *end,
                  struct err *err);

/* Decodes %XX in a path; `to` has room for len bytes. Answers the
 * decoded length, or -1 for a broken escape or a control character, NUL included. */
ssize_t framing_unescape(const char *from, size_t len, char *to);

#endif
