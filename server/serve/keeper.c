/* Asking, writing, making room. */
#include "server/serve/keeper.h"

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "server/serve/loop.h"

#include <stdio.h>
#include <string.h>

enum { MOST_TRIES = 64 };
static const uint64_t ASK_NS = 250000000;

static struct loop *loop_of(struct encode *w)
{
    return (struct loop *)(void *)((char *)w - offsetof(struct loop, keeper.work));
}

struct disk_cache *keeper_disk_cache(struct loop *l)
{
    struct disk_cache *s = &l->keeper.disk_cache;
    if (s->store && !s->kind) {
        const struct engine_info *i = engine_info(bridge_engine(l->bridge));
        char text[128];
        int n = snprintf(text, sizeof text, "%s %s %s %d", i->model_hash, i->weights,
                         i->kv, (int)l->cfg->math);
        s->kind = hash_bytes(text, (size_t)n);
    }
    return s;
}

int keeper_open(struct loop *l, struct err *err)
{
    return disk_cache_open(&l->keeper.disk_cache, l->store, err);
}

void keeper_close(struct loop *l)
{
    bridge_way_free(l->keeper.way);
    disk_cache_close(&l->keeper.disk_cache);
}

/* Without memory it is asked another time. */
static void ask(struct loop *l, bool all)
{
    struct keeper *k = &l->keeper;
    k->asked_ns = loop_now();
    if (!k->way && bridge_way_new(&k->way, NULL))
        return;
    k->all = all;
    k->asked = bridge_spill(l->bridge, all) == 0;
}

void keeper_tick(struct loop *l, uint64_t now_ns)
{
    const struct keeper *k = &l->keeper;
    if (k->disk_cache.store && !k->asked && !k->loan && now_ns - k->asked_ns > ASK_NS &&
        (l->phase == LOOP_SERVING || l->phase == LOOP_GRACE))
        ask(l, false);
}

bool keeper_ending(struct loop *l)
{
    struct keeper *k = &l->keeper;
    if (!k->disk_cache.store || k->dry)
        return false;
    if (!k->asked && !k->loan)
        ask(l, true);
    return true;
}

/* ---- writing ---------------------------------------------------------------- */

static int write_kept(struct encode *w) /* worker */
{
    struct keeper *k = &loop_of(w)->keeper;
    const struct object_store *store = k->disk_cache.store;
    struct engine_kept kept;
    struct object_writer d;
    bool replaced;
    for (int i = 0; i < k->n_gone; i++)
        disk_cache_remove(store, &k->gone[i]);
    engine_kept_of(k->loan, &kept);
    engine_object_of(w->e, k->loan, &k->object);
    int rc = disk_cache_begin(store, &d, &k->place, k->object.bytes, &k->over, &w->err);
    if (rc)
        return rc;
    rc = engine_object_save(w->e, k->loan, d.fd, kept.tenant, &w->err);
    if (rc)
        object_writer_abandon(&d);
    return rc ? rc : object_writer_commit(&d, &replaced, &w->err);
}

/* Takes the longest unused from the disk cache, until `bytes` are free or hands are
 * full. */
static void drop_oldest(struct keeper *k, const struct disk_cache_place *of_tenant,
                        uint64_t bytes, uint64_t *freed)
{
    uint64_t n;
    while (*freed < bytes && k->n_gone < KEEPER_GONE &&
           disk_cache_oldest(&k->disk_cache, of_tenant, &k->gone[k->n_gone], &n)) {
        k->n_gone++;
        *freed += n;
    }
}

static bool make_room(struct keeper *k)
{
    uint64_t freed = 0;
    k->n_gone = 0;
    drop_oldest(k, &k->place, k->over.tenant, &freed);
    drop_oldest(k, NULL, k->over.all, &freed);
    return k->n_gone > 0 && k->n_tries++ < MOST_TRIES;
}

static void give_back(struct loop *l)
{
    struct keeper *k = &l->keeper;
    bridge_return(l->bridge, k->way, k->loan, true);
    k->way = NULL;
    k->loan = NULL;
    if (k->all)
        ask(l, true);
}

static void wrote(struct encode *w)
{
    struct loop *l = loop_of(w);
    struct keeper *k = &l->keeper;
    if (w->rc == -ERR_QUOTA && make_room(k) &&
        encode_start(w, write_kept, &l->uv, NULL) == 0)
        return;
    if (w->rc == 0) {
        disk_cache_add(&k->disk_cache, &k->place, k->object.bytes);
        l->metrics.states_saved++;
    } else if (w->rc != -ERR_QUOTA) {
        log_text(LOG_WARN, "checkpoint_not_kept", w->err.text);
    }
    give_back(l);
}

void keeper_take(struct loop *l, struct engine_state *state)
{
    struct keeper *k = &l->keeper;
    struct engine_kept kept;
    k->asked = false;
    k->loan = state;
    k->dry = !state && k->all;
    if (!state)
        return;
    engine_kept_of(state, &kept);
    k->n_gone = k->n_tries = 0;
    k->work.e = bridge_engine(l->bridge);
    k->work.gate = &l->disk;
    k->work.done = wrote;
    if (!disk_cache_place(&k->place, keeper_disk_cache(l), kept.tenant, kept.cache_salt,
                          kept.tokens, kept.n_tokens) ||
        disk_cache_has(&k->disk_cache, &k->place) ||
        encode_start(&k->work, write_kept, &l->uv, NULL))
        give_back(l);
}
