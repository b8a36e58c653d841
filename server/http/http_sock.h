/*
 * One client socket: bytes to calls, answers to bytes, and its end. Private to
 * server/http; loop thread. The socket owns its call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HTTP_SOCK_H
#define SERVER_HTTP_HTTP_SOCK_H

#include "server/http/framing.h"
#include "server/http/http.h"
#include "server/http/http_peers.h"
#include "server/http/http_writer.h"

#include <uv.h>

enum { HTTP_SOCK_READ = 64 * 1024 }; /* bytes, in one turn of the loop */

enum http_sock_state {
    SOCK_IDLE,   /* between requests */
    SOCK_HEAD,   /* part of a head is in */
    SOCK_BODY,   /* the call's body comes */
    SOCK_ANSWER, /* the body is in; the answer is awaited or written */
    SOCK_DRAIN,  /* answered; the rest of the body comes and is dropped */
    SOCK_LINGER, /* answered and shut down; what comes is dropped until the client ends */
    SOCK_N_STATES
};

struct http_sock {
    struct list at;   /* in http.socks of its state, oldest first */
    struct list mark; /* in http.marked, or nowhere */
    struct http *h;   /* borrows */
    uv_poll_t poll;
    int fd, events;
    enum http_sock_state state;
    enum http_rank rank;
    uint64_t serial, since_ns; /* since_ns: in this state */
    struct address peer;
    struct http_peer *place; /* NULL: not counted */
    struct http_call *call;  /* owns; NULL without */
    struct head_scan scan;
    struct framing framing;
    struct buf in;  /* owns: part of a head, or what came too early */
    struct buf out; /* owns: what the client has not taken */
    size_t taken;   /* of out */
    size_t charged; /* bytes, in the budget */
    uint64_t dropped;
    unsigned blanks; /* line ends before a request */
    bool cut, woken; /* marked: to be closed; the owner takes body again */
    bool invited;    /* the client was asked for the body */
    bool resting;    /* the owner takes no body now */
    bool deaf;       /* what follows cannot be parsed */
    bool written;    /* the answer is in `out`, or gone */
    bool ended;      /* the client has shut down its sending side */
    bool closed;
};

struct http {
    struct http_owner owner;
    struct http_options o;
    struct uv_loop_s *loop;
    struct http_writers *writers; /* owns */
    struct http_peers *peers;     /* owns; NULL: addresses are not counted */
    uv_poll_t listener;
    uv_idle_t soon; /* active: sockets are marked */
    struct list socks[SOCK_N_STATES];
    struct list marked;
    int listen_fd, port, n_handles;
    int n_socks, n_ordinary; /* of any rank; HTTP_ORDINARY */
    bool listening, accepting, closing;
    uint64_t serial, refused_connections;
    char scratch[HTTP_SOCK_READ];
};

/* Takes over fd and place (which may be NULL). False: out of memory, nothing is taken. */
bool http_sock_open(struct http *h, int fd, const struct address *peer,
                    enum http_rank rank, struct http_peer *place);

void http_sock_enter(struct http_sock *s, enum http_sock_state state);

/* Counts in the budget what the buffers hold now. */
void http_sock_recharge(struct http_sock *s);

/* Shuts the sending side down and drops what comes, so that the answer is not lost to a
 * reset. */
void http_sock_linger(struct http_sock *s);

/* Ends it now; a call on it gets its `done`. The struct lives until the loop's next turn. */
void http_sock_close(struct http_sock *s);

/* Has http_sock_marked called in the loop's next turn. */
void http_sock_mark(struct http_sock *s);
void http_sock_marked(struct http_sock *s);

/* The call has been answered; what comes of its body is dropped. */
void http_sock_replied(struct http_sock *s);

/* The owner takes body again. */
void http_sock_wake(struct http_sock *s);

/* Ends the socket if its time in its state is over. False: neither are those behind it. */
bool http_sock_tick(struct http_sock *s, uint64_t now_ns);

/* As struct http_writer_sink. */
bool http_sock_write(struct http_call *call, const char *data, size_t len);
void http_sock_written(struct http_call *call, bool good);

#endif
