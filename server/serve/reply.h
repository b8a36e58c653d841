/*
 * Answers of a conn: what every response has besides its own fields (X-Request-Id, CORS,
 * Connection), and error bodies. Loop thread. Each sends at most one head per conn; a conn
 * whose client has left only counts it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_REPLY_H
#define SERVER_SERVE_REPLY_H

#include "server/serve/conn.h"

/* Sends an answer; takes r->body. */
void reply_send(struct conn *c, struct http_reply *r);

/* 200 with a JSON body, which is taken. */
void reply_json(struct conn *c, struct buf *body);

/* Sends the head of a stream of server-sent events that conn.stream feeds. r: status 200
 * and the route's own fields. */
void reply_stream(struct conn *c, struct http_reply *r);

/* The status and JSON body of an error. */
void reply_error(struct conn *c, const struct err *err);

#endif
