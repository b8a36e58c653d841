/*
 * Answers as bytes, by libmicrohttpd. Private to server/http; loop thread.
 *
 * A writer is one connection of the library over a pair of local sockets. To write an
 * answer it is sent a request of ours, without a body, and what the library answers is
 * relayed to the client. So the library sees good input only, and holds memory for
 * answers under way, not for clients. A writer whose connection the library keeps open
 * serves the next call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HTTP_WRITER_H
#define SERVER_HTTP_HTTP_WRITER_H

#include "server/http/http.h"

struct http_writers;

/* What a writer does with its bytes. */
struct http_writer_sink {
    /* True: more may follow at once; false: call http_writer_go_on when it may. */
    bool (*write)(struct http_call *call, const char *data, size_t len);
    /* Every byte was given to `write`; the writer is free again. good: as it should be. */
    void (*written)(struct http_call *call, bool good);
};

int http_writers_open(struct http_writers **out, struct uv_loop_s *loop,
                      const struct http_writer_sink *sink, struct err *err);

/* No call has a writer any more. The loop must run for handles to close. */
void http_writers_close(struct http_writers *ws);

/* Closes writers that have not been needed since the last tick, but for one. False: calls
 * wait, for lack of memory or descriptors. */
bool http_writers_tick(struct http_writers *ws);

/* Answers given by the library without having asked for ours. */
uint64_t http_writers_refusals(const struct http_writers *ws);

/* Makes call->response of the reply, whose body it takes. False: out of memory. */
bool http_writer_respond(struct http_call *call, struct http_reply *r,
                         ssize_t (*read)(void *owner, char *to, size_t max));

/* Has a writer write call->response, now or when one is free. */
void http_writer_start(struct http_writers *ws, struct http_call *call);

/* The stream has bytes again. */
void http_writer_wake(struct http_call *call);

/* The sink takes bytes again. */
void http_writer_go_on(struct http_call *call);

/* The call's answer is not wanted any more: frees the response, lets the writer go. */
void http_writer_abort(struct http_call *call);

#endif
