/* Head, body, end, answer and done of each call.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/works.h"

#include "server/http/http_sock.h"

#include <netinet/in.h>
#include <string.h>

enum { SMALL = 5, LARGE = 60000 };

enum when {
    AT_HEAD,
    AT_BODY,
    AT_END,
    LATE,
    LATE_TOO,
    CUT_AT_HEAD,
    CUT_AT_BODY,
    NOT_AT_ALL
};
enum what { SMALL_ANSWER, LARGE_ANSWER, STREAM, SIZED_STREAM };

unsigned works_port(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in at = {0};
    socklen_t len = sizeof at;
    must(name(fd, (struct sockaddr *)&at, &len) == 0 || name == getpeername);
    return ntohs(at.sin_port);
}

static enum when when_of(const struct work *w)
{
    return (enum when)(w->plan & 7);
}

static bool rests(const struct work *w)
{
    return w->plan & 32;
}

char works_letter(const struct work *w, size_t i)
{
    return (char)('a' + (i * 7 + (size_t)w->number * 3) % 26);
}

void works_answer(struct work *w)
{
    char text[16];
    enum what what = (enum what)(w->plan >> 3 & 3);
    struct http_reply r = {.status = w->faulted ? 400 : 200};
    must(!w->replied && !w->over);
    w->replied = true;
    w->whole = what == SMALL_ANSWER ? SMALL : LARGE;
    w->streaming = r.stream = what >= STREAM;
    r.sized = what == SIZED_STREAM || w->no_content;
    r.stream_bytes = w->whole;
    r.close = w->plan & 64;
    w->broken = r.stream && w->plan & 128;
    if (w->broken)
        w->all->spoil(w->port);
    snprintf(text, sizeof text, "%d", w->number);
    http_field(&r, "X-Call", text);
    for (size_t i = 0; !r.stream && i < w->whole; i++)
        buf_putc(&r.body, works_letter(w, i));
    http_reply(w->call, &r);
}

static void *begin(void *arg, struct http_call *call)
{
    struct works *all = arg;
    must(!all->closing);
    for (int i = 0; i < all->n; i++)
        must(all->work[i].over || all->work[i].connection != call->connection);
    unsigned plan = all->plans[all->n_begun++ % WORKS_PLANS];
    unsigned port = works_port(call->sock->fd, getpeername);
    if (all->n == MOST_WORKS || (plan & 7) == NOT_AT_ALL) {
        all->spoil(port);
        return NULL;
    }
    struct work *w = &all->work[all->n];
    *w = (struct work){.all = all,
                       .number = all->n++,
                       .call = call,
                       .connection = call->connection,
                       .plan = plan,
                       .port = port};
    all->n_live++;
    return w;
}

static void on_head(void *owner)
{
    struct work *w = owner;
    const struct head *head = &w->call->head;
    must(!w->headed && !w->faulted && !w->over);
    w->headed = true;
    w->length = head->content_length;
    w->old = head->minor == 0;
    w->no_content = strcmp(head->method, "HEAD") == 0;
    must(head->bytes && (head->minor == 0 || http_header(w->call, "host")));
    must(!w->all->clean(w->port) || strstr("GET POST HEAD PUT", head->method));
    if (when_of(w) == CUT_AT_HEAD) {
        w->all->spoil(w->port);
        http_cut(w->call);
    }
    if (when_of(w) == AT_HEAD)
        works_answer(w);
}

static void on_fault(void *owner, const struct err *err)
{
    struct work *w = owner;
    must(!w->faulted && !w->ended && !w->over && !w->replied && err->text[0]);
    w->faulted = true;
    if (when_of(w) != LATE)
        works_answer(w);
}

static ssize_t on_body(void *owner, const char *data, size_t len)
{
    struct work *w = owner;
    must(w->headed && !w->faulted && !w->ended && !w->replied && !w->over && len > 0);
    (void)data;
    if (when_of(w) == CUT_AT_BODY) {
        w->all->spoil(w->port);
        return -1;
    }
    if (when_of(w) == AT_BODY)
        works_answer(w);
    size_t n = rests(w) && !w->awaken ? len / 2 : len;
    w->awaken = false;
    w->body += n;
    must(w->call->head.chunked || w->body <= w->length);
    return (ssize_t)n;
}

static void on_end(void *owner)
{
    struct work *w = owner;
    must(w->headed && !w->faulted && !w->ended && !w->replied && !w->over);
    must(w->call->head.chunked || w->body == w->length);
    w->ended = true;
    if (when_of(w) == AT_END || when_of(w) == AT_BODY || when_of(w) == CUT_AT_BODY)
        works_answer(w);
}

static ssize_t on_read(void *owner, char *to, size_t max)
{
    struct work *w = owner;
    must(w->streaming && !w->over && max > 0);
    if (rests(w) && !w->awaken)
        return 0;
    w->awaken = false;
    if (w->broken && w->given > w->whole / 2)
        return -2;
    size_t n = w->whole - w->given < max ? w->whole - w->given : max;
    for (size_t i = 0; i < n; i++)
        to[i] = works_letter(w, w->given++);
    return n ? (ssize_t)n : -1;
}

static void on_done(void *owner, bool sent)
{
    struct work *w = owner;
    must(!w->over && (!sent || w->replied));
    must(!sent || !w->streaming || w->no_content || w->given == w->whole);
    w->over = true;
    w->sent = sent;
    w->call = NULL;
    w->all->n_live--;
}

const struct http_owner works_owner = {begin,  on_head, on_fault, on_body,
                                       on_end, on_read, on_done};

void works_wake(struct work *w)
{
    if (w->over || !rests(w))
        return;
    w->awaken = true;
    http_wake(w->call);
}
