/* A chat request's way up to its prompt, which is the answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_template.h"

#include "api/chat_request.h"
#include "api/tokenize.h"
#include "engine/base/mem.h"
#include "server/routes/prompt_ids.h"
#include "server/routes/request_body.h"
#include "server/serve/reply.h"

static int accept_request(struct conn *c, struct err *err)
{
    int rc = served_template_check(&c->server->model.template, err);
    if (rc)
        return rc;
    c->priv = mem_zalloc(1, sizeof(struct chat_request));
    return c->priv ? 0 : err_set(err, ERR_MEMORY, "out of memory for a request");
}

static void free_request(struct conn *c)
{
    chat_request_free(c->priv);
    mem_free(c->priv);
}

static int parse(struct task *task) /* loop or worker */
{
    struct conn *c = conn_of_task(task);
    return chat_request_parse(c->priv, &c->server->model.limits, request_body_text(c),
                              c->body.len, &task->err);
}

static int render(struct task *task) /* worker */
{
    const struct conn *c = conn_of_task(task);
    const struct served_template *t = &c->server->model.template;
    struct chat_request *r = c->priv;
    struct prompt_ids ids = {0};
    struct chat_prompt p = {0};
    int rc = chat_template_render(t->chat, &r->chat, served_template_now(t), &r->arena,
                                  &p, &task->err);
    struct prompt prompt = {
        .text = p.text, .text_len = p.len, .marks = p.marks, .n_marks = p.n_marks};
    if (rc == 0)
        rc = prompt_ids_encode(&ids, task->e, &prompt, 0, 0, &task->err);
    if (rc == 0)
        tokenize_answer_prompt(p.text, p.len, ids.ids.data, ids.ids.n, &task->out);
    prompt_ids_free(&ids);
    return rc;
}

static int step_parse(struct conn *c, struct err *err)
{
    return request_body_parse(c, parse, err);
}

static int step_render(struct conn *c, struct err *err)
{
    const struct chat_request *r = c->priv;
    int rc = request_body_parsed(c, r->n_unknown_fields, r->arena.used_bytes, err);
    struct task_limit *limit = request_body_limit(c->server, r->arena.used_bytes);
    return rc ? rc : conn_start_task(c, limit, render, err);
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

const struct route_ops route_template = {
    .steps = (conn_step_fn *const[]){step_parse, step_render, step_answer, NULL},
    .body = BODY_JSON,
    .accept = accept_request,
    .free = free_request};
