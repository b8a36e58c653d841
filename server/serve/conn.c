/*
 * The callbacks of http.c, the checks of a head in their order, the driver of steps and
 * the ways to answer.
 */
#include "server/serve/conn.h"

#include "api/problem.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "server/routes/generation.h"
#include "server/routes/route_states.h"
#include "server/routes/route_status.h"
#include "server/routes/route_tokenize.h"
#include "server/routes/route_transfer.h"
#include "server/serve/request_head.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

static const uint64_t DISCARD_BYTES = 64u << 20;
enum { HELD_BODIES = 64 }; /* of the largest size, over all conns */

/* ---- answering -------------------------------------------------------------- */

static const char *allowed_origin(const struct conn *c)
{
    const struct http_header *origin = http_header(c->call, "origin");
    const struct option_list *list = &c->server->cfg->cors_allow_origins;
    for (size_t i = 0; origin && i < list->n; i++) {
        if (strcmp(list->items[i], "*") == 0)
            return "*";
        if (strcmp(list->items[i], origin->value) == 0)
            return list->items[i];
    }
    return NULL;
}

static void add_cors(struct conn *c, struct http_reply *r)
{
    if (c->server->cfg->cors_allow_origins.n)
        http_field(r, "Vary", "Origin");
    const char *origin = allowed_origin(c);
    if (!origin)
        return;
    http_field(r, "Access-Control-Allow-Origin", origin);
    http_field(r, "Access-Control-Expose-Headers",
               "X-Request-Id, X-SSMD-State, Retry-After");
    if (c->route.kind != ROUTE_OPTIONS)
        return;
    http_field(r, "Access-Control-Allow-Methods",
               "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    http_field(r, "Access-Control-Allow-Headers",
               "Authorization, Content-Type, X-Request-Id, *");
    http_field(r, "Access-Control-Max-Age", "600");
}

/* A stream's head is sent when the first of its prompts starts: it tells of that one. */
static void add_found(struct conn *c, struct http_reply *r)
{
    snprintf(c->hit_field, sizeof c->hit_field,
             "hit=%" PRIu64 "; depth=%" PRIu64 "; bytes=%" PRIu64, c->hit.hit,
             c->hit.depth, c->hit.bytes);
    http_field(r, "X-SSMD-State", c->hit_field);
}

void conn_reply(struct conn *c, struct http_reply *r)
{
    c->replied = true;
    c->status = r->status;
    c->answered_ns = server_now();
    c->answer_bytes = r->body.len;
    c->refused_at = c->body_bytes;
    metrics_http(&c->server->metrics, c->route.label, r->status);
    if (!c->call) {
        buf_free(&r->body);
        return;
    }
    http_field(r, "X-Request-Id", c->request_id);
    add_cors(c, r);
    if (c->server->phase >= SERVER_GRACE)
        http_field(r, "Connection", "close");
    if (r->status == 200 && c->route.kind == ROUTE_API && c->route.api == API_COMPLETIONS)
        add_found(c, r);
    http_reply(c->call, r);
}

void conn_answer(struct conn *c, struct buf *body)
{
    struct http_reply r = {.status = 200, .body = *body};
    *body = (struct buf){0};
    http_field(&r, "Content-Type", "application/json");
    conn_reply(c, &r);
}

/* An error's answer with the values its fields borrow. */
struct refusal {
    struct http_reply reply;
    char retry[16];
    struct buf allow; /* owns */
};

static void put_refusal(struct conn *c, const struct err *err, struct refusal *f)
{
    const struct problem *p = problem_of(err->code);
    *f = (struct refusal){.reply.status = p->status};
    problem_body(err, &f->reply.body);
    http_field(&f->reply, "Content-Type", "application/json");
    if (p->retry_after) {
        int seconds = p->status == 503
                          ? 1
                          : admit_retry_after(&c->server->model.admit, server_now());
        snprintf(f->retry, sizeof f->retry, "%d", seconds);
        http_field(&f->reply, "Retry-After", f->retry);
    }
    if (p->challenge)
        http_field(&f->reply, "WWW-Authenticate", "Bearer");
    if (p->allow) {
        route_allow(&c->route, &f->allow);
        if (f->allow.len)
            http_field(&f->reply, "Allow", f->allow.data);
    }
}

