/* Sockets, calls and writers in one process: owners that answer, cut or wake inside every
 * callback, clients that cut their requests anywhere, end or reset at any time, and memory
 * that runs out at every allocation. After each, calls are done and nothing stays counted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/http.h"

#include "engine/base/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

/* ---- an owner that does as it is told ----------------------------------------- */

enum deed {
    WAIT,       /* answers when the body is in */
    LATER,      /* answers some turns after that */
    AT_HEAD,    /* answers at the head, */
    AT_BODY,    /* or at the first bytes of the body */
    CUT_HEAD,   /* cuts in `head`, */
    CUT_BODY,   /* in `body`, */
    CUT_END,    /* in `end`, */
    CUT_READ,   /* or in `read` */
    REFUSE,     /* no owner */
    NEGATIVE,   /* `body` cuts by its value */
    REST,       /* takes 3 bytes at once, */
    STREAM,     /* answers by a stream of three pieces, one a wake-up, */
    STREAM_NOW, /* or all at once */
    SIZED,      /* of a known size */
    BROKEN,     /* a stream that breaks after a piece */
    EVERYTHING, /* answers, wakes and cuts at once */
    HOLD,       /* takes no body */
    NEVER       /* never answers */
};

struct site {
    uv_loop_t loop;
    uv_idle_t turn; /* counts turns, so that UV_RUN_NOWAIT has something to do */
    struct http *http;
    struct budget budget;
    enum deed deed, other; /* of calls; `other` of every second one */
    int begun, done, sent, faults, ended, descriptors;
    struct call *calls;
};

struct call {
    struct site *site;
    struct http_call *http;
    struct call *next;
    enum deed deed;
    int pieces, delay;
    bool due, streams, rests;
};

static void answer(struct call *c)
{
    static const char text[] = "answered";
    struct http_reply r = {.status = 200};
    enum deed deed = c->deed;
    if (c->http->replied)
        return;
    http_field(&r, "Content-Type", "text/plain");
    c->streams = r.stream = deed == STREAM || deed == STREAM_NOW || deed == SIZED ||
                            deed == BROKEN || deed == CUT_READ;
    r.sized = deed == SIZED;
    r.stream_bytes = 3;
    if (!r.stream)
        buf_put(&r.body, text, sizeof text - 1);
    http_reply(c->http, &r);
}

static void *begin(void *arg, struct http_call *http)
{
    struct site *site = arg;
    if (site->deed == REFUSE)
        return NULL;
    struct call *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct call){.site = site, .http = http, .next = site->calls};
    c->deed = site->begun % 2 ? site->other : site->deed;
    site->calls = c;
    site->begun++;
    return c;
}

static void everything(struct call *c)
{
    answer(c);
    http_wake(c->http);
    http_cut(c->http);
    http_wake(c->http);
}

static void head(void *owner)
{
    struct call *c = owner;
    if (c->deed == AT_HEAD)
        answer(c);
    else if (c->deed == CUT_HEAD)
        http_cut(c->http);
    else if (c->deed == EVERYTHING)
        everything(c);
}

static void fault(void *owner, const struct err *err)
{
    struct call *c = owner;
    assert_int_not_equal(err->code, 0);
    c->site->faults++;
    answer(c);
}

static ssize_t body(void *owner, const char *data, size_t len)
{
    struct call *c = owner;
    assert_non_null(data);
    assert_false(c->http->replied);
    switch (c->deed) {
    case AT_BODY:
        answer(c);
        break;
    case CUT_BODY:
        http_cut(c->http);
        break;
    case NEGATIVE:
        return -1;
    case HOLD:
        return 0;
    case REST:
        if (len > 9)
            http_wake(c->http); /* inside: counts as well */
        else
            c->rests = len > 3;
        return len > 3 ? 3 : (ssize_t)len;
    default:
        break;
    }
    return (ssize_t)len;
}

static void end(void *owner)
{
    struct call *c = owner;
    c->site->ended++;
    if (c->deed == CUT_END)
        http_cut(c->http);
    else if (c->deed == LATER)
        c->due = true;
    else if (c->deed != NEVER)
        answer(c);
}

static ssize_t read_stream(void *owner, char *to, size_t max)
{
    struct call *c = owner;
    assert_true(max > 0);
    assert_non_null(c->http);
    if (c->deed == CUT_READ)
        http_cut(c->http);
    if (c->pieces == 3)
        return -1;
    if (c->deed == BROKEN && c->pieces == 1)
        return -2;
    if (c->deed == STREAM && !c->due) {
        http_wake(c->http); /* of no use here: nothing is awaited yet */
        return 0;
    }
    c->due = false;
    c->pieces++;
    *to = 's';
    return 1;
}

static void done(void *owner, bool sent)
{
    struct call *c = owner, **at = &c->site->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->site->done++;
    c->site->sent += sent;
    memset(c, 0x5a, sizeof *c);
    mem_free(c);
}

