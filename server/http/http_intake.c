/*
 * Heads in one piece or in many, bodies by their framing, and what comes too early.
 *
 * The subtle point: owners are called from here and may answer, wake or cut inside; all
 * of these only note what follows (http_sock_mark), so that nothing here is entered twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http/http_intake.h"

#include "engine/base/mem.h"

enum {
    SMALL_HEAD = 4096, /* is read whatever the budget says: probes are answered */
    BLANK_BYTES = 4    /* of line ends before a request */
};

/* ---- calls ------------------------------------------------------------------ */

static struct http_call *open_call(struct http_sock *s)
{
    struct http_call *call = mem_zalloc(1, sizeof *call);
    if (!call)
        return NULL;
    *call = (struct http_call){.h = s->h,
                               .sock = s,
                               .head = {.method = "", .target = "", .minor = 1},
                               .began_ns = s->since_ns,
                               .connection = s->serial,
                               .peer = s->peer,
                               .rank = s->rank,
                               .charged = sizeof *call};
    list_init(&call->at);
    budget_add(s->h->o.budget, call->charged);
    s->call = call;
    s->deaf = s->written = s->resting = s->invited = false;
    s->dropped = 0;
    s->blanks = 0;
    call->owner = s->h->owner.begin(s->h->o.owner_arg, call);
    return call;
}

/* What comes cannot be told from a request: it is refused, and nothing after it is read
 * as one. */
static void refuse(struct http_sock *s, const struct err *err)
{
    struct http_call *call = s->call;
    s->deaf = true;
    call->close = true;
    if (!call->replied)
        s->h->owner.fault(call->owner, err);
}

static void refuse_head(struct http_sock *s, const struct err *err)
{
    struct http_call *call = open_call(s);
    http_sock_enter(s, SOCK_BODY);
    if (call && call->owner)
        refuse(s, err);
    else
        s->cut = true;
}

static void body_in(struct http_sock *s)
{
    http_sock_enter(s, SOCK_ANSWER);
    if (!s->call->replied)
        s->h->owner.end(s->call->owner);
}

static void invite(struct http_sock *s)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct http_call *call = s->call;
    s->invited = call->head.expects_continue && !call->replied;
    if (s->invited && !framing_done(&s->framing))
        http_sock_write(s->call, go_on, sizeof go_on - 1);
}

/* Opens a call for the head that is the first len bytes of data. */
static void begin_call(struct http_sock *s, const char *data, size_t len)
{
    struct http *h = s->h;
    struct err err;
    struct head head;
    int rc = head_parse(&head, &h->o.limits, data, len, &err);
    if (rc) {
        refuse_head(s, &err);
        return;
    }
    struct http_call *call = open_call(s);
    if (!call || !call->owner) {
        head_free(&head);
        s->cut = true;
        return;
    }
    size_t bytes = head_bytes(len, head.n_headers);
    budget_add(h->o.budget, bytes);
    call->charged += bytes;
    call->head = head;
    call->close = !head.keep_alive || s->rank != HTTP_ORDINARY;
    framing_open(&s->framing, head.chunked, head.content_length);
    http_sock_enter(s, SOCK_BODY);
    h->owner.head(call->owner);
    invite(s);
    if (!s->cut && framing_done(&s->framing))
        body_in(s);
}

/* ---- what comes ------------------------------------------------------------- */

static void keep(struct http_sock *s, const char *data, size_t len)
{
    buf_put(&s->in, data, len);
    s->cut = s->cut || s->in.failed;
    http_sock_recharge(s);
}

/* A head that comes in pieces is collected. */
static size_t take_more_head(struct http_sock *s, const char *data, size_t len)
{
    struct err err;
    keep(s, data, len);
    if (s->cut)
        return len;
    ssize_t n = head_find(&s->scan, &s->h->o.limits, s->in.data, s->in.len, &err);
    if (n == 0 && s->in.len > SMALL_HEAD && !budget_take(s->h->o.budget, 0))
        n = err_set(&err, ERR_BUSY, "too many requests are under way; retry later");
    if (n == 0)
        return len;
    struct buf in = s->in;
    s->in = (struct buf){0};
    http_sock_recharge(s);
    if (n < 0) {
        refuse_head(s, &err);
    } else {
        begin_call(s, in.data, (size_t)n);
        http_intake_feed(s, in.data + n, in.len - (size_t)n);
    }
    buf_free(&in);
    return len;
}

