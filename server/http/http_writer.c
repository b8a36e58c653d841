/*
 * The library's daemon without a listening socket: its epoll descriptor in a uv_poll, one
 * MHD_run in each turn in which there is something to run, then the relay of what it
 * wrote. Loop thread.
 *
 * The subtle points: an answer is queued at the library's second call, because one queued
 * at the first ends the connection. A stream without bytes is suspended, after which
 * nothing of it is on its way; so `active` writers are those that are not suspended.
 * A reader never returns an error, after which the library may forget a connection that
 * has an older one beside it (0.9.75): a broken stream is ended from our side.
 * A writer is freed when both of its ends are closed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http/http_writer.h"

#include "engine/base/mem.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum {
    WRITER_MEMORY = 16 * 1024, /* of the library, for one connection */
    STREAM_BLOCK = 16 * 1024,  /* bytes the library asks a stream for at once, */
    SIZED_BLOCK = 128 * 1024,  /* and one whose size it knows */
    PAIR_BYTES = 32 * 1024,    /* on their way through a pair of sockets, about */
    RELAY_BYTES = 64 * 1024,   /* at once */
    RELAY_ROUNDS = 4,
    MAX_WRITERS = 16384,
    SPARE_WRITERS = 64 /* kept open for the next calls */
};

struct http_writer {
    struct list at; /* in writers.active or .spare; in neither while suspended or ended */
    struct http_writers *ws;
    struct http_call *call;            /* borrows; NULL: nobody wants the bytes */
    struct MHD_Connection *connection; /* NULL: the library has closed it */
    int fd;                            /* our end; -1: closed */
    bool suspended, blocked;           /* no bytes to send; the sink takes none */
    bool asked, queued, answered, ended, good;
};

/* What a streamed response reads from; the response owns it, and may outlive the call. */
struct http_source {
    struct http_call *call; /* borrows; NULL: gone */
    ssize_t (*read)(void *owner, char *to, size_t max);
};

struct http_writers {
    struct http_writer_sink sink;
    struct MHD_Daemon *mhd; /* owns */
    uv_poll_t poll;
    uv_idle_t soon;                     /* active: the library has something to do */
    struct list active, spare, waiting; /* waiting: calls without a writer */
    struct http_writer *opening;        /* inside MHD_add_connection */
    int n, n_spare, n_handles;
    int least_spare; /* since the last tick */
    uint64_t refusals;
    bool closing;
    char scratch[RELAY_BYTES];
};

/* ---- turns ------------------------------------------------------------------ */

static void relay(struct http_writer *w);

static void soon_fired(uv_idle_t *idle);

static void run_soon(struct http_writers *ws)
{
    if (!ws->closing)
        uv_idle_start(&ws->soon, soon_fired);
}

/* One run in a turn of the loop: what is left waits for the next. */
static void run(struct http_writers *ws)
{
    MHD_UNSIGNED_LONG_LONG ms;
    struct list *next;
    uv_idle_stop(&ws->soon);
    MHD_run(ws->mhd);
    for (struct list *n = ws->active.next; n != &ws->active; n = next) {
        next = n->next;
        relay(LIST_OF(n, struct http_writer, at));
    }
    if (MHD_get_timeout(ws->mhd, &ms) == MHD_YES && ms == 0)
        run_soon(ws);
}

static void soon_fired(uv_idle_t *idle)
{
    run(idle->data);
}

static void poll_fired(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    run(p->data);
}

/* ---- writers ---------------------------------------------------------------- */

static void free_ended(struct http_writer *w)
{
    if (w->fd >= 0 || w->connection)
        return;
    list_remove(&w->at);
    w->ws->n--;
    mem_free(w);
}

/* Closes our end; the library closes the other one in its next run. */
static void let_go(struct http_writer *w)
{
    list_remove(&w->at);
    if (w->suspended) {
        w->suspended = false;
        MHD_resume_connection(w->connection);
    }
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    run_soon(w->ws);
    free_ended(w);
}

