/*
 * The HTTP room on a real loop, between a small owner and some loopback clients. The
 * input is a script: clients connect, send requests or any bytes in pieces, shut down,
 * reset and read; the owner answers at once, late, by streams, or refuses, rests, cuts;
 * time jumps, memory runs out. After it the owner answers what is open, the clients
 * read on and leave.
 *
 * What must hold: an owner's functions are called in their order, `done` once for each
 * begun call; a client gets each answer once, whole, in order, and one of the owner's; a
 * client that sent whole requests and stayed gets all its answers; and in the end no
 * call, socket, descriptor, or byte of memory or budget is left, within bounded turns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "server/http/http.h"
#include "server/http/http_sock.h"
#include "tests/fuzz/works.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum {
    MOST_CLIENTS = 6,
    MOST_REQUESTS = 64,
    MOST_STEPS = 400,
    MOST_TURNS = 20000, /* until all is quiet; far more than are needed */
    QUIET_TURNS = 4
};

/* ---- input ------------------------------------------------------------------- */

struct script {
    const uint8_t *at, *end;
};

static unsigned next(struct script *x)
{
    return x->at < x->end ? *x->at++ : 0;
}

struct client {
    int fd; /* -1: none */
    unsigned port;
    struct buf out, in;         /* to be sent; received */
    size_t sent;                /* of out */
    size_t ends[MOST_REQUESTS]; /* where whole requests end in `out` */
    int n_requests;
    bool clean;   /* only whole requests */
    bool spoiled; /* something ends the connection early */
    bool shut, eof;
};

static struct {
    struct http *h;
    struct uv_loop_s *loop;
    struct budget budget;
    struct works works;
    struct client clients[MOST_CLIENTS];
    bool crowded; /* connections may be ended for others */
} t;

static void spoil(unsigned port)
{
    for (int i = 0; i < MOST_CLIENTS; i++)
        if (t.clients[i].port == port)
            t.clients[i].spoiled = true;
}

static void spoil_all(void)
{
    for (int i = 0; i < MOST_CLIENTS; i++)
        t.clients[i].spoiled = true;
}

static bool is_clean(unsigned port)
{
    for (int i = 0; i < MOST_CLIENTS; i++)
        if (t.clients[i].port == port)
            return t.clients[i].clean;
    return false;
}

/* ---- clients ----------------------------------------------------------------- */

static void connect_client(struct client *c, unsigned options)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_port(t.h)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int small = 4096, segment = 1000; /* or the window stays shut for long */
    if (c->fd >= 0)
        return;
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .clean = true,
                         .spoiled = t.crowded};
    must(c->fd >= 0);
    if (options & 1) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    must(connect(c->fd, (struct sockaddr *)&at, sizeof at) == 0);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->port = works_port(c->fd, getsockname);
}

/* Queues one whole request. */
static void put_request(struct client *c, unsigned kind, unsigned size)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "PUT"};
    bool post = kind & 1, chunked = kind & 4;
    if (c->n_requests == MOST_REQUESTS)
        return;
    buf_printf(&c->out, "%s /%u HTTP/1.%d\r\nHost: a\r\n", methods[kind & 3], size,
               kind & 8 && !chunked ? 0 : 1);
    if (kind & 16)
        buf_puts(&c->out, "Expect: 100-continue\r\n");
    if (kind & 32)
        buf_puts(&c->out, "Connection: close\r\n");
    if (post && chunked)
        buf_puts(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
    else if (post)
        buf_printf(&c->out, "Content-Length: %u\r\n\r\n", size * (kind & 64 ? 600 : 1));
    else
        buf_puts(&c->out, "\r\n");
    for (unsigned i = 0; post && !chunked && i < size * (kind & 64 ? 600 : 1); i++)
        buf_putc(&c->out, 'x');
    for (unsigned i = 0; post && chunked && i < size % 5; i++)
        buf_puts(&c->out, "3;x\r\nabc\r\n");
    if (post && chunked)
        buf_puts(&c->out, "0\r\nT: x\r\n\r\n");
    c->ends[c->n_requests++] = c->out.len;
}

