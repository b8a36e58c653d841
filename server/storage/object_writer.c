/* Temporaries, locks and renames. */
#include "server/storage/object_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- quotas ----------------------------------------------------------------- */

static int check_quota(uint64_t used, uint64_t limit, const char *whose, struct err *err)
{
    if (limit == 0 || used <= limit)
        return 0;
    return err_set(err, ERR_QUOTA,
                   "state objects: %s is %llu bytes; with this object they are %llu",
                   whose, (unsigned long long)limit, (unsigned long long)used);
}

/* With what is to come beside all that is there; only the object that is replaced does
 * not count. */
static int check_quotas(const struct object_store *s, const struct object_writer *d,
                        const char *tenant, struct object_store_use own, struct err *err)
{
    struct object_store_use others = {0};
    int rc = object_store_used(d->dir_fd, d->name, &own, err);
    if (rc)
        return rc;
    if (own.n > OBJECT_STORE_TENANT_OBJECTS)
        return err_set(err, ERR_QUOTA, "state objects: a tenant has at most %d",
                       OBJECT_STORE_TENANT_OBJECTS);
    rc = check_quota(own.bytes, s->o.tenant_bytes, "your quota", err);
    if (rc == 0 && s->o.total_bytes)
        rc = object_store_used_by_others(s, tenant, &others, err);
    return rc ? rc
              : check_quota(own.bytes + others.bytes, s->o.total_bytes,
                            "the server's quota", err);
}

/* ---- writing ---------------------------------------------------------------- */

/* A fresh locked temporary. Between its making and the lock another process may have
 * taken it for a stale one: then there is no name to it any more. */
static int make_temp(struct object_writer *d)
{
    for (int tries = 0; tries < 8; tries++) {
        uint64_t x;
        struct stat st;
        if (getrandom(&x, sizeof x, 0) != (ssize_t)sizeof x)
            return -1;
        snprintf(d->temp, sizeof d->temp, "%s%016llx", OBJECT_STORE_TEMP,
                 (unsigned long long)x);
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

/* Disk space now instead of an error in the middle, where the file system can. */
static int allocate(int fd, uint64_t bytes)
{
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0)
        return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS ? ftruncate(fd, (off_t)bytes) : -1;
}

int object_writer_begin(const struct object_store *s, struct object_writer *d,
                        const char *tenant, const char *name, uint64_t bytes,
                        struct err *err)
{
    *d = (struct object_writer){.fd = -1};
    if (s->o.object_bytes && bytes > s->o.object_bytes)
        return err_set(err, ERR_TOO_LARGE,
                       "state object: %llu bytes exceed the limit of %llu",
                       (unsigned long long)bytes, (unsigned long long)s->o.object_bytes);
    if (!object_store_is_object(name))
        return err_set(err, ERR_ARGUMENT, "this is no name for a state object");
    d->dir_fd = object_store_make_tenant(s, tenant, err);
    if (d->dir_fd < 0)
        return d->dir_fd;
    memcpy(d->name, name, strlen(name) + 1);
    int rc = check_quotas(s, d, tenant, (struct object_store_use){bytes, 1}, err);
    if (rc == 0 && make_temp(d) != 0)
        rc = object_store_io_error(err, "writing");
    if (rc) {
        close(d->dir_fd);
        return rc;
    }
    d->open = true;
    rc = allocate(d->fd, bytes)
             ? object_store_io_error(err, "writing")
             : check_quotas(s, d, tenant, (struct object_store_use){0}, err);
    if (rc)
        object_writer_abandon(d);
    return rc;
}

int object_writer_begin_in(struct object_writer *d, int dir_fd, const char *name,
                           uint64_t bytes, struct err *err)
{
    *d = (struct object_writer){.fd = -1, .dir_fd = dir_fd};
    snprintf(d->name, sizeof d->name, "%s", name);
    if (make_temp(d) != 0) {
        close(dir_fd);
        return object_store_io_error(err, "writing");
    }
    d->open = true;
    if (allocate(d->fd, bytes) == 0)
        return 0;
    int rc = object_store_io_error(err, "writing");
    object_writer_abandon(d);
    return rc;
}

static int publish(struct object_writer *d, bool *replaced)
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

int object_writer_commit(struct object_writer *d, bool *replaced, struct err *err)
{
    if (fsync(d->fd) != 0 || publish(d, replaced) != 0) {
        int rc = object_store_io_error(err, "writing");
        object_writer_abandon(d);
        return rc;
    }
    int rc = fsync(d->dir_fd) ? object_store_io_error(err, "writing") : 0;
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
    unlinkat(d->dir_fd, d->temp, 0);
    close(d->fd);
    close(d->dir_fd);
}