/* ---- the loop ------------------------------------------------------------------- */

static void turned(uv_idle_t *idle)
{
    struct site *site = idle->data;
    struct call *next;
    for (struct call *c = site->calls; c; c = next) {
        next = c->next;
        if (c->rests) {
            c->rests = false;
            http_wake(c->http);
        } else if (c->streams && !c->due) {
            c->due = true;
            http_wake(c->http);
        } else if (c->due && ++c->delay > 2) {
            c->due = false;
            answer(c);
        }
    }
}

static void turns(struct site *site, int n)
{
    for (int i = 0; i < n; i++)
        uv_run(&site->loop, UV_RUN_NOWAIT);
}

static const struct http_owner owner = {.begin = begin,
                                        .head = head,
                                        .fault = fault,
                                        .body = body,
                                        .end = end,
                                        .read = read_stream,
                                        .done = done};

static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void open_site(struct site *site, int per_address)
{
    static struct address_list nobody;
    struct err err;
    assert_int_equal(uv_loop_init(&site->loop),
                     0); /* libuv keeps some of the first loop */
    assert_int_equal(uv_loop_close(&site->loop), 0);
    *site = (struct site){.budget.limit = 1 << 20, .descriptors = descriptors()};
    assert_int_equal(uv_loop_init(&site->loop), 0);
    struct http_options o = {.host = "127.0.0.1",
                             .max_connections = 8,
                             .per_address = per_address,
                             .trusted = &nobody,
                             .limits = {512, 1024},
                             .keepalive_idle_s = 30,
                             .head_timeout_s = 10,
                             .budget = &site->budget,
                             .owner = &owner,
                             .owner_arg = site};
    assert_int_equal(http_open(&site->http, &site->loop, &o, &err), 0);
    uv_idle_init(&site->loop, &site->turn);
    site->turn.data = site;
    uv_idle_start(&site->turn, turned);
}

static void close_site(struct site *site)
{
    http_close(site->http);
    uv_close((uv_handle_t *)&site->turn, NULL);
    uv_run(&site->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&site->loop), 0);
    assert_int_equal(site->budget.used, 0);
    assert_int_equal(site->begun, site->done);
    assert_int_equal(descriptors(), site->descriptors);
}

static int dial(const struct site *site)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_port(site->http)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* ---- requests cut anywhere ------------------------------------------------------ */

static const char *const texts[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n123456789"
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n5;x\r\n"
    "efghi\r\n0\r\nT: u\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n-5\r\nx",
    "\r\n\nGET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
};
enum { N_TEXTS = sizeof texts / sizeof *texts, QUIET = 40 };

enum leaving { STAYS, HALF_CLOSES, RESETS, N_LEAVINGS };

/* Sends text in two pieces, leaves, and looks that all is done and counted. */
static void play(struct site *site, const char *text, size_t first, enum leaving how)
{
    size_t len = strlen(text), idle = site->budget.used;
    int fd = dial(site), descriptors = http_counts(site->http).connections;
    send(fd, text, first, MSG_NOSIGNAL);
    turns(site, 4);
    if (how == STAYS && first < len) {
        send(fd, text + first, len - first, MSG_NOSIGNAL);
        turns(site, QUIET);
    } else if (how == HALF_CLOSES) {
        shutdown(fd, SHUT_WR);
        turns(site, QUIET);
    }
    reset(fd);
    turns(site, 8);
    for (struct call *c = site->calls; c; c = c->next)
        http_cut(c->http); /* as the reaper does for those that left */
    turns(site, 8);
    assert_int_equal(http_counts(site->http).connections, descriptors);
    assert_int_equal(site->budget.used, idle);
    assert_int_equal(site->begun, site->done);
    assert_int_equal(http_counts(site->http).library_refusals, 0);
}

static void cut_anywhere(void **state)
{
    (void)state;
    struct site site;
    open_site(&site, 4);
    for (int deed = WAIT; deed <= EVERYTHING; deed++)
        for (size_t i = 0; i < N_TEXTS; i++)
            for (size_t first = 1; first <= strlen(texts[i]); first += 7)
                for (int how = STAYS; how < N_LEAVINGS; how++) {
                    site.deed = site.other = (enum deed)deed;
                    play(&site, texts[i], first, (enum leaving)how);
                }
    assert_true(site.sent > 1000); /* the address has not used up its connections */
    close_site(&site);
}

static void without_memory(void **state)
{
    (void)state;
    struct site site;
    open_site(&site, 4);
    for (int deed = WAIT; deed <= EVERYTHING; deed++)
        for (size_t i = 0; i < N_TEXTS; i++)
            for (long n = 1; n < 16; n++) {
                site.deed = site.other = (enum deed)deed;
                mem_fail_after(n);
                play(&site, texts[i], strlen(texts[i]) / 2, STAYS);
                mem_fail_after(0);
            }
    close_site(&site);
}

