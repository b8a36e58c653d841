/* A conversation's way up to its prompt. What the answer tells of it is the route's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_template.h"

#include "api/messages_response.h"
#include "api/tokenize.h"
#include "engine/base/mem.h"
#include "server/routes/prompt_ids.h"
#include "server/routes/request_body.h"
#include "server/serve/reply.h"

/* What a route reads, and tells of a prompt. */
struct kind {
    int (*parse)(struct messages_request *r, const struct api_limits *limits,
                 const char *body, size_t len, struct err *err);
    void (*tell)(const struct chat_prompt *p, const struct ids *ids, struct buf *out);
};

struct asked {
    const struct kind *kind;
    struct messages_request request; /* begins with that of a chat, which may be all */
};

static int accept_kind(struct conn *c, const struct kind *kind, struct err *err)
{
    int rc = served_template_check(&c->server->model.template, err);
    struct asked *a = rc ? NULL : mem_zalloc(1, sizeof *a);
    if (rc)
        return rc;
    if (!a)
        return err_set(err, ERR_MEMORY, "out of memory for a request");
    a->kind = kind;
    c->priv = a;
    return 0;
}

static void free_request(struct conn *c)
{
    struct asked *a = c->priv;
    messages_request_free(&a->request);
    mem_free(a);
}

static int parse(struct task *task) /* loop or worker */
{
    struct conn *c = conn_of_task(task);
    struct asked *a = c->priv;
    return a->kind->parse(&a->request, &c->server->model.limits, request_body_text(c),
                          c->body.len, &task->err);
}

static int render(struct task *task) /* worker */
{
    const struct conn *c = conn_of_task(task);
    const struct served_template *t = &c->server->model.template;
    struct asked *a = c->priv;
    struct chat_request *r = &a->request.chat;
    struct prompt_ids ids = {0};
    struct chat_prompt p = {0};
    int rc = chat_template_render(t->chat, &r->chat, served_template_now(t), &r->arena,
                                  &p, &task->err);
    struct prompt prompt = {
        .text = p.text, .text_len = p.len, .marks = p.marks, .n_marks = p.n_marks};
    if (rc == 0)
        rc = prompt_ids_encode(&ids, task->e, &prompt, 0, 0, &task->err);
    if (rc == 0)
        a->kind->tell(&p, &ids.ids, &task->out);
    prompt_ids_free(&ids);
    return rc;
}

static int step_parse(struct conn *c, struct err *err)
{
    return request_body_parse(c, parse, err);
}

static int step_render(struct conn *c, struct err *err)
{
    const struct asked *a = c->priv;
    const struct chat_request *r = &a->request.chat;
    int rc = request_body_parsed(c, r->n_unknown_fields, r->arena.used_bytes, err);
    struct task_limit *limit = request_body_render_limit(c->server, r->arena.used_bytes);
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

static conn_step_fn *const steps[] = {step_parse, step_render, step_answer, NULL};

/* ---- the routes --------------------------------------------------------------- */

static int parse_chat(struct messages_request *r, const struct api_limits *limits,
                      const char *body, size_t len, struct err *err)
{
    return chat_request_parse(&r->chat, limits, body, len, err);
}

static void tell_prompt(const struct chat_prompt *p, const struct ids *ids,
                        struct buf *out)
{
    tokenize_answer_prompt(p->text, p->len, ids->data, ids->n, out);
}

static void tell_count(const struct chat_prompt *p, const struct ids *ids,
                       struct buf *out)
{
    (void)p;
    messages_response_count(ids->n, out);
}

static int accept_chat(struct conn *c, struct err *err)
{
    static const struct kind kind = {parse_chat, tell_prompt};
    return accept_kind(c, &kind, err);
}

static int accept_count(struct conn *c, struct err *err)
{
    static const struct kind kind = {messages_request_parse_count, tell_count};
    return accept_kind(c, &kind, err);
}

const struct route_ops route_template = {
    .steps = steps, .body = BODY_JSON, .accept = accept_chat, .free = free_request};
const struct route_ops route_template_count = {.steps = steps,
                                               .body = BODY_JSON,
                                               .errors = PROBLEM_ANTHROPIC,
                                               .accept = accept_count,
                                               .free = free_request};
