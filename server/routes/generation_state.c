/* Finding, loading, saving. Functions of workers are marked. */
#include "server/routes/generation_state.h"

#include "engine/base/log.h"
#include "engine/objects.h"
#include "server/routes/generation.h"
#include "server/serve/conn.h"
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

static int parted(struct task *w, bool text, size_t at)
{
    return err_param(&w->err, ERR_CONFLICT, "prompt",
                     "`prompt` must begin with the %s that the state `%s` holds; they "
                     "part at %s %zu",
                     text ? "text" : "token ids", conn_of_task(w)->req.state.load,
                     text ? "byte" : "id", at);
}

/* The state's tokens become the prompt's first; what the prompt says beyond follows. */
static int follow(struct task *w, struct generation_state *t)
{
    const struct prompt *p = &conn_of_task(w)->req.prompts.list[0];
    struct engine_prompt given = {p->text, p->ids, p->text ? p->text_len : p->n_ids};
    struct ids *ids = &w->items[0].ids;
    size_t at;
    int rc = engine_match(w->e, &t->said, &given, &at, &w->err);
    if (rc == -ERR_CONFLICT)
        return parted(w, p->text != NULL, at);
    if (rc)
        return rc;
    t->resume = at == given.len;
    if (!ids_append(ids, t->said.ids, t->said.n_ids))
        return no_memory(&w->err);
    if (t->resume)
        return 0;
    if (p->text)
        return engine_encode(w->e, p->text + at, given.len - at,
                             ENCODE_SPECIAL | ENCODE_MORE, ids, &w->err);
    return ids_append(ids, p->ids + at, given.len - at) ? 0 : no_memory(&w->err);
}

int generation_state_find(struct task *w) /* worker */
{
    struct conn *c = conn_of_task(w);
    struct generation_state *t = &c->state;
    t->fd = object_store_read(c->server->storage, c->tenant, c->req.state.load, NULL,
                              &w->err);
    if (t->fd < 0)
        return about(&w->err, "state.load");
    t->open = true;
    int rc = engine_object_open(w->e, t->fd, c->tenant, &t->from, &t->said, &w->err);
    return rc ? about(&w->err, "state.load") : follow(w, t);
}

void generation_state_ask(const struct conn *c, struct engine_request *r)
{
    const struct generation_state *t = &c->state;
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
    r->save_state = c->req.state.save != NULL;
}

/* ---- the disk cache --------------------------------------------------------- */

static void close_object(struct generation_state *t)
{
    if (t->open)
        close(t->fd);
    t->open = false;
}

bool generation_state_recall(struct conn *c)
{
    struct generation_state *t = &c->state;
    struct disk_cache *cache = cache_writer_disk_cache(c->server);
    const struct job *j = c->jobs;
    return cache && c->n_jobs == 1 && !c->req.state.load && !c->req.gen.prompt_logprobs &&
           disk_cache_find(cache, c->tenant, c->req.cache_salt, j->ids, (int)j->n_ids,
                           &t->place);
}

/* Nobody can make use of it. */
static void clear_away(const struct conn *c, int rc) /* worker */
{
    if (rc == -ERR_CONFLICT)
        disk_cache_remove(c->server->storage, &c->state.place);
}

int generation_state_reopen(struct task *w) /* worker */
{
    struct conn *c = conn_of_task(w);
    struct generation_state *t = &c->state;
    struct history said = {0};
    t->fd = disk_cache_read(c->server->storage, &t->place, &w->err);
    if (t->fd < 0)
        return t->fd;
    t->open = true;
    int rc = engine_object_open(w->e, t->fd, c->tenant, &t->from, &said, &w->err);
    size_t n = (size_t)t->place.depth;
    if (rc == 0 && (said.n_ids != n || t->from.depth != t->place.depth ||
                    memcmp(said.ids, c->jobs[0].ids, n * sizeof *said.ids) != 0))
        rc = err_set(&w->err, ERR_CONFLICT, "a kept checkpoint is not what it is called");
    history_free(&said);
    if (rc) {
        clear_away(c, rc);
        close_object(t);
    }
    return rc;
}

/* What was removed is forgotten; so is what another process took, of which there is
 * nothing to tell. Any other fault may pass. */
static void forget(struct conn *c)
{
    int rc = c->task.rc;
    if (rc == -ERR_CONFLICT || rc == -ERR_NOT_FOUND)
        disk_cache_drop(c->server->storage->cache, &c->state.place);
    if (rc == -ERR_CONFLICT)
        log_text(LOG_WARN, "checkpoint_dropped", c->task.err.text);
}

void generation_state_recalled(struct conn *c)
{
    struct generation_state *t = &c->state;
    if (t->place.depth == 0 || c->task.rc == 0)
        return;
    forget(c);
    t->from = (struct engine_object){0};
    t->place.depth = 0;
}

/* ---- leases ------------------------------------------------------------------ */