static void fail_plain(struct conn *c, const struct err *err)
{
    struct refusal f;
    put_refusal(c, err, &f);
    if (problem_of(err->code)->close && c->server->phase < SERVER_GRACE)
        http_field(&f.reply, "Connection", "close");
    conn_reply(c, &f.reply);
    buf_free(&f.allow);
}

/* What a client is not told. */
static void log_fault(const struct conn *c, const struct err *err)
{
    struct buf id = {0}, text = {0};
    buf_json_string(&id, c->request_id, strlen(c->request_id));
    buf_json_string(&text, err->text, strlen(err->text));
    if (!id.failed && !text.failed)
        log_line(LOG_ERROR, "fault", "\"id\":%s,\"message\":%s", id.data, text.data);
    buf_free(&id);
    buf_free(&text);
}

void conn_fail(struct conn *c, const struct err *err)
{
    if (problem_of(err->code)->status == 500)
        log_fault(c, err);
    c->server->metrics.states_rejected += err->code == ERR_CONFLICT;
    if (!c->replied) {
        fail_plain(c, err);
        return;
    }
    if (!c->stream.open || c->stream.ended)
        return;
    completion_response_error(c->answer, err, &c->stream.out);
    c->stream.ended = true;
    if (c->call)
        http_wake(c->call);
}

void conn_open_stream(struct conn *c)
{
    struct http_reply r = {.status = 200, .stream = true};
    http_field(&r, "Content-Type", "text/event-stream; charset=utf-8");
    http_field(&r, "Cache-Control", "no-cache");
    http_field(&r, "X-Accel-Buffering", "no");
    c->stream.open = true;
    c->stream.last_ns = server_now();
    conn_reply(c, &r);
}

void conn_give_up(struct conn *c, const struct err *err)
{
    struct refusal f;
    struct buf out = {0};
    put_refusal(c, err, &f);
    struct http_reply *r = &f.reply;
    http_field(r, "Connection", "close");
    http_field(r, "X-Request-Id", c->request_id);
    add_cors(c, r);
    buf_printf(&out, "HTTP/1.1 %d %s\r\n", r->status, http_phrase(r->status));
    for (size_t i = 0; i < r->n_fields; i++)
        buf_printf(&out, "%s: %s\r\n", r->fields[i].name, r->fields[i].value);
    buf_printf(&out, "Content-Length: %zu\r\n\r\n", r->body.len);
    buf_put(&out, r->body.data, r->body.len);
    c->replied = true;
    c->status = r->status;
    c->server->metrics.states_rejected += err->code == ERR_CONFLICT;
    metrics_http(&c->server->metrics, c->route.label, r->status);
    bool whole = !out.failed && !r->body.failed;
    http_shut(c->call->sock, whole ? out.data : "", whole ? out.len : 0);
    http_cut(c->call);
    buf_free(&r->body);
    buf_free(&f.allow);
    buf_free(&out);
}

/* ---- the head --------------------------------------------------------------- */

static void draw_id(struct conn *c)
{
    uint64_t x[2] = {server_now(), (uintptr_t)c};
    if (getrandom(x, sizeof x, GRND_NONBLOCK) < 0)
        x[1] ^= x[0] * 0x9E3779B97F4A7C15u;
    snprintf(c->request_id, sizeof c->request_id, "req-%016llx%08x",
             (unsigned long long)x[0], (unsigned)x[1]);
}

/* The client's own id if it is short and printable. */
static void take_id(struct conn *c)
{
    const struct http_header *h = http_header(c->call, "x-request-id");
    if (!h || h->value_len == 0 || h->value_len >= sizeof c->request_id)
        return;
    for (size_t i = 0; i < h->value_len; i++)
        if (h->value[i] < 0x21 || h->value[i] > 0x7e)
            return;
    memcpy(c->request_id, h->value, h->value_len);
    c->request_id[h->value_len] = '\0';
}

/* Bytes that wait for work, counted over all conns: ERR_BUSY when they are too many;
 * counted in any case until unhold. */
static int hold(struct conn *c, size_t bytes, struct err *err)
{
    c->server->held_bytes += bytes;
    if (c->server->held_bytes <= HELD_BODIES * c->server->cfg->max_body_bytes)
        return 0;
    return err_set(err, ERR_BUSY, "too many bodies are under way; retry later");
}

