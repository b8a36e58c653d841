/* Finding, loading, saving. Functions of workers are marked. */
#include "server/routes/travel.h"

#include "engine/base/log.h"
#include "server/routes/work.h"
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

/* The state's tokens become the prompt's first; the rest of the text follows them. */
static int follow_text(struct encode *w, struct encode_item *item, struct ids *known)
{
    size_t at;
    if (!engine_match(w->e, known->data, known->n, item->text, item->len, &at))
        return err_param(&w->err, ERR_CONFLICT, "prompt",
                         "`prompt` must begin with the text that the state `%s` holds; "
                         "they part at byte %zu",
                         work_conn(w)->req.state.load, at);
    item->ids = *known;
    *known = (struct ids){0};
    if (at == item->len)
        return 0;
    return engine_encode(w->e, item->text + at, item->len - at,
                         ENCODE_SPECIAL | ENCODE_MORE, &item->ids, &w->err);
}

static int follow_ids(struct encode *w, const struct prompt *p, const struct ids *known)
{
    size_t at = 0;
    while (at < known->n && at < p->n_ids && p->ids[at] == known->data[at])
        at++;
    if (at == known->n)
        return 0;
    return err_param(&w->err, ERR_CONFLICT, "prompt",
                     "`prompt` must begin with the %zu token ids that the state `%s` "
                     "holds; they part at id %zu",
                     known->n, work_conn(w)->req.state.load, at);
}

int travel_find(struct encode *w) /* worker */
{
    struct conn *c = work_conn(w);
    struct travel *t = &c->travel;
    struct ids known = {0};
    t->fd =
        object_store_read(c->l->store, c->tenant_name, c->req.state.load, NULL, &w->err);
    if (t->fd < 0)
        return about(&w->err, "state.load");
    t->open = true;
    int rc = engine_object_open(w->e, t->fd, c->tenant_name, &t->from, &known, &w->err);
    if (rc)
        about(&w->err, "state.load");
    else if (w->items[0].text)
        rc = follow_text(w, &w->items[0], &known);
    else
        rc = follow_ids(w, &c->req.prompts.list[0], &known);
    engine_ids_free(&known);
    return rc;
}

void travel_ask(const struct conn *c, struct engine_request *r)
{
    const struct travel *t = &c->travel;
    if (t->place.depth) {
        r->spare_tokens = t->from.depth;
        r->spare_bytes = t->from.bytes;
    } else {
        r->state_tokens = t->from.depth;
        r->state_bytes = t->from.bytes;
    }
    r->save_state = c->req.state.save != NULL;
}

/* ---- the disk cache --------------------------------------------------------- */

static void close_object(struct travel *t)
{
    if (t->open)
        close(t->fd);
    t->open = false;
}

bool travel_recall(struct conn *c)
{
    struct travel *t = &c->travel;
    struct disk_cache *disk_cache = keeper_disk_cache(c->l);
    const struct job *j = c->jobs;
    return disk_cache->store && c->n_jobs == 1 && !c->req.state.load &&
           !c->req.gen.prompt_logprobs &&
           disk_cache_find(disk_cache, c->tenant_name, c->req.cache_salt, j->ids,
                           (int)j->n_ids, &t->place);
}

/* Nobody can make use of it. */
static void clear_away(const struct conn *c, int rc) /* worker */
{
    if (rc == -ERR_CONFLICT)
        disk_cache_remove(c->l->store, &c->travel.place);
}

int travel_reopen(struct encode *w) /* worker */
{
    struct conn *c = work_conn(w);
    struct travel *t = &c->travel;
    struct ids known = {0};
    t->fd = disk_cache_read(c->l->store, &t->place, &w->err);
    if (t->fd < 0)
        return t->fd;
    t->open = true;
    int rc = engine_object_open(w->e, t->fd, c->tenant_name, &t->from, &known, &w->err);
    size_t n = (size_t)t->place.depth;
    if (rc == 0 && (known.n != n || t->from.depth != t->place.depth ||
                    memcmp(known.data, c->jobs[0].ids, n * sizeof *known.data) != 0))
        rc = err_set(&w->err, ERR_CONFLICT, "a kept checkpoint is not what it is called");
    engine_ids_free(&known);
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
    int rc = c->encode.rc;
    if (rc == -ERR_CONFLICT || rc == -ERR_NOT_FOUND)
        disk_cache_drop(&c->l->keeper.disk_cache, &c->travel.place);
    if (rc == -ERR_CONFLICT)
        log_text(LOG_WARN, "checkpoint_dropped", c->encode.err.text);
}

void travel_recalled(struct conn *c)
{
    struct travel *t = &c->travel;
    if (t->place.depth == 0 || c->encode.rc == 0)
        return;
    forget(c);
    t->from = (struct engine_object){0};
    t->place.depth = 0;
}

