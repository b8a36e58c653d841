/*
 * Steps of the routes that need the engine, and its events. A job counts in admit from
 * admission to its last event; a conn's jobs are submitted in one go, so either all of
 * them wait in the engine or the conn fails whole.
 */
#include "server/routes/generation.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "server/routes/generation_metrics.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { PARSE_HERE_BYTES = 64 * 1024 }; /* at most some milliseconds of the loop */

/* ---- completions: bytes -> jobs --------------------------------------------- */

static int parse(struct task *w) /* loop or worker */
{
    struct conn *c = conn_of_task(w);
    return completion_request_parse(&c->req, &c->server->model.limits,
                                    c->body.data ? c->body.data : "", c->body.len,
                                    &w->err);
}

static int step_parse(struct conn *c, struct err *err)
{
    if (c->body.len > PARSE_HERE_BYTES)
        return conn_start_task(c, parse, err);
    c->task.rc = parse(&c->task);
    return CONN_NEXT;
}

static int step_parsed(struct conn *c, struct err *err)
{
    conn_drop_body(c);
    int rc = conn_task_failed(c, err);
    if (rc)
        return rc;
    c->server->metrics.unknown_fields += c->req.n_unknown_fields;
    c->n_jobs = c->req.prompts.n;
    return CONN_NEXT;
}

static int step_admit(struct conn *c, struct err *err)
{
    int rc = admit_take(&c->server->model.admit, (int)c->n_jobs, err);
    if (rc) {
        c->server->metrics.rejected[REJECTED_QUEUE_FULL]++;
        return rc;
    }
    c->admitted = (int)c->n_jobs;
    return CONN_NEXT;
}

static int step_encode(struct conn *c, struct err *err)
{
    int rc = task_alloc(&c->task, c->n_jobs, err);
    if (rc)
        return rc;
    bool texts = false;
    for (size_t i = 0; i < c->n_jobs; i++) {
        c->task.items[i].text = c->req.prompts.list[i].text;
        c->task.items[i].len = c->req.prompts.list[i].text_len;
        texts = texts || c->task.items[i].text;
    }
    if (c->req.state.load) {
        c->task.gate = &c->server->disk_limit;
        return conn_start_task(c, generation_state_find, err);
    }
    if (!texts)
        return CONN_NEXT;
    c->task.flags = ENCODE_SPECIAL | ENCODE_BOS;
    return conn_start_task(c, task_encode, err);
}

static struct engine_request request_of(const struct conn *c, size_t i)
{
    struct engine_request r = {.id = c->jobs[i].id,
                               .ids = c->jobs[i].ids,
                               .n_ids = c->jobs[i].n_ids,
                               .tenant = c->tenant,
                               .cache_salt = c->req.cache_salt,
                               .gen = c->req.gen};
    r.gen.first_choice = (int)i * c->req.gen.n;
    generation_state_ask(c, &r);
    return r;
}

static int step_check(struct conn *c, struct err *err)
{
    int rc = conn_task_failed(c, err);
    if (rc)
        return rc;
    c->jobs = mem_zalloc(c->n_jobs, sizeof *c->jobs);
    c->choices = mem_zalloc(c->n_jobs * (size_t)c->req.gen.n, sizeof *c->choices);
    if (!c->jobs || !c->choices)
        return err_set(err, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < c->n_jobs; i++) {
        const struct prompt *p = &c->req.prompts.list[i];
        const struct prompt_ids *item = &c->task.items[i];
        c->jobs[i] = (struct job){.conn = c,
                                  .ids = item->ids.n ? item->ids.data : p->ids,
                                  .n_ids = item->ids.n ? item->ids.n : p->n_ids,
                                  .n_choices = c->req.gen.n,
                                  .choices_left = c->req.gen.n};
        if (c->jobs[i].n_ids == 0)
            return err_param(err, ERR_ARGUMENT, "prompt", "prompt %zu has no tokens", i);
        struct engine_request r = request_of(c, i);
        rc = engine_check(bridge_engine(c->server->model.bridge), &r, err);
        if (rc)
            return rc;
    }
    return CONN_NEXT;
}