static void unhold(struct conn *c, size_t bytes)
{
    c->server->held_bytes -= bytes;
}

void conn_drop_body(struct conn *c)
{
    unhold(c, c->body.cap);
    buf_free(&c->body);
}

void conn_refuse(struct conn *c, const struct err *err)
{
    c->refused = true;
    c->refused_at = c->body_bytes;
    c->refused_ns = server_now();
    c->fault = *err;
    conn_drop_body(c);
}

static conn_step_fn *const *steps_of(const struct conn *c)
{
    if (c->route.kind != ROUTE_API)
        return route_status_steps;
    switch (c->route.api) {
    case API_COMPLETIONS:
        return generation_completions;
    case API_TOKENIZE:
        return route_tokenize_encode;
    case API_DETOKENIZE:
        return route_tokenize_decode;
    case API_STATES:
        return route_states_list;
    case API_STATE_GET:
        return route_transfer_get;
    case API_STATE_PUT:
        return route_transfer_put;
    case API_STATE_DELETE:
        return route_states_delete;
    default:
        return route_status_steps;
    }
}

static void head(void *owner, const struct err *fault)
{
    struct conn *c = owner;
    struct err err;
    take_id(c);
    if (fault) {
        conn_refuse(c, fault);
        c->fault.code = ERR_ARGUMENT;
        fail_plain(c, &c->fault);
        return;
    }
    int rc = request_head_check(c, &err);
    if (rc == 0 && c->route.kind == ROUTE_API && c->route.api == API_STATE_PUT)
        rc = route_transfer_accept(c, &err);
    if (rc == 0) {
        c->step = steps_of(c);
        return;
    }
    conn_refuse(c, &err);
    if (c->call->expects_continue && c->call->has_body) {
        http_refuse_now(c->call); /* the client waits for leave to send: say no */
        conn_fail(c, &err);
    }
}

/* ---- the body and the steps ------------------------------------------------- */

static ssize_t discard(struct conn *c, size_t len)
{
    c->body_bytes += len;
    if (c->body_bytes - c->refused_at <= DISCARD_BYTES)
        return (ssize_t)len;
    if (!c->replied)
        conn_give_up(c, &c->fault);
    return -1;
}

static ssize_t upload(struct conn *c, const char *data, size_t len)
{
    struct err err;
    if (c->body_bytes + len > request_head_body_limit(c)) {
        request_head_too_large(c, &err);
        conn_refuse(c, &err);
        return discard(c, len);
    }
    ssize_t n = route_transfer_body(c, data, len);
    c->body_bytes += n > 0 ? (uint64_t)n : 0;
    return n;
}

static ssize_t body(void *owner, const char *data, size_t len)
{
    struct conn *c = owner;
    struct err err;
    if (c->refused || c->replied)
        return discard(c, len);
    if (c->transfer)
        return upload(c, data, len);
    c->body_bytes += len;
    if (c->body_bytes > request_head_body_limit(c)) {
        request_head_too_large(c, &err);
        conn_refuse(c, &err);
        return (ssize_t)len;
    }
    size_t cap = c->body.cap;
    buf_put(&c->body, data, len);
    if (hold(c, c->body.cap - cap, &err))
        conn_refuse(c, &err);
    return c->body.failed ? -1 : (ssize_t)len;
}

static void end(void *owner)
{
    struct conn *c = owner;
    c->whole = true;
    if (c->replied)
        return;
    if (c->refused)
        conn_fail(c, &c->fault);
    else
        conn_advance(c);
}

void conn_advance(struct conn *c)
{
    struct err err = {0};
    while (c->step && *c->step) {
        int rc = (*c->step)(c, &err);
        if (rc < 0) {
            c->step = NULL;
            conn_fail(c, &err);
            return;
        }
        c->step++;
        if (rc != CONN_NEXT)
            return;
    }
}

/* ---- tasks ---------------------------------------------------------------- */

struct conn *conn_of_task(struct task *w)
{
    return (struct conn *)(void *)((char *)w - offsetof(struct conn, task));
}

