/*
 * Deadlines and hang-ups. A client that shut down its sending side counts as gone while
 * its request is worked on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/serve/reaper.h"

#include "api/sse.h"
#include "server/serve/conn.h"

static const double LEAST_BYTES_S = 64 * 1024; /* of objects and answers */

/* ---- requests, and objects, that do not become whole -------------------------- */

/* How long so many bytes may be under way: body_timeout and their time at the least rate
 * that is waited for; 0: for ever. */
static double transfer_seconds(const struct config *cfg, uint64_t bytes)
{
    double s = cfg->body_timeout_s;
    return s > 0 ? s + (double)bytes / LEAST_BYTES_S : 0;
}

static void check_arrival(struct conn *c, uint64_t now_ns)
{
    const struct config *cfg = c->server->cfg;
    double limit_s =
        conn_uploads(c) ? transfer_seconds(cfg, c->body_bytes) : cfg->body_timeout_s;
    struct err err;
    if (c->whole || c->replied || !c->call ||
        !server_expired(c->began_ns, now_ns, limit_s))
        return;
    err_set(&err, ERR_TIMEOUT, "the request was not complete within %g seconds", limit_s);
    conn_fail(c, &err);
}

static void check_gone(struct conn *c)
{
    if (c->call && c->call->left && c->whole && (c->task.active || c->pending))
        http_cut(c->call);
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

/* A client that reads a whole answer, or the end of a stream, slower than LEAST_BYTES_S
 * is cut: a byte now and then would hold the answer's memory for ever. */
static void check_reading(struct conn *c, uint64_t now_ns)
{
    const struct stream *s = &c->stream;
    uint64_t bytes = s->open ? stream_pending(s) : c->answer_bytes;
    uint64_t since_ns = s->open ? s->last_ns : c->answered_ns;
    if (!c->call || !c->replied || c->task.active || (s->open && !s->ended))
        return;
    if (server_expired(since_ns, now_ns, transfer_seconds(c->server->cfg, bytes)))
        http_cut(c->call);
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
        check_reading(c, now_ns);
        check_gone(c);
    }
    http_tick(server->http, now_ns);
}
