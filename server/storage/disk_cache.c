/* The index, and the three levels of directories under it. */
#include "server/storage/disk_cache.h"

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIND_FLAGS = O_RDONLY | O_NOFOLLOW | O_CLOEXEC, MOST_ENTRIES = 1 << 16 };

/* ---- places ----------------------------------------------------------------- */

static bool group_path(char out[DISK_CACHE_PATH_BYTES], const char *tenant,
                       const char *salt)
{
    char t[OBJECT_STORE_DIR_BYTES], s[OBJECT_STORE_DIR_BYTES];
    if (!object_store_dir_name(t, "p-", tenant) ||
        !object_store_dir_name(s, "s-", salt ? salt : ""))
        return false;
    return snprintf(out, DISK_CACHE_PATH_BYTES, "%s/%s", t, s) <
           DISK_CACHE_PATH_BYTES - 64;
}

static void put_name(struct disk_cache_place *p, const char *group, int depth,
                     uint64_t hash)
{
    p->depth = depth;
    snprintf(p->path, sizeof p->path, "%.440s/%d-%016" PRIx64, group, depth, hash);
}

bool disk_cache_place(struct disk_cache_place *out, const struct disk_cache *s,
                      const char *tenant, const char *salt, const int32_t *ids, int n)
{
    char group[DISK_CACHE_PATH_BYTES];
    if (!group_path(group, tenant, salt))
        return false;
    put_name(out, group, n, hash_bytes(ids, (size_t)n * sizeof *ids) ^ s->kind);
    return true;
}

/* What a path's parts are; false: it is none of ours. */
static bool parse(const char *path, uint64_t *group, int *depth, uint64_t *hash)
{
    const char *name = strrchr(path, '/');
    char again[64];
    if (!name || sscanf(name + 1, "%d-%16" SCNx64, depth, hash) != 2 || *depth < 1)
        return false;
    snprintf(again, sizeof again, "%d-%016" PRIx64, *depth, *hash);
    *group = hash_bytes(path, (size_t)(name - path));
    return strcmp(again, name + 1) == 0;
}

/* ---- the index -------------------------------------------------------------- */

static bool precedes(const struct disk_cache_entry *e, uint64_t group, int depth,
                     uint64_t hash)
{
    if (e->group != group)
        return e->group < group;
    return e->depth != depth ? e->depth < depth : e->hash < hash;
}

/* Where such an entry is, or would be. */
static size_t lower(const struct disk_cache *s, uint64_t group, int depth, uint64_t hash)
{
    size_t from = 0, to = s->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (precedes(&s->list[mid], group, depth, hash))
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static struct disk_cache_entry *entry_of(const struct disk_cache *s, const char *path)
{
    uint64_t group, hash;
    int depth;
    if (!parse(path, &group, &depth, &hash))
        return NULL;
    size_t i = lower(s, group, depth, hash);
    return i < s->n && strcmp(s->list[i].path, path) == 0 ? &s->list[i] : NULL;
}

static void insert(struct disk_cache *s, const char *path, uint64_t bytes, uint64_t used)
{
    struct disk_cache_entry e = {.bytes = bytes, .used = used};
    if (entry_of(s, path) || !parse(path, &e.group, &e.depth, &e.hash) ||
        s->n == MOST_ENTRIES)
        return;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        void *more = mem_grow(s->list, s->n * sizeof *s->list, cap * sizeof *s->list);
        if (!more)
            return;
        s->list = more;
        s->cap = cap;
    }
    size_t len = strlen(path) + 1, i = lower(s, e.group, e.depth, e.hash);
    e.path = mem_alloc(len);
    if (!e.path)
        return;
    memcpy(e.path, path, len);
    memmove(s->list + i + 1, s->list + i, (s->n - i) * sizeof *s->list);
    s->list[i] = e;
    s->n++;
    s->clock = used > s->clock ? used : s->clock;
}

static void take_out(struct disk_cache *s, struct disk_cache_entry *e)
{
    size_t i = (size_t)(e - s->list);
    mem_free(e->path);
    memmove(e, e + 1, (s->n - i - 1) * sizeof *e);
    s->n--;
}

void disk_cache_add(struct disk_cache *s, const struct disk_cache_place *place,
                    uint64_t bytes)
{
    insert(s, place->path, bytes, s->clock + 1);
}

void disk_cache_drop(struct disk_cache *s, const struct disk_cache_place *place)
{
    struct disk_cache_entry *e = entry_of(s, place->path);
    if (e)
        take_out(s, e);
}

