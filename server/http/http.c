/*
 * Accepting, ticks, and the calls' side of the door. Loop thread.
 *
 * The subtle point: beyond max_connections the longest idle socket makes room. Without an
 * idle one a few reserve places are left, so that probes are answered on a full server.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http/http.h"

#include "engine/base/mem.h"
#include "server/http/http_sock.h"
#include "server/http/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RESERVE_PLACES = 16,
    ROOM_FOR_WRITERS = 4,     /* sockets ended in a tick in which none can be opened */
    ACCEPT_AT_ONCE = 64,      /* in one turn of the loop */
    UNSENT_BYTES = 32 * 1024, /* that the kernel takes of an answer beyond the window */
};

/* ---- accepting -------------------------------------------------------------- */

static void accept_fired(uv_poll_t *p, int status, int events);

static void listen_again(struct http *h, bool on)
{
    if (!h->listening || on == h->accepting)
        return;
    h->accepting = on;
    if (on)
        uv_poll_start(&h->listener, UV_READABLE, accept_fired);
    else
        uv_poll_stop(&h->listener);
}

/* True when nothing has come that the loop has not read yet. */
static bool silent(const struct http_sock *s)
{
    char c;
    return recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Ends the socket that has been idle for longest, else one that has its answer and only
 * lingers; false: there is neither. */
static bool make_room(struct http *h)
{
    const struct list *idle = &h->socks[SOCK_IDLE];
    const struct list *linger = &h->socks[SOCK_LINGER];
    int looks = 0;
    for (struct list *n = idle->next; n != idle && looks < ACCEPT_AT_ONCE; n = n->next) {
        struct http_sock *s = LIST_OF(n, struct http_sock, at);
        looks++;
        if (s->rank != HTTP_ORDINARY || !silent(s)) /* others have a second */
            continue;
        http_sock_close(s);
        h->refused_connections++;
        return true;
    }
    if (list_empty(linger))
        return false;
    http_sock_close(LIST_OF(linger->next, struct http_sock, at));
    return true;
}

/* Counts the address if it is to be counted; *rank becomes HTTP_EXCESS beyond its limit.
 * False: not even a refusal is due. */
static bool find_place(struct http *h, const struct address *peer, enum http_rank *rank,
                       struct http_peer **place)
{
    *place = NULL;
    if (!h->peers || address_list_holds(h->o.trusted, peer))
        return true;
    *place = http_peers_add(h->peers, peer);
    if (!*place)
        return false;
    if ((*place)->n > h->o.per_address)
        *rank = HTTP_EXCESS;
    return (*place)->n <= 2 * h->o.per_address;
}

static void open_sock(struct http *h, int fd)
{
    struct address peer;
    struct http_peer *place;
    enum http_rank rank = HTTP_ORDINARY;
    int unsent = UNSENT_BYTES, one = 1;
    if (h->n_ordinary >= h->o.max_connections)
        make_room(h);
    if (h->n_ordinary >= h->o.max_connections)
        rank = HTTP_RESERVE;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    address_of_peer(&peer, fd);
    if (find_place(h, &peer, &rank, &place) && http_sock_open(h, fd, &peer, rank, place))
        return;
    h->refused_connections++;
    if (place)
        http_peers_drop(place);
    close(fd);
}

static void accept_fired(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct http *h = p->data;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        if (h->n_socks >= h->o.max_connections + RESERVE_PLACES && !make_room(h)) {
            listen_again(h, false); /* the tick tries again */
            return;
        }
        int fd = accept4(h->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            open_sock(h, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                   errno == ENOMEM) {
            if (!make_room(h))
                listen_again(h, false);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* ---- turns ------------------------------------------------------------------ */

static void soon_fired(uv_idle_t *idle)
{
    struct http *h = idle->data;
    struct list now, *n;
    uv_idle_stop(idle);
    list_init(&now);
    while ((n = list_pop(&h->marked)))
        list_push(&now, n);
    while ((n = list_pop(&now)))
        http_sock_marked(LIST_OF(n, struct http_sock, mark));
}

void http_sock_mark(struct http_sock *s)
{
    list_remove(&s->mark);
    list_push(&s->h->marked, &s->mark);
    if (!s->h->closing)
        uv_idle_start(&s->h->soon, soon_fired);
}

void http_tick(struct http *h, uint64_t now_ns)
{
    for (int state = 0; state < SOCK_N_STATES; state++) {
        struct list *next, *all = &h->socks[state];
        for (struct list *n = all->next; n != all; n = next) {
            next = n->next;
            if (!http_sock_tick(LIST_OF(n, struct http_sock, at), now_ns))
                break;
        }
    }
    if (!http_writers_tick(h->writers))
        for (int i = 0; i < ROOM_FOR_WRITERS && make_room(h); i++)
            continue;
    listen_again(h, true);
}

/* ---- calls ------------------------------------------------------------------ */

const struct http_header *http_header(const struct http_call *call, const char *name)
{
    return head_header(&call->head, name);
}

void http_field(struct http_reply *r, const char *name, const char *value)
{
    if (r->n_fields < HTTP_MAX_EXTRA)
        r->fields[r->n_fields++] = (struct http_field){name, value};
}

void http_reply(struct http_call *call, struct http_reply *r)
{
    bool endless = r->stream && !r->sized && call->head.minor == 0;
    call->replied = true;
    call->close = call->close || r->close || endless;
    http_sock_replied(call->sock);
    if (http_writer_respond(call, r, call->h->owner.read))
        http_writer_start(call->h->writers, call);
    else
        http_cut(call);
}

void http_wake(struct http_call *call)
{
    http_writer_wake(call);
    if (call->sock->resting)
        http_sock_wake(call->sock);
}

void http_cut(struct http_call *call)
{
    call->sock->cut = true;
    http_sock_mark(call->sock);
}

/* ---- life ------------------------------------------------------------------- */

static void handle_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;
    if (--h->n_handles > 0)
        return;
    mem_free(h->peers);
    mem_free(h);
}

static int open_parts(struct http *h, struct err *err)
{
    static const struct http_writer_sink sink = {.write = http_sock_write,
                                                 .written = http_sock_written};
    if (h->o.per_address > 0) {
        h->peers = mem_alloc(sizeof *h->peers);
        if (!h->peers)
            return err_set(err, ERR_MEMORY, "out of memory");
        http_peers_init(h->peers);
    }
    h->listen_fd = listen_open(h->o.host, h->o.port, &h->port, err);
    if (h->listen_fd < 0)
        return h->listen_fd;
    int rc = http_writers_open(&h->writers, h->loop, &sink, err);
    if (rc)
        close(h->listen_fd);
    return rc;
}

int http_open(struct http **out, struct uv_loop_s *loop, const struct http_options *o,
              struct err *err)
{
    struct http *h = mem_zalloc(1, sizeof *h);
    if (!h)
        return err_set(err, ERR_MEMORY, "out of memory");
    h->o = *o;
    h->owner = *o->owner;
    h->loop = loop;
    for (int i = 0; i < SOCK_N_STATES; i++)
        list_init(&h->socks[i]);
    list_init(&h->marked);
    int rc = open_parts(h, err);
    if (rc) {
        mem_free(h->peers);
        mem_free(h);
        return rc;
    }
    uv_idle_init(loop, &h->soon);
    uv_poll_init(loop, &h->listener, h->listen_fd);
    h->soon.data = h->listener.data = h;
    h->n_handles = 2;
    h->listening = true;
    listen_again(h, true);
    *out = h;
    return 0;
}

int http_port(const struct http *h)
{
    return h->port;
}

struct http_counts http_counts(const struct http *h)
{
    return (struct http_counts){h->n_socks, h->refused_connections,
                                http_writers_refusals(h->writers)};
}

void http_close(struct http *h)
{
    if (!h)
        return;
    listen_again(h, false);
    h->listening = false;
    h->closing = true;
    for (int i = 0; i < SOCK_N_STATES; i++)
        while (!list_empty(&h->socks[i]))
            http_sock_close(LIST_OF(h->socks[i].next, struct http_sock, at));
    http_writers_close(h->writers);
    uv_idle_stop(&h->soon);
    uv_close((uv_handle_t *)&h->soon, handle_closed);
    uv_close((uv_handle_t *)&h->listener, handle_closed);
    close(h->listen_fd);
}