/* ---- loans ------------------------------------------------------------------ */

int travel_prepare(struct conn *c, struct err *err)
{
    const struct states_wish *wish = &c->req.state;
    int rc =
        wish->load || c->travel.from.depth ? bridge_way_new(&c->travel.load.way, err) : 0;
    if (!rc && wish->save)
        rc = bridge_way_new(&c->travel.save.way, err);
    return rc;
}

static void give_back(struct conn *c, struct loan *loan, bool good)
{
    bridge_return(c->l->bridge, loan->way, loan->state, good);
    *loan = (struct loan){0};
}

/* The first fault is the one that is told. */
static void note_fault(struct conn *c, const struct err *err)
{
    if (!c->fault.code)
        c->fault = *err;
}

static int start(struct conn *c, encode_fn *run, void (*done)(struct encode *))
{
    struct err err;
    c->encode.e = bridge_engine(c->l->bridge);
    c->encode.gate = &c->l->disk;
    c->encode.done = done;
    int rc = encode_start(&c->encode, run, &c->l->uv, &err);
    if (rc)
        note_fault(c, &err);
    return rc;
}

/* ---- loading ---------------------------------------------------------------- */

static int read_state(struct encode *w) /* worker */
{
    struct conn *c = work_conn(w);
    struct travel *t = &c->travel;
    int rc = engine_object_load(w->e, t->load.state, t->fd, c->tenant_name, &w->err);
    if (rc && t->place.depth)
        clear_away(c, rc);
    else if (rc)
        about(&w->err, "state.load");
    close_object(t);
    return rc;
}

static void was_read(struct encode *w)
{
    struct conn *c = work_conn(w);
    if (w->rc == 0)
        c->l->metrics.states_loaded++;
    else if (c->travel.place.depth)
        forget(c);
    else
        note_fault(c, &w->err);
    give_back(c, &c->travel.load, w->rc == 0);
    conn_release(c);
}

void travel_load(struct conn *c, struct engine_state *loan)
{
    c->travel.arrived = true;
    c->travel.load.state = loan;
    if (c->cancelled || start(c, read_state, was_read))
        give_back(c, &c->travel.load, false);
}

/* ---- saving ----------------------------------------------------------------- */

static bool has_ended(const struct event *ev)
{
    return ev->reason == FINISH_STOP || ev->reason == FINISH_LENGTH;
}

void travel_finish(struct conn *c, const struct event *ev)
{
    struct err err;
    if (!c->req.state.save || !has_ended(ev))
        return;
    c->travel.save.state = ev->state;
    if (ev->state)
        return;
    err_set(&err, ERR_INTERNAL, "there is no state at the answer's end");
    note_fault(c, &err);
}

static int write_state(struct encode *w) /* worker */
{
    struct conn *c = work_conn(w);
    struct travel *t = &c->travel;
    struct object_writer d;
    bool replaced;
    engine_object_of(w->e, t->save.state, &t->to);
    int rc = object_writer_begin(c->l->store, &d, c->tenant_name, c->req.state.save,
                                 t->to.bytes, &w->err);
    if (rc == -ERR_TOO_LARGE)
        w->err.code = ERR_QUOTA; /* it is no body that is too large */
    if (rc)
        return about(&w->err, "state.save");
    rc = engine_object_save(w->e, t->save.state, d.fd, c->tenant_name, &w->err);
    if (rc)
        object_writer_abandon(&d);
    return rc ? rc : object_writer_commit(&d, &replaced, &w->err);
}

bool travel_save(struct conn *c, void (*done)(struct encode *w))
{
    if (!c->travel.save.state)
        return false;
    bool wanted = c->call && !c->fault.code && !c->stream.ended &&
                  !completion_failed(c->answer, NULL);
    if (wanted && start(c, write_state, done) == 0)
        return true;
    give_back(c, &c->travel.save, true);
    return false;
}

void travel_saved(struct conn *c)
{
    c->travel.stored = c->encode.rc == 0;
    if (c->travel.stored)
        c->l->metrics.states_saved++;
    else
        note_fault(c, &c->encode.err);
    give_back(c, &c->travel.save, true);
}

/* ---- the end ---------------------------------------------------------------- */

void travel_tell(const struct conn *c)
{
    const struct travel *t = &c->travel;
    completion_states(
        c->answer, &(struct states_told){.loaded = c->started ? c->req.state.load : NULL,
                                         .loaded_depth = t->from.depth,
                                         .saved = t->stored ? c->req.state.save : NULL,
                                         .saved_depth = t->to.depth,
                                         .saved_bytes = t->to.bytes});
}

void travel_free(struct conn *c)
{
    close_object(&c->travel);
    bridge_way_free(c->travel.load.way);
    bridge_way_free(c->travel.save.way);
    c->travel = (struct travel){0};
}