bool disk_cache_has(const struct disk_cache *s, const struct disk_cache_place *place)
{
    return entry_of(s, place->path) != NULL;
}

/* One pass over the ids, from depth to depth. */
static struct disk_cache_entry *deepest(struct disk_cache *s, size_t i, uint64_t group,
                                        const int32_t *ids, int n)
{
    struct disk_cache_entry *best = NULL;
    struct hash hash = {0};
    int done = 0;
    if (!hash_begin(&hash))
        return NULL;
    for (; i < s->n && s->list[i].group == group && s->list[i].depth <= n; i++) {
        struct disk_cache_entry *e = &s->list[i];
        hash_put(&hash, ids + done, (size_t)(e->depth - done) * sizeof *ids);
        done = e->depth;
        if ((hash_value(&hash) ^ s->kind) == e->hash)
            best = e;
    }
    hash_free(&hash);
    return best;
}

bool disk_cache_find(struct disk_cache *s, const char *tenant, const char *salt,
                     const int32_t *ids, int n, struct disk_cache_place *out)
{
    char path[DISK_CACHE_PATH_BYTES];
    if (s->n == 0 || !group_path(path, tenant, salt))
        return false;
    uint64_t group = hash_bytes(path, strlen(path));
    size_t i = lower(s, group, 0, 0), len = strlen(path);
    if (i == s->n || s->list[i].group != group)
        return false;
    struct disk_cache_entry *e = deepest(s, i, group, ids, n);
    if (!e || strncmp(e->path, path, len) != 0 || e->path[len] != '/')
        return false;
    e->used = ++s->clock;
    put_name(out, path, e->depth, e->hash);
    return true;
}

bool disk_cache_oldest(struct disk_cache *s, const struct disk_cache_place *of_tenant,
                       struct disk_cache_place *out, uint64_t *bytes)
{
    size_t len =
        of_tenant ? (size_t)(strchr(of_tenant->path, '/') - of_tenant->path) + 1 : 0;
    struct disk_cache_entry *old = NULL;
    for (size_t i = 0; i < s->n; i++) {
        struct disk_cache_entry *e = &s->list[i];
        if (len && strncmp(e->path, of_tenant->path, len) != 0)
            continue;
        if (!old || e->used < old->used)
            old = e;
    }
    if (!old)
        return false;
    snprintf(out->path, sizeof out->path, "%s", old->path);
    out->depth = old->depth;
    *bytes = old->bytes;
    take_out(s, old);
    return true;
}

/* ---- opening ---------------------------------------------------------------- */

struct scan {
    struct disk_cache *disk_cache;
    const char *tenant, *salt;   /* names of the directories that it is in */
    object_store_entry_fn *next; /* for the entries of a directory */
};

static int scan_file(void *arg, int dir_fd, const char *name, struct err *err)
{
    const struct scan *c = arg;
    char path[3 * OBJECT_STORE_DIR_BYTES];
    struct stat st;
    object_store_remove_stale(NULL, dir_fd, name, err);
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return 0;
    snprintf(path, sizeof path, "%s/%s/%s", c->tenant, c->salt, name);
    if (strlen(path) < DISK_CACHE_PATH_BYTES)
        insert(c->disk_cache, path, (uint64_t)st.st_size, (uint64_t)st.st_mtime);
    return 0;
}

static int enter(struct scan *c, int dir_fd, const char *name, const char *prefix,
                 struct err *err)
{
    int fd = strncmp(name, prefix, strlen(prefix)) == 0
                 ? openat(dir_fd, name, FIND_FLAGS | O_DIRECTORY)
                 : -1;
    if (fd < 0)
        return 0;
    int rc = object_store_each(fd, c->next, c, err);
    close(fd);
    return rc;
}

static int scan_salt(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct scan c = *(struct scan *)arg;
    c.salt = name;
    c.next = scan_file;
    return enter(&c, dir_fd, name, "s-", err);
}

static int scan_tenant(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct scan c = *(struct scan *)arg;
    c.tenant = name;
    c.next = scan_salt;
    return enter(&c, dir_fd, name, "p-", err);
}

int disk_cache_open(struct disk_cache *s, const struct object_store *store,
                    struct err *err)
{
    struct scan c = {.disk_cache = s};
    *s = (struct disk_cache){.store = store};
    int rc = object_store_each(store->fd, scan_tenant, &c, err);
    if (rc)
        disk_cache_close(s);
    return rc;
}

