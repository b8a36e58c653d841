/* One step: picks what the route says and writes it. */
#include "server/routes/route_status.h"

#include "api/models.h"
#include "server/routes/route_webpage.h"

#include <stdio.h>
#include <string.h>

static const uint64_t PROCESS_NS = 1000000000u;

static int answer_models(struct conn *c, struct err *err)
{
    struct buf out = {0};
    int rc = 0;
    if (c->route.api == API_MODELS)
        models_list(&c->server->model.limits, c->server->model.created, &out);
    else
        rc = models_one(&c->server->model.limits, c->server->model.created, c->route.arg,
                        c->route.arg_len, &out, err);
    if (rc)
        buf_free(&out);
    else
        conn_answer(c, &out);
    return rc ? rc : CONN_DONE;
}

static int answer_text(struct conn *c, struct buf *body, const char *type)
{
    struct http_reply r = {.status = 200, .body = *body};
    http_field(&r, "Content-Type", type);
    http_field(&r, "Cache-Control", "no-store");
    conn_reply(c, &r);
    return CONN_DONE;
}

static int answer_health(struct conn *c, struct err *err)
{
    if (c->route.api == API_READYZ) {
        int rc = server_ready(c->server, err);
        if (rc)
            return rc;
    }
    struct buf out = {0};
    buf_puts(&out, c->route.api == API_READYZ ? "{\"status\":\"ready\"}\n"
                                              : "{\"status\":\"live\"}\n");
    return answer_text(c, &out, "application/json");
}

static uint64_t unread_bytes(const struct server *server)
{
    uint64_t sum = 0;
    for (const struct list *n = server->conns.next; n != &server->conns; n = n->next)
        sum += stream_pending(&LIST_OF(n, struct conn, at)->stream);
    return sum;
}

static int answer_metrics(struct conn *c)
{
    struct server *server = c->server;
    struct metrics_now now = {
        .running = server->model.admit.running,
        .waiting = server->model.admit.waiting,
        .connections = http_connections(server->http),
        .ready = server_ready(server, NULL) == 0,
        .draining = server->phase >= SERVER_GRACE,
        .vllm_names = server->cfg->metrics_alias == CONFIG_ALIAS_VLLM,
        .stream_buffer_bytes = unread_bytes(server),
        .served_name = server->cfg->served_name,
        .info = bridge_engine(server->model.bridge)
                    ? engine_info(bridge_engine(server->model.bridge))
                    : NULL};
    bridge_stats(server->model.bridge, &now.stats);
    if (server_now() - server->process_ns > PROCESS_NS) {
        process_stats(
            &server->process); /* counting ten thousand descriptors takes milliseconds */
        server->process_ns = server_now();
    }
    now.process = server->process;
    struct buf out = {0};
    metrics_page(&server->metrics, &now, &out);
    return answer_text(c, &out, "text/plain; version=0.0.4; charset=utf-8");
}

static int answer_options(struct conn *c)
{
    struct buf allow = {0};
    route_allow(&c->route, &allow);
    struct http_reply r = {.status = 204};
    if (allow.len)
        http_field(&r, "Allow", allow.data);
    conn_reply(c, &r);
    buf_free(&allow);
    return CONN_DONE;
}

static int step_answer(struct conn *c, struct err *err)
{
    if (c->route.kind == ROUTE_OPTIONS)
        return answer_options(c);
    if (c->route.kind == ROUTE_PAGE)
        return route_webpage_answer(c);
    switch (c->route.api) {
    case API_MODELS:
    case API_MODEL:
        return answer_models(c, err);
    case API_LIVEZ:
    case API_READYZ:
        return answer_health(c, err);
    case API_METRICS:
        return answer_metrics(c);
    default:
        return err_set(err, ERR_NOT_FOUND, "there is no such route");
    }
}

conn_step_fn *const route_status_steps[] = {step_answer, NULL};
