/* Health, metrics, OPTIONS: one step each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_status.h"

#include "server/serve/reply.h"

static const uint64_t PROCESS_NS = 1000000000u;

static int answer(struct conn *c, struct buf *body, const char *type)
{
    struct http_reply r = {.status = 200, .body = *body};
    http_field(&r, "Content-Type", type);
    http_field(&r, "Cache-Control", "no-store");
    reply_send(c, &r);
    return CONN_DONE;
}

static int step_live(struct conn *c, struct err *err)
{
    struct buf out = {0};
    (void)err;
    buf_puts(&out, "{\"status\":\"live\"}\n");
    return answer(c, &out, "application/json");
}

static int step_ready(struct conn *c, struct err *err)
{
    struct buf out = {0};
    int rc = server_ready(c->server, err);
    if (rc)
        return rc;
    buf_puts(&out, "{\"status\":\"ready\"}\n");
    return answer(c, &out, "application/json");
}

static uint64_t unread_bytes(const struct server *server)
{
    uint64_t sum = 0;
    for (const struct list *n = server->conns.next; n != &server->conns; n = n->next)
        sum += stream_pending(&LIST_OF(n, struct conn, at)->stream);
    return sum;
}

/* What is kept for a tree is used while one is built. */
static uint64_t request_bytes(const struct server *server)
{
    return server->budget.used +
           (server->large_limit.running ? server->memory.tree_bytes : 0);
}

static int step_metrics(struct conn *c, struct err *err)
{
    struct server *server = c->server;
    (void)err;
    struct metrics_now now = {
        .running = server->model.admit.running,
        .waiting = server->model.admit.waiting,
        .http = http_counts(server->http),
        .ready = server_ready(server, NULL) == 0,
        .draining = server->phase >= SERVER_GRACE,
        .vllm_names = server->cfg->metrics_alias == CONFIG_ALIAS_VLLM,
        .stream_buffer_bytes = unread_bytes(server),
        .request_bytes_used = request_bytes(server),
        .request_bytes_limit = server->memory.limit_bytes,
        .served_name = server->model.limits.served_name,
        .info = bridge_engine(server->model.bridge)
                    ? engine_info(bridge_engine(server->model.bridge))
                    : NULL};
    bridge_stats(server->model.bridge, &now.stats);
    if (server->storage) {
        now.states = object_store_sums(server->storage);
        now.states_limit = server->cfg->state_total_bytes;
    }
    if (server_now() - server->process_ns > PROCESS_NS) {
        /* Counting ten thousand descriptors takes milliseconds. */
        process_stats(&server->process);
        server->process_ns = server_now();
    }
    now.process = server->process;
    struct buf out = {0};
    metrics_page(&server->metrics, &now, &out);
    return answer(c, &out, "text/plain; version=0.0.4; charset=utf-8");
}

static int step_options(struct conn *c, struct err *err)
{
    (void)err;
    struct buf allow = {0};
    route_allow(&c->route, &allow);
    struct http_reply r = {.status = 204};
    if (allow.len)
        http_field(&r, "Allow", allow.data);
    reply_send(c, &r);
    buf_free(&allow);
    return CONN_DONE;
}

const struct route_ops route_status_live = {.steps =
                                                (conn_step_fn *const[]){step_live, NULL}};
const struct route_ops route_status_ready = {
    .steps = (conn_step_fn *const[]){step_ready, NULL}};
const struct route_ops route_status_metrics = {
    .steps = (conn_step_fn *const[]){step_metrics, NULL}};
const struct route_ops route_status_options = {
    .steps = (conn_step_fn *const[]){step_options, NULL}};
