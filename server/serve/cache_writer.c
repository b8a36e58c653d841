/* Asking, writing, making room. */
#include "server/serve/cache_writer.h"

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "server/serve/server.h"

#include <stdio.h>
#include <string.h>

enum { MOST_TRIES = 64 };
static const uint64_t ASK_NS = 250000000;

static struct server *server_of(struct task *w)
{
    return (struct server *)(void *)((char *)w -
                                     offsetof(struct server, cache_writer.work));
}

struct disk_cache *cache_writer_disk_cache(struct server *server)
{
    struct disk_cache *s = &server->cache_writer.disk_cache;
    if (s->store && !s->kind) {
        const struct engine_info *i = engine_info(bridge_engine(server->model.bridge));
        char text[128];
        int n = snprintf(text, sizeof text, "%s %s %s %d", i->model_hash, i->weights,
                         i->kv, (int)server->cfg->math);
        s->kind = hash_bytes(text, (size_t)n);
    }
    return s;
}

int cache_writer_open(struct server *server, struct err *err)
{
    return disk_cache_open(&server->cache_writer.disk_cache, server->storage, err);
}

void cache_writer_close(struct server *server)
{
    bridge_reply_free(server->cache_writer.reply);
    disk_cache_close(&server->cache_writer.disk_cache);
}

/* Without memory it is asked another time. */
static void ask(struct server *server, bool all)
{
    struct cache_writer *k = &server->cache_writer;
    k->asked_ns = server_now();
    if (!k->reply && bridge_reply_new(&k->reply, NULL))
        return;
    k->all = all;
    k->asked = bridge_persist_next(server->model.bridge, all) == 0;
}

void cache_writer_tick(struct server *server, uint64_t now_ns)
{
    const struct cache_writer *k = &server->cache_writer;
    if (k->disk_cache.store && !k->asked && !k->lease && now_ns - k->asked_ns > ASK_NS &&
        (server->phase == SERVER_SERVING || server->phase == SERVER_GRACE))
        ask(server, false);
}

bool cache_writer_ending(struct server *server)
{
    struct cache_writer *k = &server->cache_writer;
    if (!k->disk_cache.store || k->dry)
        return false;
    if (!k->asked && !k->lease)
        ask(server, true);
    return true;
}

/* ---- writing ---------------------------------------------------------------- */

static int write_kept(struct task *w) /* worker */
{
    struct cache_writer *k = &server_of(w)->cache_writer;
    const struct object_store *store = k->disk_cache.store;
    struct engine_lease_path kept;
    struct object_writer d;
    bool replaced;
    for (int i = 0; i < k->n_gone; i++)
        disk_cache_remove(store, &k->gone[i]);
    engine_lease_path_of(k->lease, &kept);
    engine_object_of(w->e, k->lease, &k->object);
    int rc = disk_cache_begin(store, &d, &k->place, k->object.bytes, &k->over, &w->err);
    if (rc)
        return rc;
    rc = engine_object_save(w->e, k->lease, d.fd, kept.tenant, &w->err);
    if (rc)
        object_writer_abandon(&d);
    return rc ? rc : object_writer_commit(&d, &replaced, &w->err);
}

/* Takes the longest unused from the disk cache, until `bytes` are free or hands are
 * full. */
static void drop_oldest(struct cache_writer *k, const struct disk_cache_place *of_tenant,
                        uint64_t bytes, uint64_t *freed)
{
    uint64_t n;
    while (*freed < bytes && k->n_gone < CACHE_WRITER_GONE &&
           disk_cache_oldest(&k->disk_cache, of_tenant, &k->gone[k->n_gone], &n)) {
        k->n_gone++;
        *freed += n;
    }
}

static bool make_room(struct cache_writer *k)
{
    uint64_t freed = 0;
    k->n_gone = 0;
    drop_oldest(k, &k->place, k->over.tenant, &freed);
    drop_oldest(k, NULL, k->over.all, &freed);
    return k->n_gone > 0 && k->n_tries++ < MOST_TRIES;
}

static void give_back(struct server *server)
{
    struct cache_writer *k = &server->cache_writer;
    bridge_return(server->model.bridge, k->reply, k->lease, true);
    k->reply = NULL;
    k->lease = NULL;
    if (k->all)
        ask(server, true);
}

static void wrote(struct task *w)
{
    struct server *server = server_of(w);
    struct cache_writer *k = &server->cache_writer;
    if (w->rc == -ERR_QUOTA && make_room(k) &&
        task_start(w, write_kept, server->uv, NULL) == 0)
        return;
    if (w->rc == 0) {
        disk_cache_add(&k->disk_cache, &k->place, k->object.bytes);
        server->metrics.states_saved++;
    } else if (w->rc != -ERR_QUOTA) {
        log_text(LOG_WARN, "checkpoint_not_kept", w->err.text);
    }
    give_back(server);
}

void cache_writer_take(struct server *server, struct engine_lease *state)
{
    struct cache_writer *k = &server->cache_writer;
    struct engine_lease_path kept;
    k->asked = false;
    k->lease = state;
    k->dry = !state && k->all;
    if (!state)
        return;
    engine_lease_path_of(state, &kept);
    k->n_gone = k->n_tries = 0;
    k->work.e = bridge_engine(server->model.bridge);
    k->work.gate = &server->disk_limit;
    k->work.done = wrote;
    if (!disk_cache_place(&k->place, cache_writer_disk_cache(server), kept.tenant,
                          kept.cache_salt, kept.tokens, kept.n_tokens) ||
        disk_cache_has(&k->disk_cache, &k->place) ||
        task_start(&k->work, write_kept, server->uv, NULL))
        give_back(server);
}
