/*
 * The states of a client socket, what it waits for in each, and how long. One read of at
 * most HTTP_SOCK_READ bytes for each event, so that uploads take turns with everything
 * else on the loop.
 *
 * The subtle point: while the answer is awaited nothing is read, but that the client shut
 * its sending side down is noticed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http/http_sock.h"

#include "engine/base/mem.h"
#include "server/http/http_intake.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_DROPPED = 64 << 20 };
static const double DROP_SECONDS = 5, RESERVE_SECONDS = 1;

/* ---- states and events ------------------------------------------------------ */

void http_sock_enter(struct http_sock *s, enum http_sock_state state)
{
    struct list *all = &s->h->socks[state];
    bool first = state == SOCK_IDLE && s->rank != HTTP_ORDINARY; /* has the least time */
    s->state = state;
    s->since_ns = uv_hrtime();
    list_remove(&s->at);
    list_push_before(first ? all->next : all, &s->at);
}

static size_t pending(const struct http_sock *s)
{
    return s->out.len - s->taken;
}

void http_sock_recharge(struct http_sock *s)
{
    budget_recount(s->h->o.budget, &s->charged, sizeof *s + s->in.cap + s->out.cap);
}

static void poll_fired(uv_poll_t *p, int status, int events);

/* Waits for what the state can use. */
static void watch(struct http_sock *s)
{
    bool listens = !s->resting && !s->ended && s->dropped <= MAX_DROPPED;
    int events = (pending(s) ? UV_WRITABLE : 0) | (listens ? UV_DISCONNECT : 0) |
                 (listens && s->state != SOCK_ANSWER ? UV_READABLE : 0);
    if (s->closed || events == s->events)
        return;
    s->events = events;
    if (events)
        uv_poll_start(&s->poll, events, poll_fired);
    else
        uv_poll_stop(&s->poll);
}

/* ---- closing ---------------------------------------------------------------- */

static void handle_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void free_call(struct http_sock *s)
{
    struct http_call *call = s->call;
    s->call = NULL;
    head_free(&call->head);
    budget_give(s->h->o.budget, call->charged);
    mem_free(call);
}

void http_sock_close(struct http_sock *s)
{
    struct http *h = s->h;
    if (s->closed)
        return;
    s->closed = true;
    if (s->call) {
        http_writer_abort(s->call);
        if (s->call->owner)
            h->owner.done(s->call->owner, false);
        free_call(s);
    }
    list_remove(&s->at);
    list_remove(&s->mark);
    buf_free(&s->in);
    buf_free(&s->out);
    budget_give(h->o.budget, s->charged);
    if (s->place)
        http_peers_drop(s->place);
    uv_close((uv_handle_t *)&s->poll, handle_closed);
    close(s->fd);
    h->n_socks--;
    h->n_ordinary -= s->rank == HTTP_ORDINARY;
}

void http_sock_linger(struct http_sock *s)
{
    shutdown(s->fd, SHUT_WR);
    buf_free(&s->in);
    http_sock_recharge(s);
    http_sock_enter(s, SOCK_LINGER);
}

/* ---- what comes ------------------------------------------------------------- */

/* The client sends no more. */
static void end_of_input(struct http_sock *s)
{
    s->ended = true;
    if (s->call)
        s->call->left = true;
    if (s->state != SOCK_ANSWER && !(s->call && s->call->replied))
        s->cut = true;
}

static void read_some(struct http_sock *s)
{
    ssize_t n = recv(s->fd, s->h->scratch, sizeof s->h->scratch, 0);
    if (n > 0)
        http_intake_feed(s, s->h->scratch, (size_t)n);
    else if (n == 0)
        end_of_input(s);
    else if (errno != EAGAIN && errno != EINTR)
        s->cut = true;
}

/* ---- answers ---------------------------------------------------------------- */

/* The kernel has the answer. That the client ended is read once more, behind what it sent
 * before: a socket closed with bytes unread would be reset, and the answer lost. */
static void settle(struct http_sock *s)
{
    bool close = s->call->close, whole = s->state == SOCK_ANSWER;
    s->h->owner.done(s->call->owner, true);
    free_call(s);
    s->written = s->ended = false;
    if (s->deaf || close) {
        http_sock_linger(s);
    } else if (!whole) {
        http_sock_enter(s, SOCK_DRAIN);
    } else {
        http_sock_enter(s, SOCK_IDLE);
        http_intake_kept(s);
    }
}

