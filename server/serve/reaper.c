/*
 * Deadlines and hang-ups. A sleeping socket is in no event set, so all sockets with work
 * on them are polled, many in one call; a client that shut down its sending side counts
 * as gone.
 */
#include "server/serve/reaper.h"

#include "api/sse.h"
#include "server/routes/generation.h"
#include "server/serve/conn.h"

#include <poll.h>

enum { POLL_BATCH = 256 };
static const double DISCARD_SECONDS = 5, OBJECT_BYTES_S = 64 * 1024; /* at the least */

static bool older(uint64_t since_ns, uint64_t now_ns, double seconds)
{
    return seconds > 0 && now_ns > since_ns &&
           (double)(now_ns - since_ns) / 1e9 > seconds;
}

/* ---- requests, and objects, that do not become whole -------------------------- */

/* An object may take as long as its bytes do at the least rate. */
static double time_limit(const struct conn *c, uint64_t bytes)
{
    double s = c->server->cfg->body_timeout_s;
    return s > 0 && c->transfer ? s + (double)bytes / OBJECT_BYTES_S : s;
}

static void check_arrival(struct conn *c, uint64_t now_ns)
{
    double limit_s = time_limit(c, c->body_bytes);
    struct err err;
    if (c->whole || c->replied || !c->call)
        return;
    if (c->refused) {
        if (older(c->refused_ns, now_ns, DISCARD_SECONDS))
            conn_give_up(c, &c->fault);
    } else if (older(c->began_ns, now_ns, limit_s)) {
        err_set(&err, ERR_TIMEOUT, "the request was not complete within %g seconds",
                limit_s);
        conn_give_up(c, &err);
    }
}

/* An object on its way out, when it is the client who is waited for. */
static void check_delivery(struct conn *c, uint64_t now_ns)
{
    if (c->call && c->transfer && c->replied && !c->task.active &&
        older(c->answered_ns, now_ns, time_limit(c, c->answer_bytes)))
        http_cut(c->call);
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
        older(sock->idle_ns, s->now_ns, cfg->keepalive_idle_s + cfg->body_timeout_s))
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
    return c->transfer && !c->whole && !moved && !c->task.active;
}

static void find_gone(struct server *server)
{
    struct conn *conns[POLL_BATCH];
    struct pollfd fds[POLL_BATCH];
    nfds_t n = 0;
    for (struct list *at = server->conns.next; at != &server->conns; at = at->next) {
        struct conn *c = LIST_OF(at, struct conn, at);
        bool busy = c->whole && (c->task.active || generation_pending(c));
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

/* The engine as it was before its events were drained: a request that started until then
 * has started here too. */
struct progress {
    uint64_t steps;
    bool idle;
};

static struct progress drain(struct server *server)
{
    struct progress p = {.idle = bridge_idle(server->model.bridge)};
    struct bridge_stats now;
    bridge_stats(server->model.bridge, &now);
    p.steps = now.engine.steps;
    generation_drain(server);
    return p;
}

/* A step admits at its beginning. The one under way when the request came may have begun
 * before it; that the next one has ended, or that there is nothing to do, means that the
 * engine has left the request waiting. */
static bool passed_over(const struct conn *c, const struct progress *p)
{
    return p->steps >= c->submit_steps + 2 || p->idle;
}

static void check_deadlines(struct conn *c, uint64_t now_ns, const struct progress *p)
{
    const struct config *cfg = c->server->cfg;
    if (c->cancelled)
        return;
    if (!c->call) {
        generation_cancel(c, FINISH_ABORT);
    } else if (older(c->began_ns, now_ns, cfg->request_timeout_s)) {
        generation_cancel(c, FINISH_TIMEOUT);
    } else if (!c->started && !c->state.arrived &&
               older(c->submit_ns, now_ns, cfg->queue_timeout_s) && passed_over(c, p)) {
        err_set(&c->fault, ERR_BUSY, "no room within %g seconds; retry later",
                cfg->queue_timeout_s);
        c->server->metrics.rejected[REJECTED_QUEUE_TIMEOUT]++;
        generation_cancel(c, FINISH_ABORT);
    }
}

static void check_stream(struct conn *c, uint64_t now_ns)
{
    const struct config *cfg = c->server->cfg;
    struct stream *s = &c->stream;
    if (!c->call || !s->open)
        return;
    if (s->stalled_ns && older(s->stalled_ns, now_ns, cfg->stream_stall_timeout_s)) {
        http_cut(c->call);
    } else if (!s->ended && stream_pending(s) == 0 &&
               older(s->last_ns, now_ns, cfg->sse_keepalive_s)) {
        sse_ping(&s->out);
        s->last_ns = now_ns;
        http_wake(c->call);
    }
}

void reaper_tick(struct server *server, uint64_t now_ns)
{
    struct progress engine = drain(server);
    struct list *next;
    for (struct list *at = server->conns.next; at != &server->conns; at = next) {
        next = at->next;
        struct conn *c = LIST_OF(at, struct conn, at);
        check_arrival(c, now_ns);
        check_delivery(c, now_ns);
        if (generation_pending(c))
            check_deadlines(c, now_ns, &engine);
        check_stream(c, now_ns);
    }
    find_gone(server);
    http_each_sock(server->http, check_sock, &(struct sweep){server, now_ns});
}
