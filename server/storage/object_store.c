/* openat and its kin, from the directory downward.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/object_store.h"

#include "api/states.h"
#include "engine/base/mem.h"
#include "server/storage/object_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIND_FLAGS = O_RDONLY | O_NOFOLLOW | O_CLOEXEC };

int object_store_io_error(struct err *err, const char *what)
{
    return err_set(err, err_of_errno(errno), "state directory: %s: %s", what,
                   strerror(errno));
}

/* ---- tenants ---------------------------------------------------------------- */

bool object_store_dir_name(char out[OBJECT_STORE_DIR_BYTES], const char *prefix,
                           const char *text)
{
    size_t n = (size_t)snprintf(out, OBJECT_STORE_DIR_BYTES, "%s", prefix);
    for (; *text; text++) {
        char c = *text;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (n + 4 > OBJECT_STORE_DIR_BYTES)
            return false;
        n += (size_t)snprintf(out + n, OBJECT_STORE_DIR_BYTES - n, plain ? "%c" : "=%02X",
                              (unsigned char)c);
    }
    return true;
}

static void tenant_dir(char out[OBJECT_STORE_DIR_BYTES], const char *tenant)
{
    object_store_dir_name(out, "t-", tenant); /* keys.c bounds a tenant's name */
}

/* The tenant's directory, or -ERR_NOT_FOUND without one. */
static int find_tenant(const struct object_store *s, const char *tenant, struct err *err)
{
    char name[OBJECT_STORE_DIR_BYTES];
    tenant_dir(name, tenant);
    int fd = openat(s->fd, name, FIND_FLAGS | O_DIRECTORY);
    if (fd >= 0)
        return fd;
    return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no such state object")
                           : object_store_io_error(err, "a tenant's directory");
}

int object_store_make_tenant(const struct object_store *s, const char *tenant,
                             struct err *err)
{
    char name[OBJECT_STORE_DIR_BYTES];
    tenant_dir(name, tenant);
    if (mkdirat(s->fd, name, 0700) != 0 && errno != EEXIST)
        return object_store_io_error(err, "a tenant's directory");
    if (fsync(s->fd) != 0) /* who has made it may not have come to that yet */
        return object_store_io_error(err, "a tenant's directory");
    return find_tenant(s, tenant, err);
}

/* ---- walking ---------------------------------------------------------------- */

int object_store_each(int dir_fd, object_store_entry_fn *fn, void *arg, struct err *err)
{
    int copy = openat(dir_fd, ".", FIND_FLAGS | O_DIRECTORY);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        int rc = object_store_io_error(err, "listing");
        if (copy >= 0)
            close(copy);
        return rc;
    }
    int rc = 0;
    const struct dirent *e;
    while (rc == 0 && (errno = 0, e = readdir(d)))
        rc = fn(arg, dir_fd, e->d_name, err);
    if (rc == 0 && errno)
        rc = object_store_io_error(err, "listing");
    closedir(d);
    return rc;
}

int object_store_find_file(int dir_fd, const char *name, struct stat *st, struct err *err)
{
    if (fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISREG(st->st_mode);
    return errno == ENOENT ? 0 : object_store_io_error(err, "listing");
}

struct ledger_use object_store_use_of(int dir_fd, const char *name)
{
    struct stat st;
    if (object_store_find_file(dir_fd, name, &st, NULL) <= 0)
        return (struct ledger_use){0};
    return (struct ledger_use){(uint64_t)st.st_size, 1};
}

bool object_store_is_object(const char *name)
{
    return states_is_name(name, strlen(name));
}

/* ---- opening ---------------------------------------------------------------- */

/* Makes the fresh directory's own name durable. */
static int sync_parent(int fd)
{
    int up = openat(fd, "..", FIND_FLAGS | O_DIRECTORY);
    int rc = up < 0 ? -1 : fsync(up);
    if (up >= 0)
        close(up);
    return rc;
}

static int open_ledger(struct object_store *s, struct err *err)
{
    if (getrandom(&s->writer, sizeof s->writer, 0) != (ssize_t)sizeof s->writer)
        return object_store_io_error(err, "random numbers");
    int rc = ledger_open(&s->ledger, &s->o.limits, err);
    if (rc)
        return rc;
    s->cache = mem_alloc(sizeof *s->cache);
    if (!s->cache)
        return err_set(err, ERR_MEMORY, "out of memory for the disk cache");
    disk_cache_init(s->cache, s->ledger);
    return 0;
}

int object_store_open(struct object_store *s, const struct object_store_options *o,
                      struct err *err)
{
    *s = (struct object_store){.fd = -1, .o = *o};
    bool fresh = mkdir(o->dir, 0700) == 0;
    if (fresh || errno == EEXIST)
        s->fd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0 || (fresh && sync_parent(s->fd) != 0)) {
        int rc = err_param(err, ERR_IO, "state.dir", "state.dir: %.300s: %s", o->dir,
                           strerror(errno));
        object_store_close(s);
        return rc;
    }
    int rc = open_ledger(s, err);
    if (rc == 0)
        rc = object_scan(s, err);
    if (rc)
        object_store_close(s);
    return rc;
}

void object_store_close(struct object_store *s)
{
    if (s->cache)
        disk_cache_close(s->cache);
    mem_free(s->cache);
    ledger_close(s->ledger);
    if (s->fd >= 0)
        close(s->fd);
    *s = (struct object_store){.fd = -1};
}