static struct http_writer *open_writer(struct http_writers *ws)
{
    int fds[2], bytes = PAIR_BYTES / 2; /* the kernel doubles it */
    struct sockaddr_un nobody = {.sun_family = AF_UNIX};
    struct http_writer *w = ws->n < MAX_WRITERS ? mem_zalloc(1, sizeof *w) : NULL;
    if (!w)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds)) {
        mem_free(w);
        return NULL;
    }
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    *w = (struct http_writer){.ws = ws, .fd = fds[0]};
    list_init(&w->at);
    ws->n++;
    ws->opening = w;
    MHD_add_connection(ws->mhd, fds[1], (struct sockaddr *)&nobody, sizeof nobody);
    ws->opening = NULL;
    if (w->connection)
        return w;
    close(w->fd); /* the library has closed the other end */
    w->fd = -1;
    free_ended(w);
    return NULL;
}

static struct http_writer *get_writer(struct http_writers *ws)
{
    struct list *n;
    while ((n = list_pop(&ws->spare))) {
        struct http_writer *w = LIST_OF(n, struct http_writer, at);
        ws->n_spare--;
        ws->least_spare = ws->n_spare < ws->least_spare ? ws->n_spare : ws->least_spare;
        if (w->connection)
            return w;
        let_go(w);
    }
    return open_writer(ws);
}

static void put_back(struct http_writer *w)
{
    list_push(&w->ws->spare, &w->at);
    w->ws->n_spare++;
}

/* ---- calls ------------------------------------------------------------------ */

/* The library's request: no part of the client's. */
static bool ask(struct http_writer *w, const struct http_call *call)
{
    char line[96];
    int n = snprintf(line, sizeof line,
                     "%s / HTTP/1.%d\r\nHost: ssmd\r\nConnection: %s\r\n\r\n",
                     strcmp(call->head.method, "HEAD") == 0 ? "HEAD" : "GET",
                     call->head.minor, call->close ? "close" : "keep-alive");
    return send(w->fd, line, (size_t)n, MSG_NOSIGNAL) == n;
}

static void start(struct http_writer *w, struct http_call *call)
{
    w->call = call;
    w->blocked = w->asked = w->queued = w->answered = w->ended = w->good = false;
    call->writer = w;
    list_push(&w->ws->active, &w->at);
    if (!ask(w, call))
        w->ended = true; /* relay finds it broken */
    run_soon(w->ws);
}

void http_writer_start(struct http_writers *ws, struct http_call *call)
{
    struct http_writer *w = get_writer(ws);
    if (w)
        start(w, call);
    else
        list_push(&ws->waiting, &call->at);
}

static void start_waiting(struct http_writers *ws)
{
    while (!list_empty(&ws->waiting)) {
        struct http_writer *w = get_writer(ws);
        if (!w)
            return;
        start(w, LIST_OF(list_pop(&ws->waiting), struct http_call, at));
    }
}

bool http_writers_tick(struct http_writers *ws)
{
    for (; ws->least_spare > 0 && ws->n_spare > 1; ws->least_spare--) {
        ws->n_spare--;
        let_go(LIST_OF(list_pop(&ws->spare), struct http_writer, at));
    }
    ws->least_spare = ws->n_spare;
    start_waiting(ws);
    return list_empty(&ws->waiting);
}

/* The response reads nothing more of the call, though the library may hold it still. */
static void detach(struct http_call *call)
{
    if (call->source)
        call->source->call = NULL;
    call->source = NULL;
}

/* The call has all its bytes; a connection that the library keeps is used again. */
static void finish(struct http_writer *w)
{
    struct http_writers *ws = w->ws;
    struct http_call *call = w->call;
    bool good = w->good;
    detach(call);
    w->call = NULL;
    call->writer = NULL;
    list_remove(&w->at);
    if (good && !w->ended && w->connection && ws->n_spare < SPARE_WRITERS &&
        !call->close) {
        put_back(w);
    } else {
        let_go(w);
    }
    start_waiting(ws);
    ws->sink.written(call, good);
}

