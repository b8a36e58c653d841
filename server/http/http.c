/*
 * libmicrohttpd's external loop inside libuv: its epoll descriptor in a uv_poll, its
 * timeout in a uv_timer, one MHD_run whenever either fires. Loop thread only. The library
 * never sees a percent-decoded path, and its own limits lie above ours, so that our
 * answers win.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http/http.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "server/http/framing.h"
#include "server/http/listen.h"

#include <errno.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    CONNECTION_MEMORY = 64 * 1024, /* the library's limit on a request's head */
    STREAM_BLOCK = 16 * 1024,      /* bytes the library asks a stream for at once, */
    SIZED_BLOCK = 128 * 1024,      /* and one whose size it knows */
};

struct http {
    struct http_owner owner;
    void *owner_arg;
    struct MHD_Daemon *mhd; /* owns */
    uv_poll_t poll;
    uv_timer_t timer;
    struct list socks;
    int listen_fd; /* the library's after start; closed by close_listener */
    int port, n_socks, n_handles;
    bool closing;
};

/* ---- running the library ---------------------------------------------------- */

static void run(struct http *h);

static void timer_fired(uv_timer_t *t)
{
    run(t->data);
}

static void run(struct http *h)
{
    int before = h->n_socks;
    MHD_run(h->mhd);
    MHD_UNSIGNED_LONG_LONG ms;
    if (h->n_socks < before)
        ms = 0; /* at its connection limit the library listens again in the next run only
                 */
    else if (MHD_get_timeout(h->mhd, &ms) != MHD_YES) {
        uv_timer_stop(&h->timer);
        return;
    }
    uv_timer_start(&h->timer, timer_fired, ms, 0);
}

static void poll_fired(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    run(p->data);
}

/* A resume is seen by the next run only: have one soon. */
static void kick(struct http *h)
{
    if (!h->closing)
        uv_timer_start(&h->timer, timer_fired, 0, 0);
}

/* ---- calls ------------------------------------------------------------------ */

static void call_unref(struct http_call *call)
{
    if (--call->refs > 0)
        return;
    if (call->response)
        MHD_destroy_response(call->response);
    mem_free(call->headers);
    mem_free(call->target);
    mem_free(call);
}

static void resume(struct http_call *call)
{
    if (!call->suspended)
        return;
    call->suspended = false;
    MHD_resume_connection(call->mhd);
    kick(call->h);
}

static void suspend(struct http_call *call)
{
    call->suspended = true;
    MHD_suspend_connection(call->mhd);
}

void http_wake(struct http_call *call)
{
    resume(call);
}

void http_refuse_now(struct http_call *call)
{
    call->now = true;
}

void http_cut(struct http_call *call)
{
    call->cut = true;
    if (call->sock)
        shutdown(call->sock->fd, SHUT_RDWR);
    resume(call);
}

const struct http_header *http_header(const struct http_call *call, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < call->n_headers; i++) {
        const struct http_header *x = &call->headers[i];
        if (x->name_len == len && strncasecmp(x->name, name, len) == 0)
            return x;
    }
    return NULL;
}

static void *request_line(void *arg, const char *uri, struct MHD_Connection *c)
{
    struct http *h = arg;
    struct http_call *call = mem_zalloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->h = h;
    call->mhd = c;
    call->refs = 1;
    call->target_len = uri ? strlen(uri) : 0;
    call->target = mem_alloc(call->target_len + 1);
    if (call->target)
        memcpy(call->target, uri ? uri : "", call->target_len + 1);
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    call->sock = i ? i->socket_context : NULL;
    if (call->target && call->sock) {
        call->sock->call = call;
        call->owner = h->owner.begin(h->owner_arg, call);
    }
    if (call->owner)
        return call;
    if (call->sock)
        call->sock->call = NULL;
    call_unref(call);
    return NULL;
}

