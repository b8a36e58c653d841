/* Names, look-up, and the three levels of directories.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/disk_cache.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "server/storage/object_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIND_FLAGS = O_RDONLY | O_NOFOLLOW | O_CLOEXEC };

void disk_cache_init(struct disk_cache *c, struct ledger *ledger)
{
    *c = (struct disk_cache){.ledger = ledger};
}

void disk_cache_close(struct disk_cache *c)
{
    cache_index_free(&c->index);
}

/* ---- names ------------------------------------------------------------------ */

enum { GROUP_PATH_BYTES = 440 }; /* at most, as put_name writes it */

static bool group_path(char out[DISK_CACHE_PATH_BYTES], const char *tenant,
                       const char *salt)
{
    char t[OBJECT_STORE_DIR_BYTES], s[OBJECT_STORE_DIR_BYTES];
    if (!object_store_dir_name(t, "p-", tenant) ||
        !object_store_dir_name(s, "s-", salt ? salt : ""))
        return false;
    return snprintf(out, DISK_CACHE_PATH_BYTES, "%s/%s", t, s) <= GROUP_PATH_BYTES;
}

static void put_name(struct disk_cache_place *p, const char *group, int depth,
                     uint64_t hash)
{
    p->depth = depth;
    snprintf(p->path, sizeof p->path, "%.440s/%d-%016" PRIx64, group, depth, hash);
}

bool disk_cache_place(struct disk_cache_place *out, const struct disk_cache *c,
                      const char *tenant, const char *salt, const int32_t *ids, int n)
{
    char group[DISK_CACHE_PATH_BYTES];
    if (!group_path(group, tenant, salt))
        return false;
    put_name(out, group, n, hash_bytes(ids, (size_t)n * sizeof *ids) ^ c->kind);
    return true;
}

bool disk_cache_parse_name(const char *name, int *depth, uint64_t *hash)
{
    char again[64];
    if (sscanf(name, "%d-%16" SCNx64, depth, hash) != 2 || *depth < 1)
        return false;
    snprintf(again, sizeof again, "%d-%016" PRIx64, *depth, *hash);
    return strcmp(again, name) == 0;
}

/* A place's parts: the path of its group; NULL: it is none of ours. */
static struct cache_group *parse(const struct disk_cache_place *p, int *depth,
                                 uint64_t *hash)
{
    char path[DISK_CACHE_PATH_BYTES];
    const char *name = strrchr(p->path, '/');
    if (!name || !disk_cache_parse_name(name + 1, depth, hash))
        return NULL;
    snprintf(path, sizeof path, "%.*s", (int)(name - p->path), p->path);
    return cache_index_group(path);
}

/* ---- look-up ---------------------------------------------------------------- */

/* NULL: it is not in the index. */
static struct cache_entry *entry_of(const struct disk_cache *c,
                                    const struct disk_cache_place *p)
{
    const char *name = strrchr(p->path, '/');
    struct cache_key key;
    if (!name || !disk_cache_parse_name(name + 1, &key.depth, &key.hash))
        return NULL;
    key.group = hash_bytes(p->path, (size_t)(name - p->path));
    return cache_index_get(&c->index, &key);
}

bool disk_cache_has(struct disk_cache *c, const struct disk_cache_place *place)
{
    ledger_lock(c->ledger);
    bool has = entry_of(c, place) != NULL;
    ledger_unlock(c->ledger);
    return has;
}

void disk_cache_drop(struct disk_cache *c, const struct disk_cache_place *place)
{
    ledger_lock(c->ledger);
    struct cache_entry *e = entry_of(c, place);
    if (e) {
        ledger_leave(c->ledger, &e->ledger);
        cache_index_take_out(&c->index, e);
        cache_index_free_entry(e);
    }
    ledger_unlock(c->ledger);
}

bool disk_cache_find(struct disk_cache *c, const char *tenant, const char *salt,
                     const int32_t *ids, int n, struct disk_cache_place *out)
{
    char path[DISK_CACHE_PATH_BYTES];
    if (!group_path(path, tenant, salt))
        return false;
    uint64_t group = hash_bytes(path, strlen(path));
    ledger_lock(c->ledger);
    struct cache_entry *e = cache_index_deepest(&c->index, group, ids, n, c->kind);
    bool found = e && strcmp(e->group->path, path) == 0;
    if (found) {
        ledger_touch(c->ledger, &e->ledger);
        put_name(out, path, e->key.depth, e->key.hash);
    }
    ledger_unlock(c->ledger);
    return found;
}

/* ---- directories ------------------------------------------------------------ */

/* A directory below another, made if need be; whoever else has made it may not have
 * synced its name yet. -1 and errno. */
static int open_below(int up, const char *name, bool make)
{
    if (make && ((mkdirat(up, name, 0700) != 0 && errno != EEXIST) || fsync(up) != 0))
        return -1;
    return openat(up, name, FIND_FLAGS | O_DIRECTORY);
}

/* The directory of a place; O_NOFOLLOW at every level. -1 and errno. */
static int open_group(const struct object_store *s, const char *path, bool make,
                      const char **name)
{
    char tenant[OBJECT_STORE_DIR_BYTES], salt[OBJECT_STORE_DIR_BYTES];
    const char *a = strchr(path, '/'), *b = strrchr(path, '/');
    snprintf(tenant, sizeof tenant, "%.*s", (int)(a - path), path);
    snprintf(salt, sizeof salt, "%.*s", (int)(b - a - 1), a + 1);
    *name = b + 1;
    int up = open_below(s->fd, tenant, make);
    if (up < 0)
        return -1;
    int fd = open_below(up, salt, make), why = errno;
    close(up);
    errno = why;
    return fd;
}

