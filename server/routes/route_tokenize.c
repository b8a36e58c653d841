/* Each route parses its body, has a worker translate it, and answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_tokenize.h"

#include "api/tokenize.h"
#include "engine/base/mem.h"
#include "server/routes/request_body.h"
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

static int parse_text(struct task *task) /* loop or worker */
{
    struct conn *c = conn_of_task(task);
    return tokenize_parse(c->priv, &c->server->model.limits, request_body_text(c),
                          c->body.len, &task->err);
}

static int parse_ids(struct task *task) /* loop or worker */
{
    struct conn *c = conn_of_task(task);
    return tokenize_parse_ids(c->priv, &c->server->model.limits, request_body_text(c),
                              c->body.len, &task->err);
}

static int step_parse_text(struct conn *c, struct err *err)
{
    return request_body_parse(c, parse_text, err);
}

static int step_parse_ids(struct conn *c, struct err *err)
{
    return request_body_parse(c, parse_ids, err);
}

static int encode(struct task *task) /* worker */
{
    const struct conn *c = conn_of_task(task);
    const struct tokenize_request *r = c->priv;
    struct ids ids = {0};
    struct engine_text text = {.text = r->prompt.text, .len = r->prompt.text_len};
    int rc = engine_encode(task->e, &text,
                           ENCODE_SPECIAL | (r->add_special_tokens ? ENCODE_BOS : 0),
                           &ids, &task->err);
    if (!rc)
        tokenize_answer(&c->server->model.limits, ids.data, ids.n, &task->out);
    ids_free(&ids);
    return rc;
}

static int decode(struct task *task) /* worker */
{
    const struct tokenize_request *r = conn_of_task(task)->priv;
    struct buf text = {0};
    int rc =
        engine_decode(task->e, r->prompt.ids, r->prompt.n_ids, false, &text, &task->err);
    if (!rc)
        tokenize_answer_text(text.data ? text.data : "", text.len, &task->out);
    buf_free(&text);
    return rc;
}

/* The body is parsed: has a worker run what the route is for. */
static int translate(struct conn *c, task_fn *run, struct err *err)
{
    const struct tokenize_request *r = c->priv;
    int rc = request_body_parsed(c, r->n_unknown_fields, r->arena.used_bytes, err);
    struct task_limit *limit = request_body_limit(c->server, r->arena.used_bytes);
    return rc ? rc : conn_start_task(c, limit, run, err);
}

static int step_encode(struct conn *c, struct err *err)
{
    return translate(c, encode, err);
}

static int step_decode(struct conn *c, struct err *err)
{
    return translate(c, decode, err);
}

static int step_answer(struct conn *c, struct err *err)
{
    int rc = conn_task_failed(c, err);
    if (!rc)
        rc = conn_charge(c, c->task.out.cap, err);
    if (rc)
        return rc;
    reply_json(c, &c->task.out);
    return CONN_DONE;
}

const struct route_ops route_tokenize_encode = {
    .steps = (conn_step_fn *const[]){step_parse_text, step_encode, step_answer, NULL},
    .body = BODY_JSON,
    .accept = accept_request,
    .free = free_request};
const struct route_ops route_tokenize_decode = {
    .steps = (conn_step_fn *const[]){step_parse_ids, step_decode, step_answer, NULL},
    .body = BODY_JSON,
    .accept = accept_request,
    .free = free_request};