static enum MHD_Result collect(void *arg, enum MHD_ValueKind kind, const char *key,
                               size_t key_len, const char *value, size_t value_len)
{
    (void)kind;
    struct http_call *call = arg;
    if (call->n_headers == call->headers_cap) {
        size_t cap = call->headers_cap ? call->headers_cap * 2 : 16;
        void *more = mem_grow(call->headers, call->n_headers * sizeof *call->headers,
                              cap * sizeof *call->headers);
        if (!more) {
            call->cut = true;
            return MHD_NO;
        }
        call->headers = more;
        call->headers_cap = cap;
    }
    call->headers[call->n_headers++] =
        (struct http_header){key, value ? value : "", key_len, value_len};
    return MHD_YES;
}

/* The request line's parts lie in one block, each ended by one byte; a method or target
 * that is cut short by a NUL, or a second space, shows as a gap. */
static int check_line(const struct http_call *call, const char *url, const char *version,
                      struct err *err)
{
    bool whole = *version && url == call->method + strlen(call->method) + 1 &&
                 version == url + call->target_len + 1;
    if (!whole || strchr(call->target, ' '))
        return err_set(err, ERR_ARGUMENT,
                       "the request line is not METHOD target HTTP/1.x");
    bool old = strcmp(version, "HTTP/1.0") == 0;
    if (!old && !http_header(call, "host"))
        return err_set(err, ERR_ARGUMENT, "there is no Host header");
    if (old && http_header(call, "transfer-encoding"))
        return err_set(err, ERR_ARGUMENT, "HTTP/1.0 has no Transfer-Encoding");
    return 0;
}

static void read_head(struct http_call *call, const char *url, const char *version)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(call->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    call->header_bytes = i ? i->header_size : 0;
    MHD_get_connection_values_n(call->mhd, MHD_HEADER_KIND, collect, call);
    const struct http_header *length = http_header(call, "content-length");
    const struct http_header *coding = http_header(call, "transfer-encoding");
    const struct http_header *expect = http_header(call, "expect");
    call->content_length = coding ? UINT64_MAX : 0;
    for (size_t k = 0; !coding && length && k < length->value_len; k++)
        call->content_length =
            call->content_length * 10 + (uint64_t)(length->value[k] - '0');
    call->has_body = call->content_length > 0;
    call->expects_continue = expect && strcasecmp(expect->value, "100-continue") == 0;

    struct err err;
    const char *end = call->method + call->header_bytes;
    int rc = check_line(call, url, version, &err);
    if (!rc)
        rc = framing_check(call->headers, call->n_headers, end, &err);
    if (rc)
        http_refuse_now(call);
    call->h->owner.head(call->owner, rc ? &err : NULL);
}

static enum MHD_Result queue(struct http_call *call)
{
    struct MHD_Response *r = call->response;
    call->response = NULL;
    call->queued = true;
    enum MHD_Result ok = MHD_queue_response(call->mhd, call->status, r);
    MHD_destroy_response(r);
    return ok;
}

/* What is left in *size comes again when the call is awake. */
static enum MHD_Result take_body(struct http_call *call, const char *data, size_t *size)
{
    ssize_t n = call->h->owner.body(call->owner, data, *size);
    if (n < 0 || call->cut)
        return MHD_NO;
    *size -= (size_t)n;
    if (*size > 0)
        suspend(call);
    return MHD_YES;
}

/* The library calls this with the head, with each piece of the body, at its end, and
 * again after every resume until a response is queued. */
static enum MHD_Result access_call(void *arg, struct MHD_Connection *c, const char *url,
                                   const char *method, const char *version,
                                   const char *data, size_t *size, void **context)
{
    (void)arg, (void)c;
    struct http_call *call = *context;
    if (!call || call->cut)
        return MHD_NO;
    if (!call->head_seen) {
        call->head_seen = true;
        call->method = method;
        read_head(call, url, version);
        if (call->cut)
            return MHD_NO;
        return call->now && call->response ? queue(call) : MHD_YES;
    }
    if (*size > 0)
        return take_body(call, data, size);
    if (!call->ended) {
        call->ended = true;
        call->h->owner.end(call->owner);
    }
    if (call->cut)
        return MHD_NO;
    if (call->response)
        return queue(call);
    suspend(call);
    return MHD_YES;
}

