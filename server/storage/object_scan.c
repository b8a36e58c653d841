/* Counting objects, finding prefixes, tenant by tenant.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/object_scan.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum {
    FIND_FLAGS = O_RDONLY | O_NOFOLLOW | O_CLOEXEC,
    OLD_NS = 1000000000 /* a flood of refused objects does not walk more often */
};

/* ---- temporaries ------------------------------------------------------------ */

static bool is_temp(const char *name)
{
    return strncmp(name, OBJECT_STORE_TEMP, sizeof OBJECT_STORE_TEMP - 1) == 0;
}

/* A temporary of this process: the ledger has it. */
static bool is_own(const struct object_store *s, const char *name)
{
    char own[sizeof OBJECT_STORE_TEMP + 8];
    int len = snprintf(own, sizeof own, OBJECT_STORE_TEMP "%08x", s->writer);
    return strncmp(name, own, (size_t)len) == 0;
}

/* Removes a temporary whose writer is gone: one holds its lock from before the first byte
 * to the rename. */
static void remove_stale(const struct object_store *s, int dir_fd, const char *name)
{
    struct stat st;
    int fd = is_temp(name) && !is_own(s, name)
                 ? openat(dir_fd, name, FIND_FLAGS | O_NONBLOCK)
                 : -1;
    if (fd < 0)
        return;
    bool stale =
        fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (stale && unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT)
        log_text(LOG_WARN, "state_leftover", strerror(errno));
    close(fd);
}

/* ---- clients' objects -------------------------------------------------------- */

struct walk {
    const struct object_store *store;
    uint64_t number;
    struct ledger_use found; /* in the directory that is read */
};

/* A tenant's account, noted as one that has a directory; under the ledger's lock. */
static struct ledger_account *account_of(const struct walk *w, const char *dir)
{
    struct ledger_account *a = ledger_account(w->store->ledger, dir + 2);
    if (a)
        ledger_walked(a, dir[0] == 'p', w->number);
    return a;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for the ledger of state.dir");
}

/* Counts whatever is there; what other processes write has its size from the beginning. */
static int walk_file(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct walk *w = arg;
    struct stat st;
    remove_stale(w->store, dir_fd, name);
    if (is_own(w->store, name))
        return 0;
    int rc = object_store_find_file(dir_fd, name, &st, err);
    if (rc <= 0)
        return rc;
    w->found.bytes += (uint64_t)st.st_size;
    w->found.n++;
    return 0;
}

static int64_t changed_ns(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0
               ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec
               : 0;
}

static int walk_clients(struct walk *w, int fd, const char *dir, struct err *err)
{
    struct ledger *l = w->store->ledger;
    int64_t changed = fd < 0 ? 0 : changed_ns(fd); /* what comes later is seen later */
    w->found = (struct ledger_use){0};
    int rc = fd < 0 ? 0 : object_store_each(fd, walk_file, w, err);
    if (rc)
        return rc;
    ledger_lock(l);
    struct ledger_account *a = account_of(w, dir);
    if (a) {
        ledger_found(l, a, w->found);
        a->changed_ns = changed;
    }
    ledger_unlock(l);
    return a ? 0 : no_memory(err);
}

int object_scan_clients(const struct object_store *s, int dir_fd, const char *dir,
                        struct err *err)
{
    return walk_clients(&(struct walk){.store = s}, dir_fd, dir, err);
}

bool object_scan_agrees(const struct object_store *s, int dir_fd, const char *dir)
{
    ledger_lock(s->ledger);
    const struct ledger_account *a = ledger_account(s->ledger, dir + 2);
    bool agrees = a && a->changed_ns == changed_ns(dir_fd);
    ledger_unlock(s->ledger);
    return agrees;
}

void object_scan_note(const struct object_store *s, int dir_fd, const char *dir)
{
    ledger_lock(s->ledger);
    struct ledger_account *a = ledger_account(s->ledger, dir + 2);
    if (a)
        a->changed_ns = changed_ns(dir_fd);
    ledger_unlock(s->ledger);
}

/* ---- persisted prefixes ----------------------------------------------------- */

struct prefix_walk {
    const struct object_store *store;
    const char *tenant_dir;
    struct cache_group *group;  /* of the directory that is read */
    struct cache_entry **found; /* owns both levels */
    size_t n, cap;
};

static int keep(struct prefix_walk *w, struct cache_entry *e, struct err *err)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 64;
        void *more = mem_grow(w->found, w->n * sizeof *w->found, cap * sizeof *w->found);
        if (!more) {
            cache_index_free_entry(e);
            return no_memory(err);
        }
        w->found = more;
        w->cap = cap;
    }
    w->found[w->n++] = e;
    return 0;
}

