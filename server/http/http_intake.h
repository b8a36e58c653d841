/*
 * What comes on a socket, as calls. Private to server/http; loop thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HTTP_INTAKE_H
#define SERVER_HTTP_HTTP_INTAKE_H

#include "server/http/http_sock.h"

/* Takes bytes in the socket's state. What cannot be used yet is kept in s->in. */
void http_intake_feed(struct http_sock *s, const char *data, size_t len);

/* Takes what was kept as if it came now. */
void http_intake_kept(struct http_sock *s);

/* The head that is coming was not complete in time: opens a call to refuse it. */
void http_intake_late(struct http_sock *s, double limit_s);

#endif