static void send_out(struct http_sock *s)
{
    ssize_t n = send(s->fd, s->out.data + s->taken, pending(s), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        s->cut = true;
    if (n <= 0)
        return;
    s->taken += (size_t)n;
    if (pending(s) > 0)
        return;
    buf_free(&s->out);
    s->taken = 0;
    http_sock_recharge(s);
}

static void flush(struct http_sock *s)
{
    send_out(s);
    if (s->cut || pending(s) > 0 || !s->call)
        return;
    if (s->written)
        settle(s);
    else
        http_writer_go_on(s->call);
}

bool http_sock_write(struct http_call *call, const char *data, size_t len)
{
    struct http_sock *s = call->sock;
    ssize_t n = pending(s) ? 0 : send(s->fd, data, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        http_cut(call);
        return false;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent == len)
        return true;
    buf_put(&s->out, data + sent, len - sent);
    http_sock_recharge(s);
    if (s->out.failed)
        http_cut(call);
    watch(s);
    return false;
}

void http_sock_written(struct http_call *call, bool good)
{
    struct http_sock *s = call->sock;
    if (!good) {
        http_cut(call);
        return;
    }
    s->written = true;
    if (pending(s) == 0)
        http_sock_mark(s);
}

/* ---- turns ------------------------------------------------------------------ */

/* What a turn left to be done, now that no owner is on the stack. */
static void conclude(struct http_sock *s)
{
    if (!s->closed && s->cut)
        http_sock_close(s);
    else
        watch(s);
}

static void poll_fired(uv_poll_t *p, int status, int events)
{
    struct http_sock *s = p->data;
    if (status < 0)
        s->cut = true;
    if (!s->cut && (events & UV_WRITABLE))
        flush(s);
    if (s->closed || s->cut) {
        conclude(s);
        return;
    }
    if (s->events & events & UV_READABLE)
        read_some(s);
    else if (events & UV_DISCONNECT)
        end_of_input(s);
    conclude(s);
}

void http_sock_marked(struct http_sock *s)
{
    if (!s->cut && s->woken && s->resting) {
        s->resting = false;
        http_intake_kept(s);
    }
    s->woken = false;
    if (!s->cut && s->call && s->written && pending(s) == 0)
        settle(s);
    conclude(s);
}

static bool over(uint64_t since_ns, uint64_t now_ns, double limit_s)
{
    return limit_s > 0 && now_ns > since_ns &&
           (double)(now_ns - since_ns) / 1e9 > limit_s;
}

/* True when the time of the state is over, so far as it has one. */
static bool expired(const struct http_sock *s, uint64_t now_ns)
{
    const struct http_options *o = &s->h->o;
    switch (s->state) {
    case SOCK_IDLE:
        return over(s->since_ns, now_ns, s->rank ? RESERVE_SECONDS : o->keepalive_idle_s);
    case SOCK_HEAD:
        return over(s->since_ns, now_ns, s->rank ? RESERVE_SECONDS : o->head_timeout_s);
    case SOCK_BODY:
        if (!s->call->replied || !s->written || pending(s))
            return false;
        break;
    case SOCK_ANSWER:
        return false;
    default:
        break;
    }
    return s->dropped > MAX_DROPPED || over(s->since_ns, now_ns, DROP_SECONDS);
}

bool http_sock_tick(struct http_sock *s, uint64_t now_ns)
{
    bool late = expired(s, now_ns);
    if (late && s->state == SOCK_HEAD)
        http_intake_late(s, s->rank ? RESERVE_SECONDS : s->h->o.head_timeout_s);
    else if (late)
        s->cut = true;
    conclude(s);
    return late || s->state != SOCK_IDLE || s->rank != HTTP_ORDINARY;
}

/* ---- opening ---------------------------------------------------------------- */

void http_sock_replied(struct http_sock *s)
{
    s->since_ns = uv_hrtime();
    s->dropped = 0;
    const struct head *head = &s->call->head;
    bool awaited = head->expects_continue && !s->invited && !framing_done(&s->framing);
    s->call->close = s->call->close || awaited || head->content_length > MAX_DROPPED;
    if (s->resting)
        http_sock_wake(s);
}

void http_sock_wake(struct http_sock *s)
{
    s->woken = true;
    http_sock_mark(s);
}

bool http_sock_open(struct http *h, int fd, const struct address *peer,
                    enum http_rank rank, struct http_peer *place)
{
    struct http_sock *s = mem_zalloc(1, sizeof *s);
    if (!s || uv_poll_init(h->loop, &s->poll, fd)) {
        mem_free(s);
        return false;
    }
    s->h = h;
    s->fd = fd;
    s->peer = *peer;
    s->rank = rank;
    s->place = place;
    s->serial = ++h->serial;
    s->poll.data = s;
    list_init(&s->at);
    list_init(&s->mark);
    h->n_socks++;
    h->n_ordinary += rank == HTTP_ORDINARY;
    http_sock_enter(s, SOCK_IDLE);
    http_sock_recharge(s);
    watch(s);
    return true;
}