int disk_cache_make_group(const struct object_store *s,
                          const struct disk_cache_place *place, const char **name,
                          struct err *err)
{
    int fd = open_group(s, place->path, true, name);
    return fd >= 0 ? fd : object_store_io_error(err, "a persisted prefix's directory");
}

int disk_cache_read(const struct object_store *s, const struct disk_cache_place *place,
                    struct err *err)
{
    const char *name;
    struct stat st;
    int dir = open_group(s, place->path, false, &name);
    int fd = dir < 0 ? -1 : openat(dir, name, FIND_FLAGS | O_NONBLOCK);
    bool gone = fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    if (dir >= 0)
        close(dir);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    if (fd >= 0)
        close(fd);
    return gone ? err_set(err, ERR_NOT_FOUND, "a persisted prefix is not there any more")
                : err_set(err, ERR_IO, "a persisted prefix cannot be opened");
}

static void unlink_at(const struct object_store *s, const char *path)
{
    const char *name;
    int dir = open_group(s, path, false, &name);
    if (dir < 0)
        return;
    unlinkat(dir, name, 0);
    close(dir);
}

void disk_cache_remove(const struct object_store *s, const struct disk_cache_place *place)
{
    ledger_lock_files(s->ledger);
    unlink_at(s, place->path);
    disk_cache_drop(s->cache, place);
    ledger_unlock_files(s->ledger);
}

/* ---- reservations ----------------------------------------------------------- */

/* Takes what gave way out of the index. What was still being written is its writer's:
 * those that have a file are answered. Under the ledger's lock. */
static struct ledger_entry *take_out(struct disk_cache *c, struct ledger_entry *evicted)
{
    struct ledger_entry *files = NULL;
    cache_index_sweep(&c->index, evicted);
    for (struct ledger_entry *next; evicted; evicted = next) {
        next = evicted->next;
        if (evicted->writing)
            continue;
        evicted->next = files;
        files = evicted;
    }
    return files;
}

static void remove_files(const struct object_store *s, struct ledger_entry *evicted)
{
    for (struct ledger_entry *next; evicted; evicted = next) {
        struct cache_entry *e = HEAP_OF(evicted, struct cache_entry, ledger);
        struct disk_cache_place place;
        next = evicted->next;
        put_name(&place, e->group->path, e->key.depth, e->key.hash);
        unlink_at(s, place.path);
        ledger_lock(s->ledger); /* entries in the index share its group */
        cache_index_free_entry(e);
        ledger_unlock(s->ledger);
    }
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for the ledger of state.dir");
}

int disk_cache_reserve(const struct object_store *s, const char *tenant_dir,
                       uint64_t bytes, struct ledger_use replaced, struct err *err)
{
    struct ledger_entry *evicted = NULL;
    ledger_lock(s->ledger);
    struct ledger_account *a = ledger_account(s->ledger, tenant_dir + 2);
    int rc =
        a ? ledger_reserve(s->ledger, a, bytes, replaced, &evicted, err) : no_memory(err);
    evicted = take_out(s->cache, evicted);
    ledger_unlock(s->ledger);
    remove_files(s, evicted);
    return rc;
}

static struct cache_entry *entry_for(const struct disk_cache_place *place, uint64_t bytes)
{
    uint64_t hash;
    int depth;
    struct cache_group *g = parse(place, &depth, &hash);
    struct cache_entry *e = g ? cache_index_entry(g, depth, hash) : NULL;
    if (g)
        cache_index_free_group(g);
    if (!e)
        return NULL;
    e->ledger.bytes = bytes;
    e->ledger.writing = true;
    return e;
}

/* The name of a place's tenant. */
static void tenant_of(const struct disk_cache_place *place,
                      char tenant[OBJECT_STORE_DIR_BYTES])
{
    size_t len = strcspn(place->path, "/");
    snprintf(tenant, OBJECT_STORE_DIR_BYTES, "%.*s", (int)len - 2, place->path + 2);
}

int disk_cache_reserve_entry(const struct object_store *s,
                             const struct disk_cache_place *place, uint64_t bytes,
                             struct cache_entry **out, struct err *err)
{
    char tenant[OBJECT_STORE_DIR_BYTES];
    struct ledger_entry *evicted = NULL;
    struct cache_entry *e = entry_for(place, bytes);
    if (!e)
        return no_memory(err);
    tenant_of(place, tenant);
    ledger_lock(s->ledger);
    struct ledger_account *a = ledger_account(s->ledger, tenant);
    int rc = a ? ledger_reserve_entry(s->ledger, a, &e->ledger, &evicted, err)
               : no_memory(err);
    evicted = take_out(s->cache, evicted);
    ledger_unlock(s->ledger);
    remove_files(s, evicted);
    if (rc)
        cache_index_free_entry(e);
    else
        *out = e;
    return rc;
}

bool disk_cache_publish(struct disk_cache *c, struct cache_entry *e)
{
    ledger_lock(c->ledger);
    bool evicted = !e->ledger.account;
    bool known = cache_index_get(&c->index, &e->key) != NULL;
    bool entered = !evicted && !known && cache_index_insert(&c->index, e);
    e->ledger.writing = false;
    if (!entered)
        ledger_leave(c->ledger, &e->ledger);
    ledger_unlock(c->ledger);
    if (!entered)
        cache_index_free_entry(e);
    return entered || (known && !evicted);
}

void disk_cache_give_up(struct disk_cache *c, struct cache_entry *e)
{
    ledger_lock(c->ledger);
    ledger_leave(c->ledger, &e->ledger);
    ledger_unlock(c->ledger);
    cache_index_free_entry(e);
}