void disk_cache_close(struct disk_cache *s)
{
    for (size_t i = 0; i < s->n; i++)
        mem_free(s->list[i].path);
    mem_free(s->list);
    *s = (struct disk_cache){0};
}

/* ---- workers ---------------------------------------------------------------- */

/* The directory of a place, made if need be; O_NOFOLLOW at every level. */
static int open_group(const struct object_store *s, const struct disk_cache_place *p,
                      bool make, const char **name)
{
    char tenant[OBJECT_STORE_DIR_BYTES], salt[OBJECT_STORE_DIR_BYTES];
    const char *a = strchr(p->path, '/'), *b = strrchr(p->path, '/');
    snprintf(tenant, sizeof tenant, "%.*s", (int)(a - p->path), p->path);
    snprintf(salt, sizeof salt, "%.*s", (int)(b - a - 1), a + 1);
    *name = b + 1;
    if (make)
        mkdirat(s->fd, tenant, 0700);
    int up = openat(s->fd, tenant, FIND_FLAGS | O_DIRECTORY);
    if (up < 0)
        return -1;
    if (make)
        mkdirat(up, salt, 0700);
    int fd = openat(up, salt, FIND_FLAGS | O_DIRECTORY);
    close(up);
    return fd;
}

int disk_cache_read(const struct object_store *s, const struct disk_cache_place *place,
                    struct err *err)
{
    const char *name;
    struct stat st;
    int dir = open_group(s, place, false, &name);
    int fd = dir < 0 ? -1 : openat(dir, name, FIND_FLAGS | O_NONBLOCK);
    bool gone = fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    if (dir >= 0)
        close(dir);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    if (fd >= 0)
        close(fd);
    return gone ? err_set(err, ERR_NOT_FOUND, "a kept checkpoint is not there any more")
                : err_set(err, ERR_IO, "a kept checkpoint cannot be opened");
}

void disk_cache_remove(const struct object_store *s, const struct disk_cache_place *place)
{
    const char *name;
    int dir = open_group(s, place, false, &name);
    if (dir < 0)
        return;
    unlinkat(dir, name, 0);
    close(dir);
}

/* Adds what lies below, at any depth; links are not followed. */
static int add_tree(void *arg, int dir_fd, const char *name, struct err *err)
{
    uint64_t *sum = arg;
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (S_ISREG(st.st_mode))
        *sum += (uint64_t)st.st_size;
    int fd = S_ISDIR(st.st_mode) ? openat(dir_fd, name, FIND_FLAGS | O_DIRECTORY) : -1;
    if (fd < 0)
        return 0;
    int rc = object_store_each(fd, add_tree, sum, err);
    close(fd);
    return rc;
}

/* Of the place's tenant: what clients stored, and what is kept. */
static int used_by_tenant(const struct object_store *s, const char *path, uint64_t *sum,
                          struct err *err)
{
    char name[OBJECT_STORE_DIR_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)(strchr(path, '/') - path), path);
    int rc = add_tree(sum, s->fd, name, err);
    name[0] = 't';
    return rc ? rc : add_tree(sum, s->fd, name, err);
}

/* Bytes beyond a quota with so many more; 0: within. */
static uint64_t beyond(uint64_t used, uint64_t more, uint64_t limit)
{
    return limit && used + more > limit ? used + more - limit : 0;
}

int disk_cache_begin(const struct object_store *s, struct object_writer *d,
                     const struct disk_cache_place *place, uint64_t bytes,
                     struct disk_cache_excess *over, struct err *err)
{
    uint64_t own = 0, all = 0;
    const char *name;
    *over = (struct disk_cache_excess){0};
    if (s->o.object_bytes && bytes > s->o.object_bytes)
        return err_set(err, ERR_TOO_LARGE,
                       "a checkpoint is larger than an object may be");
    int rc = s->o.tenant_bytes ? used_by_tenant(s, place->path, &own, err) : 0;
    if (rc == 0 && s->o.total_bytes)
        rc = object_store_each(s->fd, add_tree, &all, err);
    if (rc)
        return rc;
    over->tenant = beyond(own, bytes, s->o.tenant_bytes);
    over->all = beyond(all, bytes, s->o.total_bytes);
    if (over->tenant || over->all)
        return err_set(err, ERR_QUOTA, "no room for a checkpoint");
    int dir = open_group(s, place, true, &name);
    return dir < 0 ? object_store_io_error(err, "a checkpoint's directory")
                   : object_writer_begin_in(d, dir, name, bytes, err);
}
