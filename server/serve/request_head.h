/* What is checked of a request before its body is read, in the order of the answers.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SERVE_REQUEST_HEAD_H
#define SERVER_SERVE_REQUEST_HEAD_H

#include "server/serve/conn.h"

/* Finds the route (conn.route, conn.path, conn.ops) and the tenant; 0, or the first refusal: URI
 * and header block, route and method, key, length, media type, phase of the process. */
int request_head_check(struct conn *c, struct err *err);

/* Moves conn.client from the peer to the address that a trusted peer has forwarded for. */
void request_head_client(struct conn *c);

/* The most bytes that the body of this route may have; ERR_TOO_LARGE with that. */
size_t request_head_body_limit(const struct conn *c);
int request_head_too_large(const struct conn *c, struct err *err);

#endif
