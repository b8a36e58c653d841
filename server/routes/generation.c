/* The steps from a body to the engine's queue, and the events on their way to an answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/generation.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "server/routes/generation_metrics.h"
#include "server/routes/request_body.h"
#include "server/serve/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int check_rate(struct conn *c, struct err *err)
{
    int rc = tenant_check_rate(c->tenant, server_now(), &c->retry_after_s, err);
    c->server->metrics.rejected[REJECTED_RATE] += rc != 0;
    return rc;
}

int generation_new(struct conn *c, size_t bytes, const struct generation_codec *codec,
                   struct err *err)
{
    int rc = check_rate(c, err); /* before the body is read and parsed */
    struct generation *g = rc ? NULL : mem_zalloc(1, bytes);
    if (rc)
        return rc;
    if (!g)
        return err_set(err, ERR_MEMORY, "out of memory for a request");
    g->codec = codec;
    c->priv = g;
    return 0;
}

void generation_free(struct conn *c)
{
    struct generation *g = c->priv;
    c->tenant->admitted -= g->admitted;
    for (; g->admitted > 0; g->admitted--)
        admit_drop(&c->server->model.admit);
    generation_state_free(c);
    for (size_t i = 0; g->prompts && i < g->n_jobs; i++)
        prompt_ids_free(&g->prompts[i]);
    mem_free(g->prompts);
    mem_free(g->jobs);
    mem_free(g->choices);
}

/* ---- bytes -> jobs ---------------------------------------------------------- */

static int parse(struct task *task) /* loop or worker */
{
    struct conn *c = conn_of_task(task);
    struct generation *g = c->priv;
    return g->codec->parse(g, &c->server->model.limits, request_body_text(c), c->body.len,
                           &task->err);
}

static int note_full(struct conn *c, int rc)
{
    c->server->metrics.rejected[REJECTED_QUEUE_FULL] += rc != 0;
    return rc;
}

/* While the queue is full no body is worth parsing. */
static int step_parse(struct conn *c, struct err *err)
{
    int rc = note_full(c, admit_check(&c->server->model.admit, 1, err));
    return rc ? rc : request_body_parse(c, parse, err);
}

static int step_parsed(struct conn *c, struct err *err)
{
    struct generation *g = c->priv;
    int rc = request_body_parsed(c, g->request.n_unknown_fields, g->request.bytes, err);
    if (rc)
        return rc;
    g->n_jobs = g->request.prompts->n;
    c->cache_key = g->request.prompt_cache_key;
    return CONN_NEXT;
}

/* The rate again: heads may come while there is no debt, and their bodies later. */
static int check_tenant(struct conn *c, int n_jobs, struct err *err)
{
    int rc = check_rate(c, err);
    if (rc)
        return rc;
    rc = tenant_check_running(c->tenant, n_jobs, err);
    c->server->metrics.rejected[REJECTED_RUNNING] += rc == -ERR_BUSY;
    return rc;
}

static int step_admit(struct conn *c, struct err *err)
{
    struct generation *g = c->priv;
    int n = (int)g->n_jobs, rc = check_tenant(c, n, err);
    if (rc)
        return rc;
    rc = note_full(c, admit_take(&c->server->model.admit, n, err));
    if (rc)
        return rc;
    g->admitted = n;
    c->tenant->admitted += n;
    return CONN_NEXT;
}

static int render(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct generation *g = c->priv;
    uint64_t began = server_now();
    int rc = g->codec->render ? g->codec->render(g, c->server, &task->err) : 0;
    g->render_ns = g->codec->render ? server_now() - began : 0;
    return rc;
}

static int encode(struct task *task) /* worker */
{
    const struct generation *g = conn_of_task(task)->priv;
    int rc = render(task);
    for (size_t i = 0; i < g->n_jobs && !rc; i++) {
        const struct prompt *p = &g->request.prompts->list[i];
        if (p->text)
            rc = prompt_ids_encode(&g->prompts[i], task->e, p, 0, g->request.encode,
                                   &task->err);
    }
    return rc;
}

static int find_state(struct task *task) /* worker */
{
    int rc = render(task);
    return rc ? rc : generation_state_find(task);
}

