/*
 * From a collected JSON body to a parsed request: the first two steps of every route that
 * takes one. Loop thread, but for what a worker runs.
 *
 * A small body is parsed by the loop. A large one is left to a worker, and a large text
 * is tokenised, one at a time: both take many times the bytes of the text, and what one
 * of them takes is what the memory plan keeps free.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_REQUEST_BODY_H
#define SERVER_ROUTES_REQUEST_BODY_H

#include "server/serve/conn.h"

enum { REQUEST_BODY_HERE_BYTES = 64 * 1024 }; /* at most some milliseconds of the loop */

/* For tasks over so many bytes: NULL, or one at a time. */
struct task_limit *request_body_limit(struct server *server, size_t bytes);

/* The same for tasks that render so many bytes by a template: never NULL. */
struct task_limit *request_body_render_limit(struct server *server, size_t bytes);

/* The collected bytes; never NULL. */
const char *request_body_text(const struct conn *c);

/* Has `run` parse the body. For the end of a step. */
int request_body_parse(struct conn *c, task_fn *run, struct err *err);

/* The begin of the next step: frees the body. 0, or why it was refused; else counts
 * n_unknown fields, and charges the bytes that the request holds in its place. */
int request_body_parsed(struct conn *c, size_t n_unknown, size_t bytes, struct err *err);

#endif
