/* The callbacks of http.c, the driver of steps, and the conn's life.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/conn.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "server/serve/access_log.h"
#include "server/serve/reply.h"
#include "server/serve/request_head.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ---- faults ----------------------------------------------------------------- */

void conn_log_fault(const struct conn *c, const struct err *err)
{
    struct buf id = {0}, text = {0};
    int status = problem_of(err->code)->status;
    if (status != 500 && status != 507)
        return;
    buf_json_string(&id, c->request_id, strlen(c->request_id));
    buf_json_string(&text, err->text, strlen(err->text));
    if (!id.failed && !text.failed)
        log_line(LOG_ERROR, "fault", "\"id\":%s,\"message\":%s", id.data, text.data);
    buf_free(&id);
    buf_free(&text);
}

void conn_fail(struct conn *c, const struct err *err)
{
    conn_log_fault(c, err);
    c->server->metrics.states_rejected += err->code == ERR_CONFLICT;
    if (!c->replied) {
        reply_error(c, err);
        return;
    }
    if (!c->stream.open || c->stream.ended)
        return;
    c->ops->fail(c, err);
    c->stream.ended = true;
    c->stream.last_ns = server_now();
    if (c->call)
        http_wake(c->call);
}

void conn_note_fault(struct conn *c, const struct err *err)
{
    if (!c->fault.code)
        c->fault = *err;
}

void conn_cancel(struct conn *c, enum finish_reason why)
{
    if (c->priv && c->ops->cancel)
        c->ops->cancel(c, why);
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

int conn_charge(struct conn *c, size_t bytes, struct err *err)
{
    struct budget *b = &c->server->budget;
    if (budget_take(b, bytes)) {
        c->charged += bytes;
        return 0;
    }
    c->server->metrics.rejected[REJECTED_MEMORY]++;
    if (bytes > b->limit || c->charged > b->limit - bytes)
        return err_set(
            err, ERR_TOO_LARGE,
            "the request holds %zu bytes before it is admitted, the limit is %zu",
            c->charged + bytes, b->limit);
    return err_set(err, ERR_BUSY, "too many requests are under way; retry later");
}

void conn_discharge(struct conn *c, size_t bytes)
{
    budget_give(&c->server->budget, bytes);
    c->server->trimmer.freed_bytes += bytes;
    c->charged -= bytes;
}

void conn_count_unread(struct conn *c, size_t bytes)
{
    budget_recount(&c->server->budget, &c->unread, bytes);
}

void conn_drop_body(struct conn *c)
{
    conn_discharge(c, c->body_charged);
    c->body_charged = 0;
    buf_free(&c->body);
}

/* Appends to the body, whose growth is charged. */
static int collect(struct conn *c, const char *data, size_t len, struct err *err)
{
    size_t cap = c->body.cap;
    buf_put(&c->body, data, len);
    if (c->body.failed)
        return err_set(err, ERR_MEMORY, "out of memory for a body");
    size_t more = c->body.cap - cap;
    int rc = conn_charge(c, more, err);
    c->body_charged += rc ? 0 : more;
    return rc;
}

static int check_head(struct conn *c, struct err *err)
{
    int rc = request_head_check(c, err);
    return rc == 0 && c->ops->accept ? c->ops->accept(c, err) : rc;
}

static void head(void *owner)
{
    struct conn *c = owner;
    struct err err;
    take_id(c);
    request_head_client(c);
    if (check_head(c, &err))
        conn_fail(c, &err);
    else
        c->step = c->ops->steps;
}

static void fault(void *owner, const struct err *err)
{
    struct conn *c = owner;
    conn_drop_body(c);
    conn_fail(c, err);
}

/* ---- the body and the steps ------------------------------------------------- */

bool conn_uploads(const struct conn *c)
{
    return c->ops->body == BODY_OBJECT && c->priv;
}

/* The body is not wanted: what it held is given back, and the rest is dropped. */
static ssize_t refuse(struct conn *c, size_t len, const struct err *err)
{
    conn_drop_body(c);
    conn_fail(c, err);
    return (ssize_t)len;
}

static ssize_t body(void *owner, const char *data, size_t len)
{
    struct conn *c = owner;
    struct err err;
    if (c->body_bytes + len > request_head_body_limit(c)) {
        request_head_too_large(c, &err);
        return refuse(c, len, &err);
    }
    ssize_t n = conn_uploads(c) ? c->ops->take(c, data, len) : (ssize_t)len;
    c->body_bytes += n > 0 ? (uint64_t)n : 0;
    if (c->ops->body == BODY_JSON && collect(c, data, len, &err))
        return refuse(c, len, &err);
    return n;
}

static void end(void *owner)
{
    struct conn *c = owner;
    c->whole = true;
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

struct conn *conn_of_task(struct task *task)
{
    return (struct conn *)(void *)((char *)task - offsetof(struct conn, task));
}

/* Resumes the conn, or frees it when nobody waits for its answer. */
static void task_done(struct task *task)
{
    struct conn *c = conn_of_task(task);
    if (!c->call || c->replied)
        conn_release(c);
    else
        conn_advance(c);
}

int conn_start_task(struct conn *c, struct task_limit *limit, task_fn *run,
                    struct err *err)
{
    c->task.limit = limit;
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
    static const struct route_ops none;
    struct server *server = arg;
    struct conn *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->server = server;
    c->call = call;
    c->ops = &none;
    c->tenant = &server->tenants.anyone;
    c->began_ns = call->began_ns;
    c->client = call->peer;
    c->connection = call->connection;
    c->route.label = route_labels() - 1;
    draw_id(c);
    list_push(&server->conns, &c->at);
    return c;
}

static ssize_t read_answer(void *owner, char *to, size_t max)
{
    struct conn *c = owner;
    return c->ops->read(c, to, max);
}

static void done(void *owner, bool sent)
{
    struct conn *c = owner;
    c->call = NULL;
    c->sent = sent;
    task_cancel(&c->task);
    conn_cancel(c, FINISH_ABORT);
    conn_release(c);
}

void conn_release(struct conn *c)
{
    if (c->call || c->task.active || c->pending)
        return;
    if (c->priv && c->ops->release && c->ops->release(c))
        return;
    if (!c->replied) {
        c->status = 499;
        metrics_http(&c->server->metrics, c->route.label, 499);
    }
    access_log_write(c);
    list_remove(&c->at);
    if (c->priv)
        c->ops->free(c);
    task_free(&c->task);
    stream_free(&c->stream);
    conn_drop_body(c);
    conn_discharge(c, c->charged);
    conn_count_unread(c, 0);
    mem_free(c->path);
    mem_free(c);
}

const struct http_owner conn_owner = {.begin = begin,
                                      .head = head,
                                      .fault = fault,
                                      .body = body,
                                      .end = end,
                                      .read = read_answer,
                                      .done = done};