static int step_encode(struct conn *c, struct err *err)
{
    struct generation *g = c->priv;
    size_t text_bytes = 0;
    bool texts = g->codec->render != NULL;
    g->prompts = mem_zalloc(g->n_jobs, sizeof *g->prompts);
    if (!g->prompts)
        return err_set(err, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < g->n_jobs; i++) {
        texts = texts || g->request.prompts->list[i].text;
        text_bytes += g->request.prompts->list[i].text_len;
    }
    if (g->codec->render)
        text_bytes = g->request.bytes;
    struct task_limit *limit = request_body_limit(c->server, text_bytes);
    if (g->request.state.load) /* tokenises, too, once it has found the state */
        return conn_start_task(c, limit ? limit : &c->server->disk_limit, find_state,
                               err);
    if (g->codec->render)
        limit = request_body_render_limit(c->server, text_bytes);
    return texts ? conn_start_task(c, limit, encode, err) : CONN_NEXT;
}

/* The numbers of the client's address and connection mean no more than that others have
 * others. A priority is no better than the key may ask for: 0 without keys. */
static struct engine_request request_of(const struct conn *c, size_t i)
{
    const struct generation *g = c->priv;
    const struct keys_limits *limits = &c->tenant->limits;
    const struct breakpoints *asked = &g->request.breakpoints;
    struct engine_request r = {.id = g->jobs[i].id,
                               .ids = g->jobs[i].ids,
                               .n_ids = g->jobs[i].n_ids,
                               .tenant = c->tenant->name,
                               .cache_salt = g->request.cache_salt,
                               .client = hash_bytes(&c->client, sizeof c->client),
                               .connection = c->connection,
                               .share = limits->share,
                               .checkpoint_bytes = limits->checkpoint_bytes,
                               .gen = *g->request.gen};
    if (r.gen.priority < limits->priority)
        r.gen.priority = limits->priority;
    r.gen.first_choice = (int)i * r.gen.n;
    r.turns = asked->n ? asked->depths : g->prompts[i].depths;
    r.n_turns = asked->n ? asked->n : g->prompts[i].n_depths;
    generation_state_ask(c, &r);
    return r;
}

static bool fits(const struct conn *c, struct engine_request r, int max_tokens)
{
    r.gen.max_tokens = max_tokens;
    return engine_check(bridge_engine(c->server->model.bridge), &r, NULL) == 0;
}

/* The longest answer up to default_max_tokens that the context and the whole memory plan
 * hold beside the prompt; at least 1, which engine_check may refuse. */
static void choose_length(struct conn *c, size_t i)
{
    struct gen_params *gen = ((struct generation *)c->priv)->request.gen;
    int64_t budget = c->server->model.limits.max_answer_tokens / gen->n;
    int most = c->server->cfg->default_max_tokens;
    struct engine_request r = request_of(c, i);
    most = budget < most ? (int)budget : most;
    int good = fits(c, r, most) ? most : 1, bad = most;
    while (bad - good > 1) {
        int middle = good + (bad - good) / 2;
        if (fits(c, r, middle))
            good = middle;
        else
            bad = middle;
    }
    gen->max_tokens = good;
}

/* Of a length that was chosen here; a given one is checked with its request. */
static int check_least(const struct gen_params *gen, struct err *err)
{
    if (gen->min_tokens <= gen->max_tokens)
        return 0;
    return err_param(err, ERR_ARGUMENT, "min_tokens",
                     "`min_tokens` (%d) exceeds the longest answer here (%d)",
                     gen->min_tokens, gen->max_tokens);
}

static int check_job(struct conn *c, size_t i, struct err *err)
{
    struct generation *g = c->priv;
    const struct prompt *p = &g->request.prompts->list[i];
    const struct ids *ids = &g->prompts[i].ids;
    g->jobs[i] = (struct job){.conn = c,
                              .ids = ids->n ? ids->data : p->ids,
                              .n_ids = ids->n ? ids->n : p->n_ids,
                              .choices_left = g->request.gen->n};
    if (g->jobs[i].n_ids == 0)
        return err_param(err, ERR_ARGUMENT, g->request.field, "prompt %zu has no tokens",
                         i);
    int rc = breakpoints_check(&g->request.breakpoints, g->jobs[i].n_ids, err);
    if (rc)
        return rc;
    bool chosen = g->request.gen->max_tokens < 0;
    if (chosen)
        choose_length(c, i);
    g->jobs[i].asks = (struct admit_job){(int)g->jobs[i].n_ids, g->request.gen->n,
                                         g->request.gen->max_tokens};
    struct engine_request r = request_of(c, i);
    rc = engine_check(bridge_engine(c->server->model.bridge), &r, err);
    if (rc && strcmp(err->param, "prompt") == 0)
        snprintf(err->param, sizeof err->param, "%s", g->request.field);
    return rc || !chosen ? rc : check_least(g->request.gen, err);
}

