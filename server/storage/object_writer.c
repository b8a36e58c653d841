/* Reservations, temporaries, locks and renames.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/object_writer.h"

#include "server/storage/object_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- quotas ----------------------------------------------------------------- */

static int check_size(const struct object_store *s, uint64_t bytes, struct err *err)
{
    if (s->o.object_bytes == 0 || bytes <= s->o.object_bytes)
        return 0;
    return err_set(err, ERR_TOO_LARGE,
                   "state object: %llu bytes exceed the limit of %llu",
                   (unsigned long long)bytes, (unsigned long long)s->o.object_bytes);
}

/* Of a client's object: no other process has changed the tenant's directory. */
static bool agrees(const struct object_writer *d)
{
    return !d->entry && object_scan_agrees(d->store, d->dir_fd, d->tenant_dir);
}

/* Only the object that is replaced does not count. */
static int try_reserve(const struct object_store *s, const struct object_writer *d,
                       struct err *err)
{
    int rc = 0;
    ledger_lock_files(s->ledger);
    if (!agrees(d))
        rc = object_scan_clients(s, d->dir_fd, d->tenant_dir, err);
    if (rc == 0)
        rc = disk_cache_reserve(s, d->tenant_dir, d->bytes,
                                object_store_use_of(d->dir_fd, d->name), err);
    ledger_unlock_files(s->ledger);
    return rc;
}

/* Before it is refused, what other processes have removed is noticed. */
static int reserve(const struct object_store *s, const struct object_writer *d,
                   struct err *err)
{
    int rc = try_reserve(s, d, err);
    if (rc == -ERR_QUOTA && object_scan_if_old(s))
        rc = try_reserve(s, d, err);
    return rc;
}

static void release(const struct object_writer *d)
{
    if (d->entry) {
        disk_cache_give_up(d->store->cache, d->entry);
        return;
    }
    ledger_lock(d->store->ledger);
    struct ledger_account *a = ledger_account(d->store->ledger, d->tenant_dir + 2);
    ledger_release(d->store->ledger, a, d->bytes);
    ledger_unlock(d->store->ledger);
}

/* ---- writing ---------------------------------------------------------------- */

/* A fresh locked temporary. Between its making and the lock another process may have
 * taken it for a stale one: then there is no name to it any more. */
static int make_temp(struct object_writer *d)
{
    for (int tries = 0; tries < 8; tries++) {
        uint32_t x;
        struct stat st;
        if (getrandom(&x, sizeof x, 0) != (ssize_t)sizeof x)
            return -1;
        snprintf(d->temp, sizeof d->temp, "%s%08x%08x", OBJECT_STORE_TEMP,
                 d->store->writer, x);
        d->fd = openat(d->dir_fd, d->temp,
                       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (d->fd < 0 && errno == EEXIST)
            continue;
        if (d->fd < 0)
            return -1;
        if (flock(d->fd, LOCK_EX) == 0 && fstat(d->fd, &st) == 0 && st.st_nlink > 0)
            return 0;
        close(d->fd);
    }
    return -1;
}

/* Its name is noted: the next save need not walk the directory for it. */
static int make_noted_temp(struct object_writer *d)
{
    ledger_lock_files(d->store->ledger);
    bool agreed = agrees(d);
    int rc = make_temp(d), why = errno;
    if (agreed)
        object_scan_note(d->store, d->dir_fd, d->tenant_dir);
    ledger_unlock_files(d->store->ledger);
    errno = why;
    return rc;
}

/* Disk space now instead of an error in the middle, where the file system can. */
static int allocate(int fd, uint64_t bytes)
{
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0)
        return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS ? ftruncate(fd, (off_t)bytes) : -1;
}

/* The temporary of what was reserved. */
static int begin(struct object_writer *d, struct err *err)
{
    if (make_noted_temp(d) != 0) {
        int rc = object_store_io_error(err, "writing");
        release(d);
        close(d->dir_fd);
        return rc;
    }
    d->open = true;
    if (allocate(d->fd, d->bytes) == 0)
        return 0;
    int rc = object_store_io_error(err, "writing");
    object_writer_abandon(d);
    return rc;
}