/* The request is over for the library: answered, aborted or broken. */
static void completed(void *arg, struct MHD_Connection *c, void **context,
                      enum MHD_RequestTerminationCode why)
{
    struct http_call *call = *context;
    *context = NULL;
    if (!call)
        return;
    struct http *h = arg;
    struct http_sock *sock = call->sock;
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_HTTP_STATUS);
    if (!call->queued)
        call->status = i ? i->http_status : 0;
    call->sock = NULL;
    call->suspended = false;
    sock->call = NULL;
    sock->idle_ns = uv_hrtime();
    h->owner.done(call->owner,
                  call->queued && why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    call->owner = NULL;
    if (call->response) {
        MHD_destroy_response(call->response);
        call->response = NULL;
    }
    call_unref(call);
}

/* ---- answers ---------------------------------------------------------------- */

static ssize_t read_stream(void *arg, uint64_t at, char *to, size_t max)
{
    (void)at;
    struct http_call *call = arg;
    if (call->cut || !call->owner)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t n = call->h->owner.read(call->owner, to, max);
    if (n > 0)
        return n;
    if (n < 0)
        return n == -1 ? MHD_CONTENT_READER_END_OF_STREAM
                       : MHD_CONTENT_READER_END_WITH_ERROR;
    suspend(call);
    return 0;
}

static void stream_freed(void *arg)
{
    call_unref(arg);
}

static struct MHD_Response *make_response(struct http_call *call, struct http_reply *r)
{
    if (r->stream) {
        struct MHD_Response *m = MHD_create_response_from_callback(
            r->sized ? r->stream_bytes : MHD_SIZE_UNKNOWN,
            r->sized ? SIZED_BLOCK : STREAM_BLOCK, read_stream, call, stream_freed);
        if (m)
            call->refs++;
        return m;
    }
    struct MHD_Response *m = MHD_create_response_from_buffer_with_free_callback(
        r->body.len, r->body.len ? r->body.data : "", r->body.len ? mem_free : NULL);
    if (m && r->body.len)
        r->body = (struct buf){0};
    return m;
}

void http_field(struct http_reply *r, const char *name, const char *value)
{
    if (r->n_fields < HTTP_MAX_EXTRA)
        r->fields[r->n_fields++] = (struct http_field){name, value};
}

const char *http_phrase(int status)
{
    return MHD_get_reason_phrase_for((unsigned)status);
}

void http_reply(struct http_call *call, struct http_reply *r)
{
    struct MHD_Response *m = r->body.failed ? NULL : make_response(call, r);
    for (size_t i = 0; m && i < r->n_fields; i++)
        MHD_add_response_header(m, r->fields[i].name, r->fields[i].value);
    buf_free(&r->body);
    if (!m) {
        http_cut(call);
        return;
    }
    call->response = m;
    call->status = (unsigned)r->status;
    resume(call);
}

/* ---- sockets ---------------------------------------------------------------- */

static void sock_event(void *arg, struct MHD_Connection *c, void **context,
                       enum MHD_ConnectionNotificationCode what)
{
    struct http *h = arg;
    struct http_sock *sock = *context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (!sock)
            return;
        list_remove(&sock->at);
        h->n_socks--;
        mem_free(sock);
        *context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    sock = i ? mem_zalloc(1, sizeof *sock) : NULL;
    if (!sock)
        return;
    sock->fd = i->connect_fd;
    sock->idle_ns = uv_hrtime();
    list_push(&h->socks, &sock->at);
    h->n_socks++;
    *context = sock;
}