int generation_state_prepare(struct conn *c, struct err *err)
{
    const struct states_request *wish = &c->req.state;
    int rc = wish->load || c->state.from.depth
                 ? bridge_reply_new(&c->state.load.reply, err)
                 : 0;
    if (!rc && wish->save)
        rc = bridge_reply_new(&c->state.save.reply, err);
    return rc;
}

static void give_back(struct conn *c, struct generation_lease *lease, bool good)
{
    bridge_return(c->server->model.bridge, lease->reply, lease->state, good);
    *lease = (struct generation_lease){0};
}

/* The first fault is the one that is told. */
static void note_fault(struct conn *c, const struct err *err)
{
    if (!c->fault.code)
        c->fault = *err;
}

static int start(struct conn *c, task_fn *run, void (*done)(struct task *))
{
    struct err err;
    c->task.e = bridge_engine(c->server->model.bridge);
    c->task.gate = &c->server->disk_limit;
    c->task.done = done;
    int rc = task_start(&c->task, run, c->server->uv, &err);
    if (rc)
        note_fault(c, &err);
    return rc;
}

/* ---- loading ---------------------------------------------------------------- */

static int read_state(struct task *w) /* worker */
{
    struct conn *c = conn_of_task(w);
    struct generation_state *t = &c->state;
    int rc = engine_object_load(w->e, t->load.state, t->fd, c->tenant, &w->err);
    if (rc && t->place.depth)
        clear_away(c, rc);
    else if (rc)
        about(&w->err, "state.load");
    close_object(t);
    return rc;
}

static void was_read(struct task *w)
{
    struct conn *c = conn_of_task(w);
    if (w->rc == 0)
        c->server->metrics.states_loaded++;
    else if (c->state.place.depth)
        forget(c);
    else
        note_fault(c, &w->err);
    give_back(c, &c->state.load, w->rc == 0);
    conn_release(c);
}

void generation_state_load(struct conn *c, struct engine_lease *lease)
{
    c->state.arrived = true;
    c->state.load.state = lease;
    if (c->cancelled || start(c, read_state, was_read))
        give_back(c, &c->state.load, false);
}

/* ---- saving ----------------------------------------------------------------- */

static bool has_ended(const struct event *ev)
{
    return ev->reason == FINISH_STOP || ev->reason == FINISH_LENGTH;
}

void generation_state_finish(struct conn *c, const struct event *ev)
{
    struct err err;
    if (!c->req.state.save || !has_ended(ev))
        return;
    c->state.save.state = ev->state;
    if (ev->state) {
        struct buf text = {0};
        size_t n;
        const int32_t *ids = engine_lease_unseen(bridge_engine(c->server->model.bridge),
                                                 ev->state, &n, &text);
        completion_response_pending(c->answer, &text, ids, n);
        buf_free(&text);
        return;
    }
    err_set(&err, ERR_INTERNAL, "there is no state at the answer's end");
    note_fault(c, &err);
}

static int write_state(struct task *w) /* worker */
{
    struct conn *c = conn_of_task(w);
    struct generation_state *t = &c->state;
    struct object_writer d;
    bool replaced;
    engine_object_of(w->e, t->save.state, &t->to);
    int rc = object_writer_begin(c->server->storage, &d, c->tenant, c->req.state.save,
                                 t->to.bytes, &w->err);
    if (rc == -ERR_TOO_LARGE)
        w->err.code = ERR_QUOTA; /* it is no body that is too large */
    if (rc)
        return about(&w->err, "state.save");
    rc = engine_object_save(w->e, t->save.state, d.fd, c->tenant, &w->err);
    if (rc)
        object_writer_abandon(&d);
    return rc ? rc : object_writer_commit(&d, &replaced, &w->err);
}

bool generation_state_save(struct conn *c, void (*done)(struct task *w))
{
    if (!c->state.save.state)
        return false;
    bool wanted = c->call && !c->fault.code && !c->stream.ended &&
                  !completion_response_failed(c->answer, NULL);
    if (wanted && start(c, write_state, done) == 0)
        return true;
    give_back(c, &c->state.save, true);
    return false;
}

void generation_state_saved(struct conn *c)
{
    c->state.stored = c->task.rc == 0;
    if (c->state.stored)
        c->server->metrics.states_saved++;
    else
        note_fault(c, &c->task.err);
    give_back(c, &c->state.save, true);
}

/* ---- the end ---------------------------------------------------------------- */

void generation_state_tell(const struct conn *c)
{
    const struct generation_state *t = &c->state;
    completion_response_states(
        c->answer,
        &(struct states_result){.loaded = c->started ? c->req.state.load : NULL,
                                .loaded_depth = t->from.depth,
                                .saved = t->stored ? c->req.state.save : NULL,
                                .saved_depth = t->to.depth,
                                .saved_bytes = t->to.bytes});
}

void generation_state_free(struct conn *c)
{
    close_object(&c->state);
    history_free(&c->state.said);
    bridge_reply_free(c->state.load.reply);
    bridge_reply_free(c->state.save.reply);
    c->state = (struct generation_state){0};
}