/* Hands what the library has written to the sink. */
static void relay(struct http_writer *w)
{
    struct http_writers *ws = w->ws;
    for (int i = 0; i < RELAY_ROUNDS && w->call; i++) {
        ssize_t n = w->ended ? 0 : recv(w->fd, ws->scratch, sizeof ws->scratch, 0);
        if (n > 0) {
            w->blocked = !ws->sink.write(w->call, ws->scratch, (size_t)n);
            if (!w->blocked)
                continue;
            list_remove(&w->at);
            return;
        }
        w->ended = w->ended || n == 0;
        if (w->answered || w->ended)
            finish(w);
        else if (w->suspended)
            list_remove(&w->at);
        return;
    }
    run_soon(ws);
}

static void activate(struct http_writer *w)
{
    list_remove(&w->at);
    if (!w->blocked)
        list_push(&w->ws->active, &w->at);
    run_soon(w->ws);
}

void http_writer_go_on(struct http_call *call)
{
    struct http_writer *w = call->writer;
    if (!w || !w->blocked)
        return;
    w->blocked = false;
    activate(w);
}

void http_writer_wake(struct http_call *call)
{
    struct http_writer *w = call->writer;
    if (!w || !w->suspended)
        return;
    w->suspended = false;
    MHD_resume_connection(w->connection);
    activate(w);
}

void http_writer_abort(struct http_call *call)
{
    struct http_writer *w = call->writer;
    list_remove(&call->at);
    if (w) {
        w->call = NULL;
        call->writer = NULL;
        let_go(w);
    }
    detach(call);
    if (call->response)
        MHD_destroy_response(call->response);
    call->response = NULL;
}

/* ---- what the library calls -------------------------------------------------- */

static void connection_event(void *arg, struct MHD_Connection *c, void **context,
                             enum MHD_ConnectionNotificationCode what)
{
    struct http_writers *ws = arg;
    struct http_writer *w = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = ws->opening;
        ws->opening->connection = c;
    } else if (w) {
        w->connection = NULL;
        w->suspended = false;
        free_ended(w);
    }
}

static struct http_writer *writer_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return i ? i->socket_context : NULL;
}

static enum MHD_Result access_call(void *arg, struct MHD_Connection *c, const char *url,
                                   const char *method, const char *version,
                                   const char *data, size_t *size, void **context)
{
    (void)arg, (void)url, (void)method, (void)version, (void)data, (void)size;
    struct http_writer *w = writer_of(c);
    if (!w || !w->call)
        return MHD_NO;
    *context = w;
    if (!w->asked) {
        w->asked = true;
        return MHD_YES;
    }
    struct MHD_Response *r = w->call->response;
    w->call->response = NULL;
    w->queued = true;
    enum MHD_Result ok = MHD_queue_response(c, (unsigned)w->call->status, r);
    MHD_destroy_response(r);
    return ok;
}

static void completed(void *arg, struct MHD_Connection *c, void **context,
                      enum MHD_RequestTerminationCode why)
{
    (void)c;
    struct http_writers *ws = arg;
    struct http_writer *w = *context;
    *context = NULL;
    if (!w)
        return;
    w->answered = true;
    w->good = w->queued && why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    ws->refusals += w->call && !w->queued;
}

/* ---- answers ---------------------------------------------------------------- */

static ssize_t read_stream(void *arg, uint64_t at, char *to, size_t max)
{
    (void)at;
    const struct http_source *source = arg;
    struct http_call *call = source->call;
    if (!call) {
        *to = '\n'; /* our end is closed: the write fails and ends the connection */
        return 1;
    }
    ssize_t n = source->read(call->owner, to, max);
    if (n > 0)
        return n;
    if (n == -1)
        return MHD_CONTENT_READER_END_OF_STREAM;
    call->writer->ended = n < 0;
    call->writer->suspended = true;
    MHD_suspend_connection(call->writer->connection);
    return 0;
}

