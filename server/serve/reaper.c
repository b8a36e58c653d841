/*
 * Deadlines and hang-ups. A sleeping socket is in no event set, so all sockets with work
 * on them are polled, many in one call; a client that shut down its sending side counts
 * as gone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/serve/reaper.h"

#include "api/sse.h"
#include "server/serve/conn.h"
#include "server/serve/reply.h"

#include <poll.h>

enum { POLL_BATCH = 256 };
static const double DISCARD_SECONDS = 5, OBJECT_BYTES_S = 64 * 1024; /* at the least */

/* ---- requests, and objects, that do not become whole -------------------------- */

double reaper_object_seconds(const struct config *cfg, uint64_t bytes)
{
    double s = cfg->body_timeout_s;
    return s > 0 ? s + (double)bytes / OBJECT_BYTES_S : 0;
}

static void check_arrival(struct conn *c, uint64_t now_ns)
{
    const struct config *cfg = c->server->cfg;
    double limit_s =
        conn_uploads(c) ? reaper_object_seconds(cfg, c->body_bytes) : cfg->body_timeout_s;
    struct err err;
    if (c->whole || c->replied || !c->call)
        return;
    if (c->refused) {
        if (server_expired(c->refused_ns, now_ns, DISCARD_SECONDS))
            reply_abort(c, &c->fault);
    } else if (server_expired(c->began_ns, now_ns, limit_s)) {
        err_set(&err, ERR_TIMEOUT, "the request was not complete within %g seconds",
                limit_s);
        reply_abort(c, &err);
    }
}

struct sweep {
    struct server *server;
    uint64_t now_ns;
};

/* A request line that never ends is not seen as a call. */
static void check_sock(void *arg, struct http_sock *sock)
{
    const struct sweep *s = arg;
    const struct config *cfg = s->server->cfg;
    if (!sock->call && cfg->body_timeout_s > 0 && cfg->keepalive_idle_s > 0 &&
        server_expired(sock->idle_ns, s->now_ns,
                       cfg->keepalive_idle_s + cfg->body_timeout_s))
        http_shut(sock, "", 0);
}

/* ---- clients that left ------------------------------------------------------ */

static void poll_batch(struct conn **conns, struct pollfd *fds, nfds_t n)
{
    if (n == 0 || poll(fds, n, 0) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
            http_cut(conns[i]->call);
}

/* A client that closes in the middle of an upload may do so unnoticed: its last bytes and
 * its end come as one event, of which the library reads the bytes only. */
static bool halted(struct conn *c)
{
    bool moved = c->body_bytes != c->seen_bytes;
    c->seen_bytes = c->body_bytes;
    return conn_uploads(c) && !c->whole && !moved && !c->task.active;
}

static void find_gone(struct server *server)
{
    struct conn *conns[POLL_BATCH];
    struct pollfd fds[POLL_BATCH];
    nfds_t n = 0;
    for (struct list *at = server->conns.next; at != &server->conns; at = at->next) {
        struct conn *c = LIST_OF(at, struct conn, at);
        bool busy = c->whole && (c->task.active || c->pending);
        if (!c->call || !(busy || halted(c)))
            continue;
        conns[n] = c;
        fds[n++] = (struct pollfd){.fd = c->call->sock->fd, .events = POLLRDHUP};
        if (n == POLL_BATCH) {
            poll_batch(conns, fds, n);
            n = 0;
        }
    }
    poll_batch(conns, fds, n);
}

/* ---- requests under way ----------------------------------------------------- */

static void check_stream(struct conn *c, uint64_t now_ns)
{
    const struct config *cfg = c->server->cfg;
    struct stream *s = &c->stream;
    if (!c->call || !s->open)
        return;
    if (s->stalled_ns &&
        server_expired(s->stalled_ns, now_ns, cfg->stream_stall_timeout_s)) {
        http_cut(c->call);
    } else if (!s->ended && stream_pending(s) == 0 &&
               server_expired(s->last_ns, now_ns, cfg->sse_keepalive_s)) {
        sse_ping(&s->out);
        s->last_ns = now_ns;
        http_wake(c->call);
    }
}

void reaper_tick(struct server *server, uint64_t now_ns)
{
    struct list *next;
    for (struct list *at = server->conns.next; at != &server->conns; at = next) {
        next = at->next;
        struct conn *c = LIST_OF(at, struct conn, at);
        check_arrival(c, now_ns);
        if (c->priv && c->ops->tick)
            c->ops->tick(c, now_ns);
        check_stream(c, now_ns);
    }
    find_gone(server);
    http_each_sock(server->http, check_sock, &(struct sweep){server, now_ns});
}
