/* Persisting checkpoints: asks the engine for the next one, has a worker write it, and
 * walks the directory when the ledger wants it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/cache_writer.h"

#include "engine/base/log.h"
#include "engine/objects.h"
#include "server/serve/server.h"
#include "server/storage/object_scan.h"
#include "server/storage/object_writer.h"

static const uint64_t ASK_NS = 250000000, WALK_NS = 60000000000;

static struct server *server_of_write(struct task *w)
{
    return (struct server *)(void *)((char *)w -
                                     offsetof(struct server, cache_writer.write));
}

static struct server *server_of_walk(struct task *w)
{
    return (struct server *)(void *)((char *)w -
                                     offsetof(struct server, cache_writer.walk));
}

void cache_writer_open(struct server *server)
{
    server->cache_writer.on = server->cfg->state_persist;
    server->cache_writer.walked_ns = server_now(); /* opening was a walk */
}

void cache_writer_close(struct server *server)
{
    bridge_reply_free(server->cache_writer.reply);
}

struct disk_cache *cache_writer_disk_cache(struct server *server)
{
    if (!server->cache_writer.on)
        return NULL;
    struct disk_cache *c = server->storage->cache;
    c->kind = engine_info(bridge_engine(server->model.bridge))->object_kind;
    return c;
}

bool cache_writer_active(const struct server *server)
{
    return server->cache_writer.write.active || server->cache_writer.walk.active;
}

/* ---- walking ---------------------------------------------------------------- */

static int walk(struct task *w) /* worker */
{
    return object_scan(server_of_walk(w)->storage, &w->err);
}

static void walked(struct task *w)
{
    metrics_disk(&server_of_walk(w)->metrics, DISK_LIST, w->rc);
    if (w->rc)
        log_text(LOG_WARN, "state_walk", w->err.text);
}

static void start_walk(struct server *server, uint64_t now_ns)
{
    struct task *w = &server->cache_writer.walk;
    server->cache_writer.walked_ns = now_ns;
    w->limit = &server->disk_limit;
    w->done = walked;
    task_start(w, walk, server->uv, NULL); /* else the next time */
}

/* ---- asking ----------------------------------------------------------------- */

/* Without memory the next tick tries again. */
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
    if (server->phase != SERVER_SERVING && server->phase != SERVER_GRACE)
        return;
    if (k->on && !k->asked && !k->lease && now_ns - k->asked_ns > ASK_NS)
        ask(server, false);
    if (server->storage && !k->walk.active && now_ns - k->walked_ns > WALK_NS)
        start_walk(server, now_ns);
}

bool cache_writer_ending(struct server *server)
{
    struct cache_writer *k = &server->cache_writer;
    if (!k->on || k->dry)
        return false;
    if (!k->asked && !k->lease)
        ask(server, true);
    return true;
}

/* ---- writing ---------------------------------------------------------------- */

static int write_prefix(struct task *w) /* worker */
{
    struct server *server = server_of_write(w);
    struct cache_writer *k = &server->cache_writer;
    struct engine_lease_path path;
    struct engine_object object;
    struct object_writer d;
    bool replaced;
    engine_lease_path_of(k->lease, &path);
    engine_object_of(w->e, k->lease, &object);
    int rc =
        object_writer_begin_prefix(server->storage, &d, &k->place, object.bytes, &w->err);
    if (rc)
        return rc;
    rc = engine_object_save(w->e, k->lease, d.fd, path.tenant, &w->err);
    if (rc)
        object_writer_abandon(&d);
    return rc ? rc : object_writer_commit(&d, &replaced, &w->err);
}

static void release(struct server *server)
{
    struct cache_writer *k = &server->cache_writer;
    bridge_release_lease(server->model.bridge, k->reply, k->lease, true);
    k->reply = NULL;
    k->lease = NULL;
    if (k->all)
        ask(server, true);
}

static void written(struct task *w)
{
    metrics_disk(&server_of_write(w)->metrics, DISK_WRITE, w->rc);
    if (w->rc && w->rc != -ERR_QUOTA)
        log_text(LOG_WARN, "checkpoint_not_kept", w->err.text);
    release(server_of_write(w));
}

/* False: it has no place, is there already, or there is no worker. */
static bool start_write(struct server *server)
{
    struct cache_writer *k = &server->cache_writer;
    struct disk_cache *c = cache_writer_disk_cache(server);
    struct engine_lease_path path;
    engine_lease_path_of(k->lease, &path);
    if (!disk_cache_place(&k->place, c, path.tenant, path.cache_salt, path.tokens,
                          path.n_tokens) ||
        disk_cache_has(c, &k->place))
        return false;
    k->write.e = bridge_engine(server->model.bridge);
    k->write.limit = &server->disk_limit;
    k->write.done = written;
    return task_start(&k->write, write_prefix, server->uv, NULL) == 0;
}

void cache_writer_take(struct server *server, struct engine_lease *state)
{
    struct cache_writer *k = &server->cache_writer;
    k->asked = false;
    k->lease = state;
    k->dry = !state && k->all;
    if (state && !start_write(server))
        release(server);
}
