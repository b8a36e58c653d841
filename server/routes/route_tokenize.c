/* Each route is two steps around a worker, which does all of it: it parses the body, asks
 * the engine and writes the answer, so that four megabytes cost the loop nothing. */
#include "server/routes/route_tokenize.h"

#include "server/routes/generation.h"

static int tokenize(struct task *w) /* worker */
{
    struct conn *c = conn_of_task(w);
    int rc = tokenize_parse(&c->text, &c->server->model.limits,
                            c->body.data ? c->body.data : "", c->body.len, &w->err);
    if (!rc)
        rc = task_alloc(w, 1, &w->err);
    if (rc)
        return rc;
    w->items[0].text = c->text.prompt.text;
    w->items[0].len = c->text.prompt.text_len;
    w->flags = ENCODE_SPECIAL | (c->text.add_special_tokens ? ENCODE_BOS : 0);
    rc = task_encode(w);
    if (!rc)
        tokenize_answer(&c->server->model.limits, w->items[0].ids.data, w->items[0].ids.n,
                        &w->out);
    return rc;
}

static int detokenize(struct task *w) /* worker */
{
    struct conn *c = conn_of_task(w);
    struct buf text = {0};
    int rc = tokenize_parse_ids(&c->text, &c->server->model.limits,
                                c->body.data ? c->body.data : "", c->body.len, &w->err);
    if (!rc)
        rc = engine_decode(w->e, c->text.prompt.ids, c->text.prompt.n_ids, false, &text,
                           &w->err);
    if (!rc)
        tokenize_answer_text(text.data ? text.data : "", text.len, &w->out);
    buf_free(&text);
    return rc;
}

static int step_tokenize(struct conn *c, struct err *err)
{
    return conn_start_task(c, tokenize, err);
}

static int step_detokenize(struct conn *c, struct err *err)
{
    return conn_start_task(c, detokenize, err);
}

static int step_answer(struct conn *c, struct err *err)
{
    conn_drop_body(c);
    int rc = conn_task_failed(c, err);
    if (rc)
        return rc;
    c->server->metrics.unknown_fields += c->text.n_unknown_fields;
    conn_answer(c, &c->task.out);
    return CONN_DONE;
}

conn_step_fn *const route_tokenize_encode[] = {step_tokenize, step_answer, NULL};
conn_step_fn *const route_tokenize_decode[] = {step_detokenize, step_answer, NULL};