static int charge_prompts(struct conn *c, struct err *err)
{
    const struct generation *g = c->priv;
    size_t bytes = 0;
    for (size_t i = 0; i < g->n_jobs; i++)
        bytes += g->prompts[i].ids.cap * sizeof *g->prompts[i].ids.data +
                 g->prompts[i].n_depths * sizeof *g->prompts[i].depths;
    bytes += g->rendered_bytes;
    return conn_charge(c, bytes, err);
}

static int step_check(struct conn *c, struct err *err)
{
    struct generation *g = c->priv;
    int rc = conn_task_failed(c, err);
    metrics_disk(&c->server->metrics, DISK_READ, rc); /* of generation_state_find */
    if (g->render_ns)
        metrics_time(&c->server->metrics, TIMING_TEMPLATE, (double)g->render_ns / 1e9);
    if (!rc)
        rc = charge_prompts(c, err);
    if (rc)
        return rc;
    g->jobs = mem_zalloc(g->n_jobs, sizeof *g->jobs);
    g->choices = mem_zalloc(g->n_jobs * (size_t)g->request.gen->n, sizeof *g->choices);
    if (!g->jobs || !g->choices)
        return err_set(err, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < g->n_jobs && !rc; i++)
        rc = check_job(c, i, err);
    return rc;
}

/* A persisted prefix is opened by a task. */
static int step_recall(struct conn *c, struct err *err)
{
    if (!generation_state_recall(c))
        return CONN_NEXT;
    int rc = conn_start_task(c, &c->server->disk_limit, generation_state_reopen, err);
    if (rc < 0) /* without a worker the prompt is computed */
        c->task.rc = rc;
    return rc < 0 ? CONN_NEXT : rc;
}

static int step_recalled(struct conn *c, struct err *err)
{
    (void)err;
    generation_state_recalled(c);
    return CONN_NEXT;
}

static int step_open(struct conn *c, struct err *err)
{
    struct generation *g = c->priv;
    uint64_t x;
    if (getrandom(&x, sizeof x, 0) != (ssize_t)sizeof x)
        return err_set(err, ERR_INTERNAL, "no random numbers");
    if (!g->request.has_seed)
        g->request.gen->seed = x >> 11;
    int rc = g->codec->open(g, c->server, err);
    return rc ? rc : generation_state_prepare(c, err);
}

static int step_submit(struct conn *c, struct err *err)
{
    struct generation *g = c->priv;
    struct server *server = c->server;
    struct bridge_stats now;
    g->submit_ns = server_now();
    for (size_t i = 0; i < g->n_jobs; i++) {
        struct job *j = &g->jobs[i];
        int rc = job_add(&server->jobs, j, err);
        struct engine_request r = request_of(c, i);
        if (!rc)
            rc = bridge_submit(server->model.bridge, &r, err);
        if (rc) {
            job_remove(&server->jobs, j);
            generation_cancel(c, FINISH_ABORT);
            return rc;
        }
        admit_queue(&server->model.admit, &j->asks);
        g->n_submitted++;
        c->pending++;
        g->admitted--;
    }
    bridge_stats(server->model.bridge, &now);
    g->submit_steps = now.engine.steps; /* those that may have begun before the request */
    return CONN_WAIT;
}

conn_step_fn *const generation_steps[] = {
    step_parse,  step_parsed,   step_admit, step_encode, step_check,
    step_recall, step_recalled, step_open,  step_submit, NULL};

/* ---- the end of an answer --------------------------------------------------- */

/* The answer as a whole: the first fault, else how its choices ended. */
static int verdict(const struct conn *c, struct err *err)
{
    const struct generation *g = c->priv;
    if (c->fault.code) {
        *err = c->fault;
        return -(int)err->code;
    }
    if (!g->failed)
        return 0;
    if (g->why == FINISH_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "the request did not finish within %g seconds",
                       c->server->cfg->request_timeout_s);
    return err_set(err, ERR_INTERNAL, "the engine could not finish the request");
}