/* Everything is closed while requests are in every state. */
static void closed_in_all_states(void **state)
{
    (void)state;
    for (int deed = WAIT; deed <= EVERYTHING; deed++)
        for (size_t i = 0; i < N_TEXTS; i++)
            for (int n = 0; n < 6; n++) {
                struct site site;
                open_site(&site, 0);
                site.deed = site.other = (enum deed)deed;
                int fd = dial(&site);
                send(fd, texts[i], strlen(texts[i]) - (size_t)(n & 1), MSG_NOSIGNAL);
                turns(&site, n);
                close(fd);
                close_site(&site);
            }
}

/* Many at once, of two kinds: what one leaves to be done meets the other's in one turn. */
static void together(void **state)
{
    (void)state;
    enum { CLIENTS = 6 };
    struct site site;
    open_site(&site, 0);
    for (int deed = WAIT; deed <= EVERYTHING; deed++)
        for (int other = WAIT; other <= EVERYTHING; other++) {
            int fds[CLIENTS];
            site.deed = (enum deed)deed;
            site.other = (enum deed)other;
            for (int i = 0; i < CLIENTS; i++) {
                fds[i] = dial(&site);
                send(fds[i], texts[i], strlen(texts[i]), MSG_NOSIGNAL);
            }
            turns(&site, QUIET);
            for (int i = 0; i < CLIENTS; i++)
                reset(fds[i]);
            turns(&site, QUIET);
            for (struct call *c = site.calls; c; c = c->next)
                http_cut(c->http);
            turns(&site, QUIET);
            assert_int_equal(site.begun, site.done);
        }
    close_site(&site);
}

/* ---- bounds ----------------------------------------------------------------------- */

/* Sends text; the connection is there at `before` seconds, and ended at `after`. */
static void ends_between(enum deed deed, const char *text, double before, double after)
{
    struct site site;
    open_site(&site, 0);
    site.deed = site.other = deed;
    int fd = dial(&site);
    send(fd, text, strlen(text), MSG_NOSIGNAL);
    turns(&site, QUIET);
    http_tick(site.http, uv_hrtime() + (uint64_t)(before * 1e9));
    turns(&site, QUIET);
    assert_int_equal(http_counts(site.http).connections, 1);
    http_tick(site.http, uv_hrtime() + (uint64_t)(after * 1e9));
    turns(&site, QUIET);
    assert_int_equal(http_counts(site.http).connections, 0);
    close(fd);
    close_site(&site);
}

static void every_state_has_its_time(void **state)
{
    (void)state;
    ends_between(WAIT, "", 29, 31);
    ends_between(WAIT, texts[0], 29, 31);
    ends_between(WAIT, texts[1], 4, 6); /* answered, and the client does not end */
    ends_between(AT_HEAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", 4,
                 6);
    ends_between(WAIT, texts[6], 4, 6);
}

static void a_late_head_is_refused(void **state)
{
    (void)state;
    struct site site;
    open_site(&site, 0);
    int fd = dial(&site);
    send(fd, "GET /", 5, MSG_NOSIGNAL);
    turns(&site, QUIET);
    http_tick(site.http, uv_hrtime() + (uint64_t)9e9);
    assert_int_equal(site.faults, 0);
    http_tick(site.http, uv_hrtime() + (uint64_t)11e9);
    assert_int_equal(site.faults, 1);
    close(fd);
    close_site(&site);
}

/* What the owner does not take stays with the kernel. */
static void a_resting_upload_is_not_read(void **state)
{
    (void)state;
    static const char text[] =
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n";
    static const char zeros[65536];
    struct site site;
    open_site(&site, 0);
    site.deed = HOLD;
    int fd = dial(&site);
    send(fd, text, sizeof text - 1, MSG_NOSIGNAL);
    for (int i = 0; i < 32; i++) {
        send(fd, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT);
        turns(&site, 4);
    }
    assert_true(site.budget.used < 4 * sizeof zeros);
    close(fd);
    close_site(&site);
}

static void who_half_closes_has_left(void **state)
{
    (void)state;
    struct site site;
    open_site(&site, 0);
    site.deed = NEVER;
    int fd = dial(&site);
    send(fd, texts[0], strlen(texts[0]), MSG_NOSIGNAL);
    turns(&site, QUIET);
    assert_false(site.calls->http->left);
    shutdown(fd, SHUT_WR);
    turns(&site, QUIET);
    assert_non_null(site.calls);
    assert_true(site.calls->http->left);
    close(fd);
    close_site(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(together),
        cmocka_unit_test(closed_in_all_states),
        cmocka_unit_test(every_state_has_its_time),
        cmocka_unit_test(a_late_head_is_refused),
        cmocka_unit_test(a_resting_upload_is_not_read),
        cmocka_unit_test(who_half_closes_has_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