/* What may be in the disk cache is looked at by a worker. */
static int step_recall(struct conn *c, struct err *err)
{
    if (!generation_state_recall(c))
        return CONN_NEXT;
    c->task.gate = &c->server->disk_limit;
    int rc = conn_start_task(c, generation_state_reopen, err);
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

static const char *piece(void *arg, int32_t id, size_t *len)
{
    return engine_piece(arg, id, len);
}

static int step_open(struct conn *c, struct err *err)
{
    uint64_t x[2];
    if (getrandom(x, sizeof x, 0) != (ssize_t)sizeof x)
        return err_set(err, ERR_INTERNAL, "no random numbers");
    if (!c->req.has_seed)
        c->req.gen.seed = x[0] >> 11;
    char id[40];
    snprintf(id, sizeof id, "cmpl-%016llx%08x", (unsigned long long)x[1],
             (unsigned)x[0] & 0x7ff);
    struct completion_response_head head = {
        .id = id,
        .created = time(NULL),
        .model = c->server->cfg->served_name,
        .piece = piece,
        .piece_arg = (void *)(uintptr_t)bridge_engine(c->server->model.bridge)};
    int rc = completion_response_open(&c->answer, &c->req, &head, err);
    for (size_t i = 0; !rc && i < c->n_jobs; i++)
        completion_response_prompt(c->answer, i, c->jobs[i].ids, c->jobs[i].n_ids);
    return rc ? rc : generation_state_prepare(c, err);
}

static int step_submit(struct conn *c, struct err *err)
{
    struct bridge_stats now;
    c->submit_ns = server_now();
    for (size_t i = 0; i < c->n_jobs; i++) {
        struct job *j = &c->jobs[i];
        int rc = job_add(&c->server->jobs, j, err);
        struct engine_request r = request_of(c, i);
        if (!rc)
            rc = bridge_submit(c->server->model.bridge, &r, err);
        if (rc) {
            job_remove(&c->server->jobs, j);
            generation_cancel(c, FINISH_ABORT);
            return rc;
        }
        c->n_submitted++;
        c->jobs_left++;
        c->admitted--;
    }
    bridge_stats(c->server->model.bridge, &now);
    c->submit_steps = now.engine.steps; /* those that may have begun before the request */
    return CONN_WAIT;
}

conn_step_fn *const generation_completions[] = {
    step_parse,  step_parsed,   step_admit, step_encode, step_check,
    step_recall, step_recalled, step_open,  step_submit, NULL};

/* ---- completions: events -> bytes ------------------------------------------- */

/* The answer as a whole: the first fault, else how its choices ended. */
static int verdict(const struct conn *c, struct err *err)
{
    enum finish_reason why;
    if (c->fault.code) {
        *err = c->fault;
        return -(int)err->code;
    }
    if (!completion_response_failed(c->answer, &why))
        return 0;
    if (why == FINISH_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "the request did not finish within %g seconds",
                       c->server->cfg->request_timeout_s);
    return err_set(err, ERR_INTERNAL, "the engine could not finish the request");
}

static void finish(struct conn *c);

static void saved(struct task *w)
{
    struct conn *c = conn_of_task(w);
    generation_state_saved(c);
    finish(c);
}

static void finish(struct conn *c)
{
    struct err err;
    struct buf out = {0};
    if (generation_state_save(c, saved))
        return;
    generation_state_tell(c);
    metrics_time(&c->server->metrics, TIMING_REQUEST,
                 (double)(server_now() - c->began_ns) / 1e9);
    if (!c->call) {
        conn_release(c);
    } else if (verdict(c, &err)) {
        conn_fail(c, &err);
    } else if (c->stream.open && !c->stream.ended) {
        completion_response_close(c->answer, &c->stream.out);
        c->stream.ended = true;
        http_wake(c->call);
    } else if (!c->replied) {
        completion_response_close(c->answer, &out);
        conn_answer(c, &out);
    }
}

static void end_job(struct job *j)
{
    struct conn *c = j->conn;
    admit_ended(&c->server->model.admit, j->started, j->n_choices, server_now());
    job_remove(&c->server->jobs, j);
    c->jobs_left--;
    if (c->jobs_left == 0 && c->n_submitted == c->n_jobs)
        finish(c);
    else
        conn_release(c);
}

static void on_taken(void *arg, uint64_t id, const struct err *err)
{
    struct server *server = arg;
    struct job *j = job_find(&server->jobs, id);
    if (!j || !err)
        return;
    struct conn *c = j->conn;
    if (!c->fault.code)
        c->fault = *err;
    generation_cancel(c, FINISH_ABORT);
    end_job(j);
}

static void on_start(struct conn *c, struct job *j, const struct event *ev)
{
    j->started = true;
    admit_started(&c->server->model.admit, j->n_choices);
    generation_metrics_hit(c, ev);
    if (c->started)
        return;
    c->started = true;
    c->start_ns = server_now();
    if (c->req.stream && !c->replied && !c->fault.code)
        conn_open_stream(c);
}

static void on_finish(struct conn *c, struct job *j, const struct event *ev)
{
    generation_state_finish(c, ev);
    generation_metrics_finish(c, ev);
    if (--j->choices_left == 0)
        generation_metrics_prompt(c, ev);
}

static void feed(struct conn *c, const struct event *ev)
{
    uint64_t now = server_now();
    size_t before = c->stream.out.len;
    struct buf none = {0};
    bool live = !c->req.stream || (c->stream.open && !c->stream.ended);
    if (!live)
        return;
    completion_response_event(c->answer, ev, c->req.stream ? &c->stream.out : &none);
    bool failed = none.failed || c->stream.out.failed;
    buf_free(&none);
    if (failed && c->call) {
        http_cut(c->call);
        return;
    }
    if (!c->call) { /* nobody reads any more; the events still count */
        stream_free(&c->stream);
        c->stream.open = true;
        return;
    }
    if (c->stream.out.len == before)
        return;
    c->stream.last_ns = now;
    generation_balance(c, now);
    http_wake(c->call);
}

static void on_persisted(void *arg, struct engine_lease *state)
{
    cache_writer_take(arg, state);
}

static void on_event(void *arg, const struct event *ev)
{
    struct server *server = arg;
    struct job *j = job_find(&server->jobs, ev->request);
    if (!j)
        return;
    struct conn *c = j->conn;
    if (ev->kind == EVENT_START)
        on_start(c, j, ev);
    else if (ev->kind == EVENT_TOKEN)
        generation_metrics_token(c, ev);
    else if (ev->kind == EVENT_FINISH)
        on_finish(c, j, ev);
    else if (ev->kind == EVENT_LOAD)
        generation_state_load(c, ev->state);
    feed(c, ev);
    if (ev->kind == EVENT_FINISH) {
        completion_response_usage(c->answer, &c->usage);
        if (j->choices_left == 0)
            end_job(j);
    }
}

void generation_drain(struct server *server)
{
    bridge_drain(server->model.bridge, &(struct bridge_reader){.taken = on_taken,
                                                               .event = on_event,
                                                               .persisted = on_persisted,
                                                               .arg = server});
}

/* ---- both ways -------------------------------------------------------------- */

void generation_cancel(struct conn *c, enum finish_reason why)
{
    if (c->cancelled)
        return;
    for (size_t i = 0; i < c->n_submitted; i++) {
        if (!c->jobs[i].id)
            continue;
        c->cancelled = true;
        if (bridge_cancel(c->server->model.bridge, c->jobs[i].id, why))
            c->cancelled = false; /* no memory for the message: the reaper tries again */
    }
}

void generation_balance(struct conn *c, uint64_t now_ns)
{
    bool over = stream_over(&c->stream, c->server->cfg->stream_buffer_bytes, now_ns);
    for (size_t i = 0; i < c->n_submitted; i++) {
        struct job *j = &c->jobs[i];
        if (j->id && j->paused != over &&
            bridge_pause(c->server->model.bridge, j->id, over) == 0)
            j->paused = over;
    }
}

bool generation_pending(const struct conn *c)
{
    return c->jobs_left > 0;
}

void generation_free(struct conn *c)
{
    for (; c->admitted > 0; c->admitted--)
        admit_ended(&c->server->model.admit, false, 0, server_now());
    generation_state_free(c);
    completion_response_free(c->answer);
    completion_request_free(&c->req);
    tokenize_free(&c->text);
    task_free(&c->task);
    mem_free(c->jobs);
    mem_free(c->choices);
}