static size_t take_head(struct http_sock *s, const char *data, size_t len)
{
    struct err err;
    if (s->state == SOCK_IDLE) {
        bool line_end = *data == '\r' || *data == '\n';
        if (line_end && s->blanks++ < BLANK_BYTES) /* clients may send some (2.2) */
            return 1;
        http_sock_enter(s, SOCK_HEAD);
        s->scan = (struct head_scan){0};
        ssize_t n = head_find(&s->scan, &s->h->o.limits, data, len, &err);
        if (n > 0) {
            begin_call(s, data, (size_t)n);
            return (size_t)n;
        }
        if (n < 0) {
            refuse_head(s, &err);
            return len;
        }
        s->scan = (struct head_scan){0};
    }
    return take_more_head(s, data, len);
}

/* Hands content to the owner; what is answered already is dropped. */
static size_t take_content(struct http_sock *s, const char *data, size_t len)
{
    if (!s->call || s->call->replied) {
        s->dropped += len;
        return len;
    }
    s->resting = true; /* so that a wake-up inside counts */
    ssize_t n = s->h->owner.body(s->call->owner, data, len);
    if (n < 0) {
        s->cut = true;
        return len;
    }
    s->resting = (size_t)n < len && !s->call->replied;
    return s->call->replied ? len : (size_t)n;
}

static void body_over(struct http_sock *s)
{
    if (s->call)
        body_in(s);
    else
        http_sock_enter(s, SOCK_IDLE);
}

static size_t take_body(struct http_sock *s, const char *data, size_t len)
{
    struct err err;
    ssize_t n = s->deaf ? 0 : framing_read(&s->framing, data, len, &err);
    if (n < 0) {
        if (s->call)
            refuse(s, &err);
        else
            http_sock_linger(s);
    }
    if (n < 0 || s->deaf) {
        s->dropped += len;
        return len;
    }
    size_t used = (size_t)n, content = framing_content(&s->framing, len - used);
    if (content > 0) {
        content = take_content(s, data + used, content);
        framing_took(&s->framing, content);
        used += content;
    } else if (!s->call || s->call->replied) {
        s->dropped += used; /* framing alone is no progress of a dropped body */
    }
    if (!s->cut && framing_done(&s->framing))
        body_over(s);
    return used;
}

static size_t take(struct http_sock *s, const char *data, size_t len)
{
    switch (s->state) {
    case SOCK_IDLE:
    case SOCK_HEAD:
        return take_head(s, data, len);
    case SOCK_BODY:
    case SOCK_DRAIN:
        return take_body(s, data, len);
    case SOCK_ANSWER: /* sent before the answer: it waits */
        keep(s, data, len);
        return len;
    default:
        s->dropped += len;
        return len;
    }
}

void http_intake_feed(struct http_sock *s, const char *data, size_t len)
{
    while (len > 0 && !s->cut && !s->closed && !s->resting) {
        size_t n = take(s, data, len);
        data += n;
        len -= n;
    }
    if (len > 0 && !s->cut && !s->closed)
        keep(s, data, len);
}

/* What was kept is taken as if it came now. */
void http_intake_kept(struct http_sock *s)
{
    struct buf in = s->in;
    s->in = (struct buf){0};
    http_sock_recharge(s);
    http_intake_feed(s, in.data, in.len);
    buf_free(&in);
}

void http_intake_late(struct http_sock *s, double limit_s)
{
    struct err err;
    err_set(&err, ERR_TIMEOUT, "the request's head was not complete within %g seconds",
            limit_s);
    buf_free(&s->in);
    http_sock_recharge(s);
    refuse_head(s, &err);
}
