/* Where a body is parsed, and what it leaves behind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/request_body.h"

struct task_limit *request_body_limit(struct server *server, size_t bytes)
{
    return bytes > REQUEST_BODY_HERE_BYTES ? &server->large_limit : NULL;
}

struct task_limit *request_body_render_limit(struct server *server, size_t bytes)
{
    struct task_limit *limit = request_body_limit(server, bytes);
    return limit ? limit : &server->render_limit;
}

const char *request_body_text(const struct conn *c)
{
    return c->body.data ? c->body.data : "";
}

int request_body_parse(struct conn *c, task_fn *run, struct err *err)
{
    struct task_limit *limit = request_body_limit(c->server, c->body.len);
    if (limit)
        return conn_start_task(c, limit, run, err);
    c->task.rc = run(&c->task);
    return CONN_NEXT;
}

int request_body_parsed(struct conn *c, size_t n_unknown, size_t bytes, struct err *err)
{
    conn_drop_body(c);
    int rc = conn_task_failed(c, err);
    if (rc)
        return rc;
    c->server->metrics.unknown_fields += n_unknown;
    return conn_charge(c, bytes, err);
}