/* ---- limits and sums -------------------------------------------------------- */

int object_store_limit(const struct object_store *s, const char *tenant, uint64_t bytes,
                       struct err *err)
{
    char dir[OBJECT_STORE_DIR_BYTES];
    tenant_dir(dir, tenant);
    ledger_lock(s->ledger);
    struct ledger_account *a = ledger_account(s->ledger, dir + 2);
    if (a)
        a->limit_bytes = bytes;
    ledger_unlock(s->ledger);
    return a ? 0 : err_set(err, ERR_MEMORY, "out of memory for the ledger of state.dir");
}

struct ledger_sums object_store_sums(const struct object_store *s)
{
    ledger_lock(s->ledger);
    struct ledger_sums sums = ledger_sums(s->ledger);
    ledger_unlock(s->ledger);
    return sums;
}

/* ---- reading ---------------------------------------------------------------- */

/* A regular file's descriptor; anything else is not there. */
static int open_object(int dir_fd, const char *name, struct stat *st, struct err *err)
{
    int fd =
        object_store_is_object(name) ? openat(dir_fd, name, FIND_FLAGS | O_NONBLOCK) : -1;
    bool absent = !object_store_is_object(name) || errno == ENOENT || errno == ELOOP ||
                  errno == ENXIO || errno == ENODEV; /* a socket, a device */
    if (fd < 0 && !absent)
        return object_store_io_error(err, "an object");
    if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    if (fd >= 0)
        close(fd);
    return err_set(err, ERR_NOT_FOUND, "there is no such state object");
}

int object_store_read(const struct object_store *s, const char *tenant, const char *name,
                      uint64_t *bytes, struct err *err)
{
    struct stat st;
    int dir_fd = find_tenant(s, tenant, err);
    if (dir_fd < 0)
        return dir_fd;
    int fd = open_object(dir_fd, name, &st, err);
    close(dir_fd);
    if (fd >= 0 && bytes)
        *bytes = (uint64_t)st.st_size;
    return fd;
}

/* Takes an object away, together with what the ledger has of it. */
static int unlink_object(const struct object_store *s, const char *tenant, int dir_fd,
                         const char *name)
{
    char dir[OBJECT_STORE_DIR_BYTES];
    tenant_dir(dir, tenant);
    ledger_lock_files(s->ledger);
    bool agreed = object_scan_agrees(s, dir_fd, dir);
    struct ledger_use use = object_store_use_of(dir_fd, name);
    int rc = unlinkat(dir_fd, name, 0), why = errno;
    ledger_lock(s->ledger);
    struct ledger_account *a = ledger_account(s->ledger, dir + 2);
    if (rc == 0 && use.n && a)
        ledger_removed(s->ledger, a, use.bytes);
    ledger_unlock(s->ledger);
    if (agreed)
        object_scan_note(s, dir_fd, dir);
    ledger_unlock_files(s->ledger);
    errno = why;
    return rc;
}

int object_store_remove(const struct object_store *s, const char *tenant,
                        const char *name, struct err *err)
{
    struct stat st;
    int dir_fd = find_tenant(s, tenant, err);
    if (dir_fd < 0)
        return dir_fd;
    int fd = open_object(dir_fd, name, &st, err), rc = fd < 0 ? fd : 0;
    if (rc == 0 && unlink_object(s, tenant, dir_fd, name) != 0)
        rc = errno == ENOENT
                 ? err_set(err, ERR_NOT_FOUND, "there is no such state object")
                 : object_store_io_error(err, "removing an object");
    if (rc == 0 && fsync(dir_fd) != 0)
        rc = object_store_io_error(err, "removing an object");
    if (fd >= 0)
        close(fd);
    close(dir_fd);
    return rc;
}

/* ---- listing ---------------------------------------------------------------- */

struct listing {
    struct object_store_entry *list; /* owns */
    size_t n, cap;
};

static int add_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct listing *l = arg;
    struct stat st;
    int rc =
        object_store_is_object(name) ? object_store_find_file(dir_fd, name, &st, err) : 0;
    if (rc <= 0)
        return rc;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        void *more = mem_grow(l->list, l->n * sizeof *l->list, cap * sizeof *l->list);
        if (!more)
            return err_set(err, ERR_MEMORY, "out of memory for a list");
        l->list = more;
        l->cap = cap;
    }
    struct object_store_entry *e = &l->list[l->n++];
    *e = (struct object_store_entry){.bytes = (uint64_t)st.st_size,
                                     .created = st.st_mtime};
    memcpy(e->name, name, strlen(name) + 1);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct object_store_entry *)a)->name,
                  ((const struct object_store_entry *)b)->name);
}

int object_store_list(const struct object_store *s, const char *tenant,
                      struct object_store_entry **out, size_t *n, struct err *err)
{
    struct listing l = {0};
    int dir_fd = find_tenant(s, tenant, err);
    int rc = dir_fd < 0 ? dir_fd : object_store_each(dir_fd, add_entry, &l, err);
    if (dir_fd >= 0)
        close(dir_fd);
    if (rc && rc != -ERR_NOT_FOUND) {
        mem_free(l.list);
        return rc;
    }
    if (l.n)
        qsort(l.list, l.n, sizeof *l.list, by_name);
    *out = l.list;
    *n = l.n;
    return 0;
}
