/*
 * HTTP on sockets: libmicrohttpd under the libuv loop, behind a small door.
 *
 * A *call* is one request on the wire, a *sock* one client socket. The owner (conn.c) is
 * called with a call's head, body and end, and answers by http_reply at any time; until
 * then the socket sleeps. Everything here runs on the loop thread; nothing blocks.
 *
 * The subtle points: an answer is given at the end of the body or, by http_refuse_now, at
 * the head, never in between; a sleeping socket is in no event set, so reaper.c polls
 * it; a call lives until both the owner's `done` ran and the library let go of its
 * reader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct uv_loop_s;
struct http;

struct http_sock {  /* one client socket */
    struct list at; /* in the server's list */
    int fd;
    uint64_t idle_ns;       /* since when no request is on it */
    struct http_call *call; /* the request on it, or NULL; borrows */
};

struct http_header { /* borrows until the call's end */
    const char *name, *value;
    size_t name_len, value_len;
};

struct http_call {
    struct http *h;         /* borrows */
    void *owner;            /* what `begin` gave */
    struct http_sock *sock; /* borrows; NULL once HTTP is done with the call */
    const char *method;     /* valid from `head` on */
    char *target;           /* owns; the request target as it came, percent-encoded */
    size_t target_len, header_bytes;
    struct http_header *headers; /* owns the array */
    size_t n_headers, headers_cap;
    bool expects_continue, has_body;
    unsigned status; /* of the answer, in `done` also of one the library gave by itself */
    uint64_t content_length; /* UINT64_MAX: chunked */

    /* private to http.c */
    void *mhd,
        *response; /* struct MHD_Connection, struct MHD_Response (owned until queued) */
    int refs;
    bool head_seen, ended, suspended, cut, queued, now;
};

/* What happens to calls. Only `begin` gets the server's arg; the rest get what it gave.
 */
struct http_owner {
    void *(*begin)(void *arg, struct http_call *call); /* request line is in; NULL cuts */
    void (*head)(void *owner,
                 const struct err *fault); /* fault: framing to refuse, or NULL */
    /* How many bytes were taken; with fewer than len the socket sleeps until http_wake
     * and the rest comes again. Below 0 cuts the connection. */
    ssize_t (*body)(void *owner, const char *data, size_t len);
    void (*end)(void *owner); /* the body is whole */
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
    double keepalive_idle_s;
    const struct http_owner *owner; /* borrows */
    void *owner_arg;
};

/* Binds, listens and hooks into the loop. ERR_IO names the address, e.g. a taken port. */
int http_open(struct http **out, struct uv_loop_s *loop, const struct http_options *o,
              struct err *err);
int http_port(const struct http *h);
int http_connections(const struct http *h);

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
    uint64_t stream_bytes;
};

/* Adds a field; more than HTTP_MAX_EXTRA are dropped. value is borrowed until http_reply.
 */
void http_field(struct http_reply *r, const char *name, const char *value);

/* The status line's words for a status, such as "Not Found". */
const char *http_phrase(int status);

/* Answers the call, once; takes r->body. Without memory the connection is cut. */
void http_reply(struct http_call *call, struct http_reply *r);

/* Inside `head`: the reply that follows is sent without waiting for the body, and the
 * connection closes after it. */
void http_refuse_now(struct http_call *call);

/* Bytes for `read` have come, or room for `body`. */
void http_wake(struct http_call *call);

/* Ends the connection at once, whatever it is doing. `done` follows. */
void http_cut(struct http_call *call);

/* Writes bytes straight to a socket whose request never became whole, then shuts it down.
 */
void http_shut(struct http_sock *sock, const char *bytes, size_t len);

/* Every client socket, for the reaper. fn may cut or shut. */
typedef void http_sock_fn(void *arg, struct http_sock *sock);
void http_each_sock(struct http *h, http_sock_fn *fn, void *arg);

#endif