static void source_freed(void *arg)
{
    struct http_source *source = arg;
    if (source->call)
        source->call->source = NULL;
    mem_free(source);
}

static struct MHD_Response *stream_response(struct http_call *call,
                                            const struct http_reply *r,
                                            ssize_t (*read)(void *, char *, size_t))
{
    struct http_source *source = mem_alloc(sizeof *source);
    if (!source)
        return NULL;
    *source = (struct http_source){call, read};
    struct MHD_Response *m = MHD_create_response_from_callback(
        r->sized ? r->stream_bytes : MHD_SIZE_UNKNOWN,
        r->sized ? SIZED_BLOCK : STREAM_BLOCK, read_stream, source, source_freed);
    if (m)
        call->source = source;
    else
        mem_free(source);
    return m;
}

static struct MHD_Response *body_response(struct http_reply *r)
{
    struct MHD_Response *m = MHD_create_response_from_buffer_with_free_callback(
        r->body.len, r->body.len ? r->body.data : "", r->body.len ? mem_free : NULL);
    if (m && r->body.len)
        r->body = (struct buf){0};
    return m;
}

bool http_writer_respond(struct http_call *call, struct http_reply *r,
                         ssize_t (*read)(void *owner, char *to, size_t max))
{
    struct MHD_Response *m = NULL;
    bool head_only = strcmp(call->head.method, "HEAD") == 0 && !r->sized;
    if (r->stream && !head_only) /* the library would end a head's stream by a chunk */
        m = stream_response(call, r, read);
    else if (!r->body.failed)
        m = body_response(r);
    for (size_t i = 0; m && i < r->n_fields; i++)
        MHD_add_response_header(m, r->fields[i].name, r->fields[i].value);
    buf_free(&r->body);
    call->response = m;
    call->status = r->status;
    return m != NULL;
}

/* ---- life ------------------------------------------------------------------- */

static void handle_closed(uv_handle_t *handle)
{
    struct http_writers *ws = handle->data;
    if (--ws->n_handles == 0)
        mem_free(ws);
}

int http_writers_open(struct http_writers **out, struct uv_loop_s *loop,
                      const struct http_writer_sink *sink, struct err *err)
{
    struct http_writers *ws = mem_zalloc(1, sizeof *ws);
    if (!ws)
        return err_set(err, ERR_MEMORY, "out of memory");
    ws->sink = *sink;
    list_init(&ws->active);
    list_init(&ws->spare);
    list_init(&ws->waiting);
    ws->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL,
        NULL, access_call, ws, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_WRITERS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WRITER_MEMORY,
        MHD_OPTION_NOTIFY_COMPLETED, completed, ws, MHD_OPTION_NOTIFY_CONNECTION,
        connection_event, ws, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (!ws->mhd) {
        mem_free(ws);
        return err_set(err, ERR_IO, "the HTTP library did not start");
    }
    uv_idle_init(loop, &ws->soon);
    uv_poll_init(loop, &ws->poll,
                 MHD_get_daemon_info(ws->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    ws->soon.data = ws->poll.data = ws;
    ws->n_handles = 2;
    uv_poll_start(&ws->poll, UV_READABLE, poll_fired);
    struct http_writer *first = open_writer(ws);
    if (first)
        put_back(first);
    *out = ws;
    return 0;
}

void http_writers_close(struct http_writers *ws)
{
    struct list *n;
    ws->closing = true;
    while ((n = list_pop(&ws->spare)))
        let_go(LIST_OF(n, struct http_writer, at));
    for (int i = 0; i < 100 && ws->n > 0; i++)
        MHD_run(ws->mhd);
    uv_idle_stop(&ws->soon);
    uv_poll_stop(&ws->poll);
    MHD_stop_daemon(ws->mhd); /* a suspended connection would abort it: there is none */
    uv_close((uv_handle_t *)&ws->soon, handle_closed);
    uv_close((uv_handle_t *)&ws->poll, handle_closed);
}

uint64_t http_writers_refusals(const struct http_writers *ws)
{
    return ws->refusals;
}
