/* The fields of every answer, and errors as bodies.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/reply.h"

#include "engine/base/hash.h"

#include <stdio.h>
#include <string.h>

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
               "X-Request-Id, Request-Id, X-SSMD-State, Retry-After");
    if (c->route.kind != ROUTE_OPTIONS)
        return;
    http_field(r, "Access-Control-Allow-Methods",
               "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    http_field(r, "Access-Control-Allow-Headers",
               "Authorization, X-Api-Key, Content-Type, X-Request-Id, *");
    http_field(r, "Access-Control-Max-Age", "600");
}

void reply_send(struct conn *c, struct http_reply *r)
{
    c->replied = true;
    c->status = r->status;
    c->answered_ns = server_now();
    c->answer_bytes = r->body.len;
    metrics_http(&c->server->metrics, c->route.label, r->status);
    if (!c->call) {
        buf_free(&r->body);
        return;
    }
    http_field(r, "X-Request-Id", c->request_id);
    if (problem_id_field(c->ops->errors))
        http_field(r, problem_id_field(c->ops->errors), c->request_id);
    add_cors(c, r);
    conn_count_unread(c, r->body.cap);
    r->close = r->close || c->server->phase >= SERVER_GRACE;
    http_reply(c->call, r);
}

void reply_json(struct conn *c, struct buf *body)
{
    struct http_reply r = {.status = 200, .body = *body};
    *body = (struct buf){0};
    http_field(&r, "Content-Type", "application/json");
    reply_send(c, &r);
}

void reply_stream(struct conn *c, struct http_reply *r)
{
    r->stream = true;
    http_field(r, "Content-Type", "text/event-stream; charset=utf-8");
    http_field(r, "Cache-Control", "no-cache");
    http_field(r, "X-Accel-Buffering", "no");
    c->stream.open = true;
    c->stream.last_ns = server_now();
    reply_send(c, r);
}

/* An error's answer with the values its fields borrow. */
struct refusal {
    struct http_reply reply;
    char retry[16];
    struct buf allow; /* owns */
};

/* Requests that are refused together do not all come back together. */
static int retry_after(const struct conn *c, int status)
{
    uint64_t x = hash_bytes(c->request_id, strlen(c->request_id));
    if (status == 503)
        return 1;
    if (c->retry_after_s)
        return c->retry_after_s;
    return admit_retry_after(&c->server->model.admit, (double)(x >> 11) * 0x1p-53);
}

static void put_refusal(struct conn *c, const struct err *err, struct refusal *f)
{
    const struct problem *p = problem_of(err->code);
    *f = (struct refusal){.reply.status = p->status};
    problem_body_as(c->ops->errors, err, c->request_id, &f->reply.body);
    http_field(&f->reply, "Content-Type", "application/json");
    if (p->retry_after) {
        snprintf(f->retry, sizeof f->retry, "%d", retry_after(c, p->status));
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

void reply_error(struct conn *c, const struct err *err)
{
    struct refusal f;
    put_refusal(c, err, &f);
    f.reply.close = problem_of(err->code)->close;
    reply_send(c, &f.reply);
    buf_free(&f.allow);
}