/* Goes on with the conn that holds the work, or lets go of it. */
static void task_done(struct task *w)
{
    struct conn *c = conn_of_task(w);
    if (!c->call || c->replied)
        conn_release(c);
    else
        conn_advance(c);
}

int conn_start_task(struct conn *c, task_fn *run, struct err *err)
{
    c->task.e = bridge_engine(c->server->model.bridge);
    c->task.done = task_done;
    int rc = task_start(&c->task, run, c->server->uv, err);
    return rc ? rc : CONN_WAIT;
}

int conn_task_failed(const struct conn *c, struct err *err)
{
    if (c->task.rc)
        *err = c->task.err;
    return c->task.rc;
}

/* ---- beginning and end ------------------------------------------------------ */

static void *begin(void *arg, struct http_call *call)
{
    struct server *server = arg;
    struct conn *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->server = server;
    c->call = call;
    c->began_ns = server_now();
    c->route.label = route_labels() - 1;
    draw_id(c);
    list_push(&server->conns, &c->at);
    return c;
}

static ssize_t read_stream(void *owner, char *to, size_t max)
{
    struct conn *c = owner;
    if (c->transfer)
        return route_transfer_read(c, to, max);
    ssize_t n = stream_read(&c->stream, to, max);
    if (n > 0)
        generation_balance(c, server_now());
    return n;
}

static void done(void *owner, bool sent)
{
    struct conn *c = owner;
    if (!c->replied && c->call->status) { /* the library has refused it by itself */
        c->replied = true;
        c->status = (int)c->call->status;
        metrics_http(&c->server->metrics, c->route.label, c->status);
    }
    c->call = NULL;
    c->sent = sent;
    task_cancel(&c->task);
    generation_cancel(c, FINISH_ABORT);
    conn_release(c);
}

static bool is_probe(const struct conn *c)
{
    return c->route.kind == ROUTE_API && c->route.open;
}

static double ms_between(uint64_t from, uint64_t to)
{
    return from && to > from ? (double)(to - from) / 1e6 : 0;
}

static void log_request(const struct conn *c)
{
    enum log_level level = is_probe(c) ? LOG_DEBUG : LOG_INFO;
    if (!log_enabled(level))
        return;
    struct buf id = {0}, tenant = {0};
    buf_json_string(&id, c->request_id, strlen(c->request_id));
    buf_json_string(&tenant, c->tenant, strlen(c->tenant));
    if (!id.failed && !tenant.failed)
        log_line(
            level, "request",
            "\"id\":%s,\"route\":\"%s\",\"status\":%d,\"sent\":%s,\"stream\":%s,"
            "\"tenant\":%s,\"bytes_in\":%llu,\"bytes_out\":%llu,\"prompt_tokens\":%llu,"
            "\"cached_tokens\":%llu,\"generated_tokens\":%llu,\"queue_ms\":%.3f,"
            "\"first_token_ms\":%.3f,"
            "\"total_ms\":%.3f",
            id.data, route_label(c->route.label), c->status, c->sent ? "true" : "false",
            c->stream.open ? "true" : "false", tenant.data,
            (unsigned long long)c->body_bytes,
            (unsigned long long)(c->answer_bytes + c->stream.sent_bytes),
            (unsigned long long)c->usage.prompt_tokens,
            (unsigned long long)c->usage.cached_tokens,
            (unsigned long long)c->usage.generated_tokens,
            ms_between(c->submit_ns, c->start_ns), ms_between(c->began_ns, c->first_ns),
            ms_between(c->began_ns, server_now()));
    buf_free(&id);
    buf_free(&tenant);
}

void conn_release(struct conn *c)
{
    if (c->call || c->task.active || generation_pending(c) || route_transfer_ending(c))
        return;
    if (!c->replied) {
        c->status = 499;
        metrics_http(&c->server->metrics, c->route.label, 499);
    }
    log_request(c);
    list_remove(&c->at);
    generation_free(c);
    stream_free(&c->stream);
    route_transfer_free(c);
    conn_drop_body(c);
    mem_free(c->path);
    mem_free(c);
}

const struct http_owner conn_owner = {.begin = begin,
                                      .head = head,
                                      .body = body,
                                      .end = end,
                                      .read = read_stream,
                                      .done = done};