static int walk_prefix(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct prefix_walk *w = arg;
    struct stat st;
    uint64_t hash;
    int depth;
    remove_stale(w->store, dir_fd, name);
    if (!disk_cache_parse_name(name, &depth, &hash) ||
        fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return 0;
    struct cache_entry *e = cache_index_entry(w->group, depth, hash);
    if (!e)
        return no_memory(err);
    e->ledger.bytes = (uint64_t)st.st_size;
    e->ledger.used = st.st_mtime > 0 ? (uint64_t)st.st_mtime : 0;
    return keep(w, e, err);
}

static int walk_salt(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct prefix_walk *w = arg;
    char path[DISK_CACHE_PATH_BYTES];
    int len = snprintf(path, sizeof path, "%s/%s", w->tenant_dir, name);
    if (strncmp(name, "s-", 2) != 0 || len > DISK_CACHE_PATH_BYTES - 64)
        return 0;
    int fd = openat(dir_fd, name, FIND_FLAGS | O_DIRECTORY);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : object_store_io_error(err, "a persisted prefix's directory");
    w->group = cache_index_group(path);
    int rc = w->group ? object_store_each(fd, walk_prefix, w, err) : no_memory(err);
    if (w->group)
        cache_index_free_group(w->group);
    close(fd);
    return rc;
}

static int by_place(const void *a, const void *b)
{
    return cache_index_compare(*(struct cache_entry *const *)a,
                               *(struct cache_entry *const *)b);
}

/* All that was found becomes the index's or is freed. */
static int merge(const struct walk *w, struct prefix_walk *p, struct err *err)
{
    struct disk_cache *c = w->store->cache;
    if (p->n)
        qsort(p->found, p->n, sizeof *p->found, by_place);
    ledger_lock(c->ledger);
    struct ledger_account *a = account_of(w, p->tenant_dir);
    bool ok = a && cache_index_merge(&c->index, c->ledger, a, p->found, p->n);
    ledger_unlock(c->ledger);
    if (ok)
        p->n = 0;
    return ok ? 0 : no_memory(err);
}

static int walk_persisted(const struct walk *w, int fd, const char *dir, struct err *err)
{
    struct prefix_walk p = {.store = w->store, .tenant_dir = dir};
    int rc = fd < 0 ? 0 : object_store_each(fd, walk_salt, &p, err);
    if (rc == 0)
        rc = merge(w, &p, err);
    for (size_t i = 0; i < p.n; i++)
        cache_index_free_entry(p.found[i]);
    mem_free(p.found);
    return rc;
}

/* ---- the whole directory ---------------------------------------------------- */

/* Neither objects nor prefixes come or go meanwhile. A directory that is not there, or is
 * none, has nothing in it. */
static int walk_tenant(struct walk *w, const char *dir, struct err *err)
{
    ledger_lock_files(w->store->ledger);
    int fd = openat(w->store->fd, dir, FIND_FLAGS | O_DIRECTORY), rc;
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
        rc = object_store_io_error(err, "a tenant's directory");
    else
        rc = dir[0] == 't' ? walk_clients(w, fd, dir, err)
                           : walk_persisted(w, fd, dir, err);
    ledger_unlock_files(w->store->ledger);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int walk_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)dir_fd;
    bool tenant = strncmp(name, "t-", 2) == 0 || strncmp(name, "p-", 2) == 0;
    return tenant ? walk_tenant(arg, name, err) : 0;
}

/* Accounts whose directories were not among the entries: they are gone, or came later. */
static int walk_others(struct walk *w, struct err *err)
{
    struct ledger *l = w->store->ledger;
    char dir[OBJECT_STORE_DIR_BYTES];
    int rc = 0;
    for (size_t i = 0; rc == 0; i++) {
        ledger_lock(l);
        const struct ledger_account *a = ledger_account_at(l, i);
        bool clients = a && a->clients_walk < w->number;
        bool persisted = a && a->persisted_walk < w->number;
        snprintf(dir, sizeof dir, "t-%s", a ? a->name : "");
        ledger_unlock(l);
        if (!a)
            break;
        if (clients)
            rc = walk_tenant(w, dir, err);
        dir[0] = 'p';
        if (persisted && rc == 0)
            rc = walk_tenant(w, dir, err);
    }
    return rc;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int walk_all(const struct object_store *s, uint64_t number, struct err *err)
{
    struct walk w = {.store = s, .number = number};
    int rc = object_store_each(s->fd, walk_entry, &w, err);
    return rc ? rc : walk_others(&w, err);
}

int object_scan(const struct object_store *s, struct err *err)
{
    return walk_all(s, ledger_begin_walk(s->ledger, now_ns(), 0), err);
}

bool object_scan_if_old(const struct object_store *s)
{
    uint64_t number = ledger_begin_walk(s->ledger, now_ns(), OLD_NS);
    return number && walk_all(s, number, NULL) == 0;
}
