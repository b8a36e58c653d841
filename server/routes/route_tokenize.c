/* Each route is two steps around a task.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_tokenize.h"

#include "api/tokenize.h"
#include "engine/base/mem.h"
#include "server/serve/reply.h"

static int accept_request(struct conn *c, struct err *err)
{
    c->priv = mem_zalloc(1, sizeof(struct tokenize_request));
    return c->priv ? 0 : err_set(err, ERR_MEMORY, "out of memory for a request");
}

static void free_request(struct conn *c)
{
    tokenize_free(c->priv);
    mem_free(c->priv);
}

static const char *body_of(const struct conn *c)
{
    return c->body.data ? c->body.data : "";
}

static int encode(struct task *task) /* worker */
{
    const struct conn *c = conn_of_task(task);
    const struct api_limits *limits = &c->server->model.limits;
    struct tokenize_request *r = c->priv;
    struct ids ids = {0};
    int rc = tokenize_parse(r, limits, body_of(c), c->body.len, &task->err);
    if (!rc)
        rc = engine_encode(task->e, r->prompt.text, r->prompt.text_len,
                           ENCODE_SPECIAL | (r->add_special_tokens ? ENCODE_BOS : 0),
                           &ids, &task->err);
    if (!rc)
        tokenize_answer(limits, ids.data, ids.n, &task->out);
    ids_free(&ids);
    return rc;
}

static int decode(struct task *task) /* worker */
{
    const struct conn *c = conn_of_task(task);
    struct tokenize_request *r = c->priv;
    struct buf text = {0};
    int rc = tokenize_parse_ids(r, &c->server->model.limits, body_of(c), c->body.len,
                                &task->err);
    if (!rc)
        rc = engine_decode(task->e, r->prompt.ids, r->prompt.n_ids, false, &text,
                           &task->err);
    if (!rc)
        tokenize_answer_text(text.data ? text.data : "", text.len, &task->out);
    buf_free(&text);
    return rc;
}

static int step_encode(struct conn *c, struct err *err)
{
    return conn_start_task(c, encode, err);
}

static int step_decode(struct conn *c, struct err *err)
{
    return conn_start_task(c, decode, err);
}

static int step_answer(struct conn *c, struct err *err)
{
    const struct tokenize_request *r = c->priv;
    conn_drop_body(c);
    int rc = conn_task_failed(c, err);
    if (rc)
        return rc;
    c->server->metrics.unknown_fields += r->n_unknown_fields;
    reply_json(c, &c->task.out);
    return CONN_DONE;
}

const struct route_ops route_tokenize_encode = {
    .steps = (conn_step_fn *const[]){step_encode, step_answer, NULL},
    .body = BODY_JSON,
    .accept = accept_request,
    .free = free_request};
const struct route_ops route_tokenize_decode = {
    .steps = (conn_step_fn *const[]){step_decode, step_answer, NULL},
    .body = BODY_JSON,
    .accept = accept_request,
    .free = free_request};
