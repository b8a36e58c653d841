/* Finding, loading, saving. Functions of workers are marked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/generation_state.h"

#include "engine/base/log.h"
#include "engine/objects.h"
#include "server/routes/generation.h"
#include "server/storage/object_writer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- finding ---------------------------------------------------------------- */

/* Names the field that an error is about. */
static int about(struct err *err, const char *field)
{
    snprintf(err->param, sizeof err->param, "%s", field);
    return -(int)err->code;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for a prompt's tokens");
}

static int parted(const struct generation *g, bool text, size_t at, struct err *err)
{
    return err_param(err, ERR_CONFLICT, g->request.field,
                     "`%s` must begin with the %s that the state `%s` holds; they part "
                     "at %s %zu",
                     g->request.field, text ? "text" : "token ids", g->request.state.load,
                     text ? "byte" : "id", at);
}

/* The state's tokens become the prompt's first; what the prompt has beyond follows. */
static int follow(struct task *task, struct generation *g)
{
    struct generation_state *t = &g->state;
    const struct prompt *p = &g->request.prompts->list[0];
    struct engine_prompt given = {p->text, p->ids, p->text ? p->text_len : p->n_ids};
    struct ids *ids = &g->prompts[0].ids;
    size_t at;
    int rc = engine_match(task->e, &t->said, &given, &at, &task->err);
    if (rc == -ERR_CONFLICT)
        return parted(g, p->text != NULL, at, &task->err);
    if (rc)
        return rc;
    t->resume = at == given.len;
    if (!ids_append(ids, t->said.ids, t->said.n_ids))
        return no_memory(&task->err);
    if (t->resume)
        return 0;
    if (p->text)
        return prompt_ids_encode(&g->prompts[0], task->e, p, at, ENCODE_MORE, &task->err);
    return ids_append(ids, p->ids + at, given.len - at) ? 0 : no_memory(&task->err);
}

int generation_state_find(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct generation *g = c->priv;
    struct generation_state *t = &g->state;
    t->fd = object_store_read(c->server->storage, c->tenant->name, g->request.state.load,
                              NULL, &task->err);
    if (t->fd < 0)
        return about(&task->err, "state.load");
    t->open = true;
    int rc = engine_object_open(task->e, t->fd, c->tenant->name, &t->from, &t->said,
                                &task->err);
    return rc ? about(&task->err, "state.load") : follow(task, g);
}

void generation_state_ask(const struct conn *c, struct engine_request *r)
{
    const struct generation *g = c->priv;
    const struct generation_state *t = &g->state;
    if (t->place.depth) {
        r->persisted_tokens = t->from.depth;
        r->persisted_bytes = t->from.bytes;
    } else {
        r->state_tokens = t->from.depth;
        r->state_bytes = t->from.bytes;
    }
    r->ends = t->said.ends;
    r->n_ends = t->said.n_ends;
    r->resume = t->resume;
    r->save_state = g->request.state.save != NULL;
}

/* ---- persisted prefixes ----------------------------------------------------- */

static void close_object(struct generation_state *t)
{
    if (t->open)
        close(t->fd);
    t->open = false;
}

bool generation_state_recall(struct conn *c)
{
    struct generation *g = c->priv;
    struct disk_cache *cache = cache_writer_disk_cache(c->server);
    const struct job *j = g->jobs;
    return cache && g->n_jobs == 1 && !g->request.state.load &&
           !g->request.gen->prompt_logprobs &&
           disk_cache_find(cache, c->tenant->name, g->request.cache_salt, j->ids,
                           (int)j->n_ids, &g->state.place);
}

/* Removes an object that no request can use. */
static void clear_away(const struct conn *c, int rc) /* worker */
{
    const struct generation *g = c->priv;
    if (rc == -ERR_CONFLICT)
        disk_cache_remove(c->server->storage, &g->state.place);
}

int generation_state_reopen(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct generation *g = c->priv;
    struct generation_state *t = &g->state;
    struct history said = {0};
    t->fd = disk_cache_read(c->server->storage, &t->place, &task->err);
    if (t->fd < 0)
        return t->fd;
    t->open = true;
    int rc =
        engine_object_open(task->e, t->fd, c->tenant->name, &t->from, &said, &task->err);
    size_t n = (size_t)t->place.depth;
    if (rc == 0 && (said.n_ids != n || t->from.depth != t->place.depth ||
                    memcmp(said.ids, g->jobs[0].ids, n * sizeof *said.ids) != 0))
        rc = err_set(&task->err, ERR_CONFLICT,
                     "a persisted checkpoint is not of the tokens that name it");
    history_free(&said);
    if (rc) {
        clear_away(c, rc);
        close_object(t);
    }
    return rc;
}

/* Takes an object out of the index when it was removed, here or by another process. Any
 * other fault may pass. */
static void forget(struct conn *c)
{
    const struct generation *g = c->priv;
    int rc = c->task.rc;
    if (rc == -ERR_CONFLICT || rc == -ERR_NOT_FOUND)
        disk_cache_drop(c->server->storage->cache, &g->state.place);
    if (rc == -ERR_CONFLICT)
        log_text(LOG_WARN, "checkpoint_dropped", c->task.err.text);
}

void generation_state_recalled(struct conn *c)
{
    struct generation *g = c->priv;
    struct generation_state *t = &g->state;
    if (t->place.depth == 0 || c->task.rc == 0)
        return;
    metrics_disk(&c->server->metrics, DISK_READ, c->task.rc);
    forget(c);
    t->from = (struct engine_object){0};
    t->place.depth = 0;
}

/* ---- leases ----------------------------------------------------------------- */