/* A stream's head is sent when its first prompt starts, and says what that one reused. */
static void put_hit(const struct generation *g, struct http_reply *r, char text[96])
{
    snprintf(text, 96, "hit=%" PRIu64 "; depth=%" PRIu64 "; bytes=%" PRIu64,
             g->hit.tokens, g->hit.depth, g->hit.bytes);
    http_field(r, "X-SSMD-State", text);
}

static void open_stream(struct conn *c)
{
    struct http_reply r = {.status = 200};
    char hit[96];
    put_hit(c->priv, &r, hit);
    reply_stream(c, &r);
}

static void answer(struct conn *c)
{
    struct generation *g = c->priv;
    struct http_reply r = {.status = 200};
    char hit[96];
    g->codec->close(g, &r.body);
    http_field(&r, "Content-Type", "application/json");
    put_hit(g, &r, hit);
    reply_send(c, &r);
}

static void finish(struct conn *c);

static void saved(struct task *task)
{
    struct conn *c = conn_of_task(task);
    generation_state_saved(c);
    finish(c);
}

static void finish(struct conn *c)
{
    struct generation *g = c->priv;
    struct err err;
    if (generation_state_save(c, saved))
        return;
    if (g->codec->count)
        g->codec->count(g, &c->server->metrics);
    g->states = generation_state_result(g);
    metrics_time(&c->server->metrics, TIMING_REQUEST,
                 (double)(server_now() - c->began_ns) / 1e9);
    if (!c->call) {
        conn_release(c);
    } else if (verdict(c, &err)) {
        conn_fail(c, &err);
    } else if (c->stream.open && !c->stream.ended) {
        g->codec->close(g, &c->stream.out);
        c->stream.ended = true;
        c->stream.last_ns = server_now();
        http_wake(c->call);
    } else if (!c->replied) {
        answer(c);
    }
}

static void end_job(struct conn *c, struct job *j)
{
    const struct generation *g = c->priv;
    struct admit *admit = &c->server->model.admit;
    if (j->started)
        admit_end(admit, &j->asks, j->n_generated);
    else
        admit_leave(admit, &j->asks);
    c->tenant->admitted--;
    job_remove(&c->server->jobs, j);
    c->pending--;
    if (c->pending == 0 && g->n_submitted == g->n_jobs)
        finish(c);
    else
        conn_release(c);
}

/* ---- events ----------------------------------------------------------------- */

void generation_refused(struct conn *c, struct job *j, const struct err *err)
{
    conn_note_fault(c, err);
    generation_cancel(c, FINISH_ABORT);
    end_job(c, j);
}

/* The request has given way to another: the queue is full for it. */
static void on_busy(struct conn *c, struct job *j)
{
    struct err err;
    err_set(&err, ERR_BUSY, "the queue is full; retry later");
    c->server->metrics.rejected[REJECTED_QUEUE_FULL] += !c->fault.code;
    generation_refused(c, j, &err);
}

static void on_start(struct conn *c, struct job *j, const struct event *ev)
{
    struct generation *g = c->priv;
    j->started = true;
    admit_start(&c->server->model.admit, &j->asks, ev->n_cached);
    tenant_charge(c->tenant, (int)j->n_ids - ev->n_cached, server_now());
    generation_metrics_hit(c, ev);
    if (g->started)
        return;
    g->started = true;
    c->queue_ns = server_now() - g->submit_ns;
    if (g->request.stream && !c->replied && !c->fault.code)
        open_stream(c);
}

static void on_finish(struct conn *c, struct job *j, const struct event *ev)
{
    struct generation *g = c->priv;
    generation_state_finish(c, ev);
    generation_metrics_finish(c, ev);
    if ((ev->reason == FINISH_TIMEOUT || ev->reason == FINISH_ERROR) && !g->failed) {
        g->failed = true;
        g->why = ev->reason;
    }
    bool whole = ev->reason == FINISH_STOP || ev->reason == FINISH_LENGTH;
    j->n_generated = whole && j->n_generated >= 0 ? j->n_generated + ev->n_generated : -1;
    if (--j->choices_left == 0)
        generation_metrics_prompt(c, ev);
}

/* Pauses or resumes the jobs by how much of the stream is unread. */
static void balance(struct conn *c, uint64_t now_ns)
{
    struct generation *g = c->priv;
    struct bridge *bridge = c->server->model.bridge;
    bool over = stream_over(&c->stream, c->server->cfg->stream_buffer_bytes, now_ns);
    for (size_t i = 0; i < g->n_submitted; i++) {
        struct job *j = &g->jobs[i];
        if (j->id && j->paused != over && bridge_pause(bridge, j->id, over) == 0)
            j->paused = over;
    }
}