int object_writer_begin(const struct object_store *s, struct object_writer *d,
                        const char *tenant, const char *name, uint64_t bytes,
                        struct err *err)
{
    *d = (struct object_writer){.store = s, .fd = -1, .bytes = bytes};
    int rc = check_size(s, bytes, err);
    if (rc)
        return rc;
    if (!object_store_is_object(name))
        return err_set(err, ERR_ARGUMENT, "this is no name for a state object");
    d->dir_fd = object_store_make_tenant(s, tenant, err);
    if (d->dir_fd < 0)
        return d->dir_fd;
    memcpy(d->name, name, strlen(name) + 1);
    object_store_dir_name(d->tenant_dir, "t-", tenant);
    rc = reserve(s, d, err);
    if (rc) {
        close(d->dir_fd);
        return rc;
    }
    return begin(d, err);
}

int object_writer_begin_prefix(const struct object_store *s, struct object_writer *d,
                               const struct disk_cache_place *place, uint64_t bytes,
                               struct err *err)
{
    const char *name;
    *d = (struct object_writer){.store = s, .fd = -1, .bytes = bytes};
    int rc = check_size(s, bytes, err);
    if (rc)
        return rc;
    d->dir_fd = disk_cache_make_group(s, place, &name, err);
    if (d->dir_fd < 0)
        return d->dir_fd;
    snprintf(d->name, sizeof d->name, "%s", name);
    ledger_lock_files(s->ledger);
    rc = disk_cache_reserve_entry(s, place, bytes, &d->entry, err);
    ledger_unlock_files(s->ledger);
    if (rc) {
        close(d->dir_fd);
        return rc;
    }
    return begin(d, err);
}

/* ---- the end ---------------------------------------------------------------- */

static int give_name(struct object_writer *d, bool *replaced)
{
    *replaced = false;
    if (renameat2(d->dir_fd, d->temp, d->dir_fd, d->name, RENAME_NOREPLACE) == 0)
        return 0;
    *replaced = errno == EEXIST;
    if (!*replaced && errno != EINVAL && errno != ENOSYS)
        return -1;
    struct stat st;
    *replaced = fstatat(d->dir_fd, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    return renameat(d->dir_fd, d->temp, d->dir_fd, d->name);
}

/* What was reserved is there now. False: a prefix that was evicted meanwhile. */
static bool settle(struct object_writer *d, struct ledger_use replaced)
{
    struct ledger *l = d->store->ledger;
    if (d->entry)
        return disk_cache_publish(d->store->cache, d->entry);
    ledger_lock(l);
    ledger_settle(l, ledger_account(l, d->tenant_dir + 2), d->bytes, replaced);
    ledger_unlock(l);
    return true;
}

/* Name and ledger change together. */
static int publish(struct object_writer *d, bool *replaced, struct err *err)
{
    int rc = 0;
    ledger_lock_files(d->store->ledger);
    bool agreed = agrees(d);
    struct ledger_use old = object_store_use_of(d->dir_fd, d->name);
    if (give_name(d, replaced) != 0) {
        rc = object_store_io_error(err, "writing");
        object_writer_abandon(d);
    } else if (!settle(d, old)) {
        rc = err_set(err, ERR_QUOTA, "the prefix was evicted while it was written");
        unlinkat(d->dir_fd, d->name, 0);
    }
    if (rc == 0 && agreed)
        object_scan_note(d->store, d->dir_fd, d->tenant_dir);
    ledger_unlock_files(d->store->ledger);
    return rc;
}

int object_writer_commit(struct object_writer *d, bool *replaced, struct err *err)
{
    if (fsync(d->fd) != 0) {
        int rc = object_store_io_error(err, "writing");
        object_writer_abandon(d);
        return rc;
    }
    int rc = publish(d, replaced, err);
    if (!d->open)
        return rc;
    if (rc == 0 && fsync(d->dir_fd) != 0)
        rc = object_store_io_error(err, "writing");
    d->open = false;
    close(d->fd);
    close(d->dir_fd);
    return rc;
}

void object_writer_abandon(struct object_writer *d)
{
    if (!d->open)
        return;
    d->open = false;
    release(d);
    unlinkat(d->dir_fd, d->temp, 0);
    close(d->fd);
    close(d->dir_fd);
}