int generation_state_prepare(struct conn *c, struct err *err)
{
    struct generation *g = c->priv;
    struct generation_state *t = &g->state;
    int rc = 0;
    if (g->request.state.load || t->from.depth)
        rc = bridge_reply_new(&t->load.reply, err);
    if (!rc && g->request.state.save)
        rc = bridge_reply_new(&t->save.reply, err);
    return rc;
}

static void give_back(struct conn *c, struct generation_lease *lease, bool good)
{
    bridge_release_lease(c->server->model.bridge, lease->reply, lease->state, good);
    *lease = (struct generation_lease){0};
}

static int start(struct conn *c, task_fn *run, void (*done)(struct task *),
                 struct err *err)
{
    c->task.e = bridge_engine(c->server->model.bridge);
    c->task.limit = &c->server->disk_limit;
    c->task.done = done;
    return task_start(&c->task, run, c->server->uv, err);
}

/* ---- loading ---------------------------------------------------------------- */

static int read_state(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct generation *g = c->priv;
    struct generation_state *t = &g->state;
    int rc =
        engine_object_load(task->e, t->load.state, t->fd, c->tenant->name, &task->err);
    if (rc && t->place.depth)
        clear_away(c, rc);
    else if (rc)
        about(&task->err, "state.load");
    close_object(t);
    return rc;
}

static void was_read(struct task *task)
{
    struct conn *c = conn_of_task(task);
    struct generation *g = c->priv;
    metrics_disk(&c->server->metrics, DISK_READ, task->rc);
    if (task->rc == 0)
        c->server->metrics.states_loaded++;
    else if (g->state.place.depth)
        forget(c);
    else
        conn_note_fault(c, &task->err);
    give_back(c, &g->state.load, task->rc == 0);
    conn_release(c);
}

void generation_state_load(struct conn *c, struct engine_lease *lease)
{
    struct generation *g = c->priv;
    struct err err;
    g->state.arrived = true;
    g->state.load.state = lease;
    int rc = g->cancelled ? 0 : start(c, read_state, was_read, &err);
    if (rc)
        conn_note_fault(c, &err);
    if (rc || g->cancelled)
        give_back(c, &g->state.load, false);
}

/* ---- saving ----------------------------------------------------------------- */

static bool has_ended(const struct event *ev)
{
    return ev->reason == FINISH_STOP || ev->reason == FINISH_LENGTH;
}

/* The answer is given all the same. */
static void note_fault(struct conn *c, const struct err *err)
{
    struct generation *g = c->priv;
    g->state.fault = *err;
    about(&g->state.fault, "state.save");
    conn_log_fault(c, err);
}

static void put_pending(struct conn *c, const struct engine_lease *state)
{
    struct generation *g = c->priv;
    struct buf text = {0};
    size_t n;
    const int32_t *ids =
        engine_lease_unseen(bridge_engine(c->server->model.bridge), state, &n, &text);
    g->codec->pending(g, &text, ids, n);
    buf_free(&text);
}

void generation_state_finish(struct conn *c, const struct event *ev)
{
    struct generation *g = c->priv;
    struct err err;
    if (!g->request.state.save || !has_ended(ev))
        return;
    g->state.save.state = ev->state;
    if (ev->state) {
        put_pending(c, ev->state);
        return;
    }
    err_set(&err, ERR_INTERNAL, "there is no state at the answer's end");
    note_fault(c, &err);
}

static int write_state(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct generation *g = c->priv;
    struct generation_state *t = &g->state;
    struct object_writer writer;
    bool replaced;
    engine_object_of(task->e, t->save.state, &t->to);
    int rc = object_writer_begin(c->server->storage, &writer, c->tenant->name,
                                 g->request.state.save, t->to.bytes, &task->err);
    if (rc == -ERR_TOO_LARGE)
        task->err.code = ERR_QUOTA; /* it is no body that is too large */
    if (rc)
        return rc;
    rc = engine_object_save(task->e, t->save.state, writer.fd, c->tenant->name,
                            &task->err);
    if (rc)
        object_writer_abandon(&writer);
    return rc ? rc : object_writer_commit(&writer, &replaced, &task->err);
}

bool generation_state_save(struct conn *c, void (*done)(struct task *task))
{
    struct generation *g = c->priv;
    struct err err;
    if (!g->state.save.state)
        return false;
    bool wanted = c->call && !c->fault.code && !c->stream.ended && !g->failed;
    if (wanted && start(c, write_state, done, &err) == 0)
        return true;
    if (wanted)
        note_fault(c, &err);
    give_back(c, &g->state.save, true);
    return false;
}

void generation_state_saved(struct conn *c)
{
    struct generation *g = c->priv;
    metrics_disk(&c->server->metrics, DISK_WRITE, c->task.rc);
    g->state.stored = c->task.rc == 0;
    if (g->state.stored)
        c->server->metrics.states_saved++;
    else
        note_fault(c, &c->task.err);
    give_back(c, &g->state.save, true);
}

/* ---- the end ---------------------------------------------------------------- */

struct states_result generation_state_result(const struct generation *g)
{
    const struct generation_state *t = &g->state;
    return (struct states_result){.loaded = g->started ? g->request.state.load : NULL,
                                  .loaded_depth = t->from.depth,
                                  .saved = t->stored ? g->request.state.save : NULL,
                                  .saved_depth = t->to.depth,
                                  .saved_bytes = t->to.bytes,
                                  .fault = t->fault.code ? &t->fault : NULL};
}

void generation_state_free(struct conn *c)
{
    struct generation *g = c->priv;
    close_object(&g->state);
    history_free(&g->state.said);
    bridge_reply_free(g->state.load.reply);
    bridge_reply_free(g->state.save.reply);
    g->state = (struct generation_state){0};
}