void http_each_sock(struct http *h, http_sock_fn *fn, void *arg)
{
    struct list *next;
    for (struct list *n = h->socks.next; n != &h->socks; n = next) {
        next = n->next;
        fn(arg, LIST_OF(n, struct http_sock, at));
    }
}

void http_shut(struct http_sock *sock, const char *bytes, size_t len)
{
    if (len && send(sock->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_line(LOG_DEBUG, "late_answer_lost", "\"errno\":%d", errno);
    shutdown(sock->fd, SHUT_RDWR);
}

/* ---- life ------------------------------------------------------------------- */

static void library_log(void *arg, const char *fmt, va_list ap)
{
    (void)arg;
    if (!log_enabled(LOG_DEBUG))
        return;
    char text[256];
    vsnprintf(text, sizeof text, fmt, ap);
    log_text(LOG_DEBUG, "http_library", text);
}

static size_t keep_escaped(void *arg, struct MHD_Connection *c, char *s)
{
    (void)arg, (void)c;
    return strlen(s);
}

static int start(struct http *h, const struct http_options *o, struct err *err)
{
    h->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        access_call, h, MHD_OPTION_EXTERNAL_LOGGER, library_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, h->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)o->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ceil(o->keepalive_idle_s), MHD_OPTION_STRICT_FOR_CLIENT, 0,
        MHD_OPTION_URI_LOG_CALLBACK, request_line, h, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escaped, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, sock_event, h, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_END);
    if (!h->mhd)
        return err_set(err, ERR_IO, "the HTTP library did not start: %s",
                       strerror(errno));
    h->listen_fd = -1;
    return 0;
}

int http_open(struct http **out, struct uv_loop_s *loop, const struct http_options *o,
              struct err *err)
{
    struct http *h = mem_zalloc(1, sizeof *h);
    if (!h)
        return err_set(err, ERR_MEMORY, "out of memory");
    h->owner = *o->owner;
    h->owner_arg = o->owner_arg;
    list_init(&h->socks);
    h->listen_fd = listen_open(o->host, o->port, &h->port, err);
    int rc = h->listen_fd < 0 ? h->listen_fd : start(h, o, err);
    if (rc) {
        if (h->listen_fd >= 0)
            close(h->listen_fd);
        mem_free(h);
        return rc;
    }
    int fd = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_timer_init(loop, &h->timer);
    uv_poll_init(loop, &h->poll, fd);
    h->timer.data = h->poll.data = h;
    h->n_handles = 2;
    uv_poll_start(&h->poll, UV_READABLE, poll_fired);
    kick(h); /* the first run, in which it starts to accept, belongs to the loop */
    *out = h;
    return 0;
}

int http_port(const struct http *h)
{
    return h->port;
}

int http_connections(const struct http *h)
{
    return h->n_socks;
}

/* No new connections from now on. */
static void close_listener(struct http *h)
{
    int fd = MHD_quiesce_daemon(h->mhd);
    run(h); /* lets the library take the socket out of its epoll set */
    if (fd >= 0)
        close(fd);
}

static void cut_sock(void *arg, struct http_sock *sock)
{
    (void)arg;
    if (sock->call)
        http_cut(sock->call);
    else
        shutdown(sock->fd, SHUT_RDWR);
}

static void handle_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;
    if (--h->n_handles == 0)
        mem_free(h);
}

void http_close(struct http *h)
{
    if (!h)
        return;
    close_listener(h);
    h->closing = true;
    http_each_sock(h, cut_sock, NULL);
    for (int i = 0; i < 100 && h->n_socks > 0; i++)
        MHD_run(h->mhd);
    uv_timer_stop(&h->timer);
    uv_poll_stop(&h->poll);
    MHD_stop_daemon(h->mhd); /* a sleeping call would abort the process: all are awake */
    uv_close((uv_handle_t *)&h->timer, handle_closed);
    uv_close((uv_handle_t *)&h->poll, handle_closed);
}