static void send_some(struct client *c, size_t most)
{
    size_t n = c->out.len - c->sent;
    n = n < most ? n : most;
    if (c->fd < 0 || c->shut || n == 0)
        return;
    ssize_t sent = send(c->fd, c->out.data + c->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        c->sent += (size_t)sent;
    c->shut = c->shut || (sent < 0 && errno != EAGAIN);
}

/* True when something came. */
static bool receive(struct client *c, size_t most)
{
    static char bytes[1 << 16];
    int one = 1;
    if (c->fd < 0 || c->eof)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    ssize_t n =
        recv(c->fd, bytes, most < sizeof bytes ? most : sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        buf_put(&c->in, bytes, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        c->eof = true;
    return n > 0;
}

static void leave(struct client *c, bool reset)
{
    struct linger now = {1, 0};
    if (c->fd < 0)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
    buf_free(&c->out);
    buf_free(&c->in);
    c->fd = -1;
}

/* ---- what a client got ------------------------------------------------------- */

struct reading {
    const char *at, *end;
    bool whole, close;
    struct work *w;
    const struct work *last;
};

/* The value of a header in [head, end), or NULL. */
static const char *field(const char *head, const char *end, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = head; p < end;
         p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1)
        if (strncasecmp(p, name, n) == 0 && p[n] == ':')
            return p + n + 1 + (p[n + 1] == ' ');
    return NULL;
}

static void content(struct reading *r, size_t *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(r->at[i] == works_letter(r->w, (*got)++));
    r->at += n;
}

/* Bytes that the end of the connection, or what came so far, cuts short make no answer. */
static bool read_chunked(struct reading *r)
{
    for (size_t got = 0;;) {
        const char *lf = memchr(r->at, '\n', (size_t)(r->end - r->at));
        size_t size = lf ? strtoul(r->at, NULL, 16) : 0;
        if (!lf)
            return false;
        r->at = lf + 1;
        bool there = size + 2 <= (size_t)(r->end - r->at);
        content(r, &got, there ? size : 0);
        if (!there)
            return false;
        must(memcmp(r->at, "\r\n", 2) == 0);
        r->at += 2;
        if (size == 0) {
            must(got == r->w->whole);
            return true;
        }
    }
}

static bool read_content(struct reading *r, const char *head, const char *end, bool eof)
{
    const char *length = field(head, end, "content-length");
    size_t got = 0, there = (size_t)(r->end - r->at);
    if (r->w->no_content)
        return true;
    if (field(head, end, "transfer-encoding"))
        return read_chunked(r);
    must(length || r->close);
    size_t n = length ? strtoul(length, NULL, 10) : r->w->whole;
    must(n == r->w->whole);
    content(r, &got, there < n ? there : n);
    return got == n && (length || eof);
}

/* Reads one answer; false: there is no whole one. */
static bool read_answer(struct reading *r, bool eof)
{
    const char *head = r->at;
    const char *end = memmem(head, (size_t)(r->end - head), "\r\n\r\n", 4);
    if (!end)
        return false;
    end += 2;
    r->at = end + 2;
    must(memcmp(head, "HTTP/1.", 7) == 0);
    if (memcmp(head + 9, "100", 3) == 0)
        return read_answer(r, eof);
    const char *number = field(head, end, "x-call");
    const char *connection = field(head, end, "connection");
    must(number && atoi(number) < t.works.n);
    r->w = &t.works.work[atoi(number)];
    must(!r->last || (r->last < r->w && r->last->connection == r->w->connection));
    r->last = r->w;
    must(r->w->replied);
    r->close = r->w->old || (connection && strncasecmp(connection, "close", 5) == 0);
    return read_content(r, head, end, eof);
}

/* How many requests of a client were answered wholly; `closes`: the last one said so. */
static int read_answers(const struct client *c, bool *closes)
{
    const char *data = c->in.data ? c->in.data : "";
    struct reading r = {.at = data, .end = data + c->in.len};
    int n = 0;
    *closes = false;
    while (r.at < r.end && read_answer(&r, c->eof)) {
        must(!*closes);
        n++;
        *closes = r.close;
    }
    return n;
}

static void check_client(const struct client *c)
{
    bool closes, spoiled = c->spoiled || c->out.failed || c->in.failed;
    int asked = 0, sent = 0, n = read_answers(c, &closes);
    while (asked < c->n_requests && c->ends[asked] <= c->sent)
        asked++;
    for (int i = 0; i < t.works.n; i++)
        sent += t.works.work[i].port == c->port && t.works.work[i].sent;
    must(spoiled || n >= sent);
    must(spoiled || !c->clean || closes || n >= asked);
    must(spoiled || !c->clean || n <= c->n_requests);
}

/* ---- the script -------------------------------------------------------------- */

static bool turn(void)
{
    return uv_run(t.loop, UV_RUN_NOWAIT);
}

static void tick(double later_s)
{
    int ordinary = 0, ranked = 0;
    http_tick(t.h, uv_hrtime() + (uint64_t)(later_s * 1e9));
    for (int i = 0; i < SOCK_N_STATES; i++)
        for (struct list *n = t.h->socks[i].next; n != &t.h->socks[i]; n = n->next) {
            struct http_sock *s = LIST_OF(n, struct http_sock, at);
            ordinary += s->rank == HTTP_ORDINARY;
            ranked += s->rank != HTTP_ORDINARY && i == SOCK_IDLE;
        }
    must(ordinary <= t.h->o.max_connections);
    must(later_s < 2 || ranked == 0);
}

static void put_any(struct client *c, struct script *x, size_t n)
{
    size_t left = (size_t)(x->end - x->at);
    n = n < left ? n : left;
    if (c->fd < 0 || n == 0)
        return;
    buf_put(&c->out, x->at, n);
    x->at += n;
    c->clean = false;
}

static void shut(struct client *c)
{
    if (c->fd < 0 || c->shut)
        return;
    shutdown(c->fd, SHUT_WR);
    c->shut = true;
}

static void client_step(struct client *c, unsigned op, unsigned arg, struct script *x)
{
    if (op == 0)
        connect_client(c, arg);
    else if (op <= 2 && c->fd >= 0)
        put_request(c, arg, next(x));
    else if (op == 3)
        put_any(c, x, arg);
    else if (op == 4)
        send_some(c, arg);
    else if (op == 5)
        send_some(c, arg * 1024u);
    else if (op == 6 && arg > 127)
        shut(c);
    else if (op == 7 && arg > 191)
        leave(c, arg & 1);
    else if (op == 8)
        receive(c, 1 + arg * 64u);
}

static void owner_step(struct work *w, unsigned op, unsigned arg)
{
    if (op == 12 && !w->over && !w->replied && (w->ended || w->faulted || arg & 64))
        works_answer(w);
    if (op == 13)
        works_wake(w);
    if (op == 14 && !w->over && arg > 191) {
        http_cut(w->call);
        spoil_all();
    }
}

static void step(struct script *x)
{
    static const double jumps[] = {0, 0.5, 2, 6, 20, 80};
    unsigned op = next(x), arg = next(x), what = op & 15;
    client_step(&t.clients[(op >> 4) % MOST_CLIENTS], what, arg, x);
    if (t.works.n > 0)
        owner_step(&t.works.work[arg % (unsigned)t.works.n], what, arg);
    for (unsigned i = 0; (what == 9 || what == 10) && i < 1 + arg % 8; i++)
        turn();
    if (what == 11)
        tick(jumps[arg % 6]);
    if (what == 15 && arg > 191)
        mem_fail_after((long)(arg - 191));
    if ((what == 11 && arg % 6) || (what == 15 && arg > 191))
        spoil_all();
}

/* ---- the end ----------------------------------------------------------------- */

/* The owner answers and wakes, clients send and read. True: something moved. */
static bool attend(void)
{
    bool moved = false;
    for (int i = 0; i < t.works.n; i++) {
        struct work *w = &t.works.work[i];
        if (!w->over && !w->replied && (w->ended || w->faulted))
            works_answer(w);
        works_wake(w);
    }
    for (int i = 0; i < MOST_CLIENTS; i++) {
        struct client *c = &t.clients[i];
        size_t sent = c->sent;
        send_some(c, SIZE_MAX);
        moved = receive(c, SIZE_MAX) || c->sent != sent || moved;
    }
    return moved;
}

static size_t progress(void)
{
    size_t n = (size_t)t.works.n + (size_t)t.h->n_socks + (size_t)t.works.n_live;
    for (int i = 0; i < t.works.n; i++)
        n += t.works.work[i].given + t.works.work[i].body + t.works.work[i].replied;
    return n;
}

static bool queued(int fd, unsigned long direction)
{
    int n;
    return ioctl(fd, direction, &n) == 0 && n > 0;
}

/* True when bytes are on their way, or have come unread. */
static bool in_flight(void)
{
    int open = 0;
    bool bytes = false;
    for (int i = 0; i < SOCK_N_STATES; i++)
        for (struct list *x = t.h->socks[i].next; x != &t.h->socks[i]; x = x->next) {
            const struct http_sock *s = LIST_OF(x, struct http_sock, at);
            bytes = bytes || s->out.len > s->taken || queued(s->fd, SIOCOUTQ) ||
                    (i != SOCK_ANSWER && queued(s->fd, SIOCINQ));
        }
    for (int i = 0; i < MOST_CLIENTS; i++) {
        const struct client *c = &t.clients[i];
        open += c->fd >= 0 && !c->eof;
        bytes = bytes || (c->fd >= 0 && !c->shut && c->out.len > c->sent) ||
                (c->fd >= 0 && !c->eof && queued(c->fd, SIOCOUTQ));
    }
    return bytes || open > t.h->n_socks;
}

/* Until nothing has moved for some turns. */
static void run_quiet(void)
{
    size_t before = 0;
    for (int turns = 0, quiet = 0; quiet < QUIET_TURNS; turns++) {
        must(turns < MOST_TURNS);
        bool moved = attend();
        turn();
        tick(0);
        quiet = moved || progress() != before ? 0 : quiet + 1;
        if (quiet == QUIET_TURNS && in_flight()) {
            usleep(200);
            quiet = 0;
        }
        before = progress();
    }
}

static bool any_left(void)
{
    for (int i = 0; i < SOCK_N_STATES; i++)
        if (i != SOCK_IDLE && !list_empty(&t.h->socks[i]))
            return true;
    return false;
}

static void finish(bool abrupt)
{
    if (!abrupt) {
        run_quiet();
        for (int i = 0; i < MOST_CLIENTS; i++)
            if (t.clients[i].fd >= 0)
                check_client(&t.clients[i]);
    }
    for (int i = 0; i < MOST_CLIENTS; i++)
        leave(&t.clients[i], true);
    if (!abrupt) {
        run_quiet();
        must(!any_left() && t.h->n_socks == 0 && t.works.n_live == 0 &&
             t.budget.used == 0);
        must(http_counts(t.h).library_refusals == 0);
    }
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    must(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void play(struct script *x)
{
    unsigned limits = next(x), room = next(x);
    struct http_options o = {.host = "127.0.0.1",
                             .max_connections = limits & 3 ? (int)(limits & 3) : 16,
                             .per_address = room & 3,
                             .limits = {room & 4 ? 64 : 8192, room & 8 ? 256 : 65536},
                             .keepalive_idle_s = 75,
                             .head_timeout_s = 10,
                             .budget = &t.budget,
                             .owner = &works_owner,
                             .owner_arg = &t.works};
    static const struct address_list nobody;
    struct err err;
    o.trusted = &nobody;
    t.crowded = limits & 3 || room & 3;
    t.budget.limit = room & 16 ? 4096 : 1 << 24;
    for (int i = 0; i < WORKS_PLANS; i++)
        t.works.plans[i] = (uint8_t)next(x);
    must(http_open(&t.h, t.loop, &o, &err) == 0);
    for (int i = 0; i < MOST_STEPS && x->at < x->end; i++)
        step(x);
    mem_fail_after(0);
    finish(limits & 4);
    t.works.closing = true;
    http_close(t.h);
}

/* What libuv opens once for the process. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct uv_loop_s loop;
    (void)argc, (void)argv;
    return uv_loop_init(&loop) || uv_loop_close(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script x = {data, data + size};
    struct uv_loop_s loop;
    int before = descriptors();
    ptrdiff_t held = mem_held();
    memset(&t, 0, sizeof t);
    for (int i = 0; i < MOST_CLIENTS; i++)
        t.clients[i].fd = -1;
    t.loop = &loop;
    t.works.spoil = spoil;
    t.works.clean = is_clean;
    must(uv_loop_init(&loop) == 0);
    play(&x);
    for (int i = 0; turn(); i++)
        must(i < 100);
    must(uv_loop_close(&loop) == 0);
    must(t.works.n_live == 0 && t.budget.used == 0);
    must(mem_held() == held);
    must(descriptors() == before);
    return 0;
}
