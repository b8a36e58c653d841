/*
 * HTTP/1.1 on sockets, under the libuv loop, behind a small door.
 *
 * A *sock* is one client socket, a *call* one request on it. Requests are parsed here
 * (head.h, framing.h), strictly and within limits, and the owner (conn.c) is called with
 * a call's head, body and end. It answers by http_reply at any time, once; a *writer*
 * (http_writer.c: libmicrohttpd) turns the answer into bytes. Everything runs on the loop
 * thread; nothing blocks.
 *
 * The subtle points: an answer is sent at once, even while the body still comes, whose
 * rest is read and dropped, so that the client sees the answer and no reset. A socket
 * holds next to nothing while no request is on it. A client that shut down its sending
 * side sets `left`; what follows from that is the owner's to say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/list.h"
#include "server/http/address.h"
#include "server/http/budget.h"
#include "server/http/head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct uv_loop_s;
struct http;
struct http_sock;
struct http_source;
struct http_writer;
struct MHD_Response;

/* What a socket may ask for. */
enum http_rank {
    HTTP_ORDINARY,
    HTTP_RESERVE, /* beyond max_connections: open routes only, and one request */
    HTTP_EXCESS   /* beyond what one address may have: a refusal */
};

struct http_call {
    struct http *h;         /* borrows */
    void *owner;            /* what `begin` gave */
    struct http_sock *sock; /* borrows */
    struct head head;       /* owns; after a fault in it all is empty, "" or 0 */
    uint64_t began_ns;      /* when its first byte was read */
    uint64_t connection;    /* a number that no other socket has had */
    struct address peer;
    enum http_rank rank;
    bool left; /* the client has shut down its sending side */
    bool replied;

    /* private to http.c and its neighbours */
    int status;
    struct MHD_Response *response; /* owns until a writer queues it */
    struct http_source *source;    /* borrows; what that reads from, if it is a stream */
    struct http_writer *writer;    /* borrows; once it writes the answer */
    struct list at;                /* among those that wait for a writer */
    size_t charged;                /* bytes, in the budget */
    bool close, failed;            /* ends the connection; out of memory for the answer */
};

/* What happens to calls. Only `begin` gets the server's arg; the rest get what it gave. */
struct http_owner {
    void *(*begin)(void *arg, struct http_call *call); /* NULL cuts */
    void (*head)(void *owner);
    /* In place of `head`, or after it in a body: bytes that are no request. To be refused;
     * nothing else of the call follows but `done`. */
    void (*fault)(void *owner, const struct err *err);
    /* How many bytes were taken; with fewer than len the socket rests until http_wake
     * and the rest comes again. Below 0 cuts the connection. Not called after an answer. */
    ssize_t (*body)(void *owner, const char *data, size_t len);
    void (*end)(void *owner); /* the body is whole; not called after an answer */
    /* Stream bytes: > 0 how many, 0 none now (http_wake when there are), -1 the end,
     * -2 the stream broke: the connection is cut without a proper end. */
    ssize_t (*read)(void *owner, char *to, size_t max);
    /* The call is over, `sent` if wholly answered; the owner forgets it. */
    void (*done)(void *owner, bool sent);
};

struct http_options {
    const char *host;
    int port;
    int max_connections;
    int per_address; /* connections of one peer that is not trusted; 0: no limit */
    const struct address_list *trusted; /* borrows */
    struct head_limits limits;
    double keepalive_idle_s, head_timeout_s; /* 0: none */
    struct budget *budget;                   /* borrows: sockets and heads count */
    const struct http_owner *owner;          /* borrows */
    void *owner_arg;
};

/* Binds, listens and hooks into the loop. ERR_IO names the address, e.g. a taken port. */
int http_open(struct http **out, struct uv_loop_s *loop, const struct http_options *o,
              struct err *err);
int http_port(const struct http *h);

struct http_counts {
    int connections;
    uint64_t
        refused_connections;   /* ended unread: the place was needed, or none was left */
    uint64_t library_refusals; /* answers of the library's own; 0 unless it has a fault */
};
struct http_counts http_counts(const struct http *h);

/* Ends idle sockets, answers heads that take too long, and ends clients that were answered
 * and neither stop sending nor end. Call it some times a second. */
void http_tick(struct http *h, uint64_t now_ns);

/* Ends every connection and frees all. Calls still open get their `done`; the loop must
 * run once more for its handles to close. Accepts NULL. */
void http_close(struct http *h);

/* The first header of that name (any case), or NULL. */
const struct http_header *http_header(const struct http_call *call, const char *name);

enum { HTTP_MAX_EXTRA = 16 };

struct http_field { /* a response header; strings are copied */
    const char *name, *value;
};

struct http_reply {
    int status;
    struct http_field fields[HTTP_MAX_EXTRA];
    size_t n_fields;
    struct buf body; /* taken over; ignored when stream is set */
    bool stream;     /* the body comes from the owner's `read` */
    bool sized;      /* and has stream_bytes bytes */
    bool close;      /* the connection ends with the answer */
    uint64_t stream_bytes;
};

/* Adds a field; more than HTTP_MAX_EXTRA are dropped. value is borrowed until http_reply.
 */
void http_field(struct http_reply *r, const char *name, const char *value);

/* Answers the call, once; takes r->body. Without memory the connection is cut. */
void http_reply(struct http_call *call, struct http_reply *r);

/* Bytes for `read` have come, or room for `body`. */
void http_wake(struct http_call *call);

/* Ends the connection in the loop's next turn, whatever it is doing. `done` follows. */
void http_cut(struct http_call *call);

#endif