static void feed(struct conn *c, const struct event *ev)
{
    struct generation *g = c->priv;
    bool stream = g->request.stream;
    uint64_t now = server_now();
    size_t before = c->stream.out.len;
    struct buf none = {0};
    if (stream && (!c->stream.open || c->stream.ended))
        return;
    g->codec->event(g, ev, stream ? &c->stream.out : &none);
    bool failed = none.failed || c->stream.out.failed;
    buf_free(&none);
    if (failed && c->call) {
        http_cut(c->call);
        return;
    }
    if (!c->call) { /* the client has left; events still count in metrics */
        stream_free(&c->stream);
        c->stream.open = true;
        conn_count_unread(c, 0);
        return;
    }
    if (c->stream.out.len == before)
        return;
    c->stream.last_ns = now;
    conn_count_unread(c, c->stream.out.cap);
    balance(c, now);
    http_wake(c->call);
}

void generation_event(struct conn *c, struct job *j, const struct event *ev)
{
    if (ev->kind == EVENT_BUSY) {
        on_busy(c, j);
        return;
    }
    if (ev->kind == EVENT_START)
        on_start(c, j, ev);
    else if (ev->kind == EVENT_TOKEN)
        generation_metrics_token(c, ev);
    else if (ev->kind == EVENT_FINISH)
        on_finish(c, j, ev);
    else if (ev->kind == EVENT_LOAD)
        generation_state_load(c, ev->state);
    feed(c, ev);
    if (ev->kind == EVENT_FINISH && j->choices_left == 0)
        end_job(c, j);
}

/* ---- the client's side ------------------------------------------------------ */

ssize_t generation_read(struct conn *c, char *to, size_t max)
{
    ssize_t n = stream_read(&c->stream, to, max);
    if (n > 0)
        balance(c, server_now());
    return n;
}

void generation_fail(struct conn *c, const struct err *err)
{
    struct generation *g = c->priv;
    g->codec->error(g, err, &c->stream.out);
}

/* ---- ending early ----------------------------------------------------------- */

static void cancel_jobs(struct conn *c, enum finish_reason why)
{
    struct generation *g = c->priv;
    if (g->cancelled)
        return;
    for (size_t i = 0; i < g->n_submitted; i++) {
        if (!g->jobs[i].id)
            continue;
        g->cancelled = true;
        if (bridge_cancel(c->server->model.bridge, g->jobs[i].id, why))
            g->cancelled = false; /* no memory for the message: the tick tries again */
    }
}

void generation_cancel(struct conn *c, enum finish_reason why)
{
    const struct generation *g = c->priv;
    struct err err;
    if (why == FINISH_DRAIN && !g->started) { /* there is no answer that could be cut */
        err_set(&err, ERR_UNAVAILABLE, "the server is shutting down");
        conn_note_fault(c, &err);
    }
    cancel_jobs(c, why);
}

/* A step admits at its beginning. The one under way when the request came may have begun
 * before it; that the next one has ended, or that there is nothing to do, means that the
 * engine has left the request waiting. */
static bool passed_over(const struct conn *c)
{
    const struct generation *g = c->priv;
    const struct served_model *model = &c->server->model;
    return model->drained_steps >= g->submit_steps + 2 || model->drained_idle;
}

void generation_tick(struct conn *c, uint64_t now_ns)
{
    const struct generation *g = c->priv;
    const struct config *cfg = c->server->cfg;
    if (c->pending == 0 || g->cancelled)
        return;
    if (!c->call) {
        generation_cancel(c, FINISH_ABORT);
    } else if (server_expired(c->began_ns, now_ns, cfg->request_timeout_s)) {
        generation_cancel(c, FINISH_TIMEOUT);
    } else if (!g->started && !g->state.arrived &&
               server_expired(g->submit_ns, now_ns, cfg->queue_timeout_s) &&
               passed_over(c)) {
        err_set(&c->fault, ERR_BUSY, "no room within %g seconds; retry later",
                cfg->queue_timeout_s);
        c->server->metrics.rejected[REJECTED_QUEUE_TIMEOUT]++;
        generation_cancel(c, FINISH_ABORT);
    }
}
