/* Writing an object into the store: what a quota counts and when, what is made durable in
 * which order, and what an error leaves. The system calls below stand before libc's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/object_scan.h"
#include "server/storage/object_writer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char root[64], dir[96];
static struct object_store s;

/* ---- system calls that tell, fail, or let others in first -------------------- */

static struct {
    int fallocates, walks;
    char synced[64], unsyncable[64]; /* the last components of directories */
} calls;

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    calls.fallocates++;
    return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

/* Remembers which directories were synced, by a letter each. */
int fsync(int fd)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (calls.unsyncable[0] && strcmp(name, calls.unsyncable) == 0) {
        errno = EIO;
        return -1;
    }
    size_t used = strlen(calls.synced);
    snprintf(calls.synced + used, sizeof calls.synced - used, "%.4s ", name);
    return (int)syscall(SYS_fsync, fd);
}

DIR *fdopendir(int fd)
{
    DIR *(*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "fdopendir");
    calls.walks++;
    return real(fd);
}

/* ---- a store ---------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    memset(&calls, 0, sizeof calls);
    strcpy(root, "/tmp/ssmd-writer-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(dir, sizeof dir, "%s/states", root);
    return object_store_open(&s, &(struct object_store_options){.dir = dir}, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    memset(&calls, 0, sizeof calls);
    object_store_close(&s);
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int put(const char *tenant, const char *name, uint64_t bytes, struct err *err)
{
    struct object_writer d;
    bool replaced;
    *err = (struct err){0};
    int rc = object_writer_begin(&s, &d, tenant, name, bytes, err);
    return rc ? rc : object_writer_commit(&d, &replaced, err);
}

static bool is_there(const char *tenant, const char *name)
{
    int fd = object_store_read(&s, tenant, name, NULL, NULL);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* ---- quotas ----------------------------------------------------------------- */

static void what_is_refused_takes_no_room_meanwhile(void **state)
{
    (void)state;
    struct err err;
    struct object_writer d;
    s.o.limits = (struct ledger_limits){100, 150};
    assert_int_equal(put("a", "x", 90, &err), 0);
    assert_int_equal(calls.fallocates, 1);
    assert_int_equal(object_writer_begin(&s, &d, "a", "y", 11, &err), -ERR_QUOTA);
    assert_non_null(strstr(err.text, "they are 101"));
    assert_int_equal(object_writer_begin(&s, &d, "b", "y", 61, &err), -ERR_QUOTA);
    assert_non_null(strstr(err.text, "they are 151"));
    assert_int_equal(calls.fallocates, 1);
}

static void what_is_replaced_does_not_count(void **state)
{
    (void)state;
    struct err err;
    struct object_writer d, e;
    bool replaced;
    assert_int_equal(put("a", "w", 40, &err), 0);
    assert_int_equal(put("a", "x", 60, &err), 0);
    for (int total = 0; total < 2; total++) {
        s.o.limits = (struct ledger_limits){total ? 0 : 100, total ? 100 : 0};
        assert_int_equal(object_writer_begin(&s, &d, "a", "x", 61, &err), -ERR_QUOTA);
        assert_int_equal(object_writer_begin(&s, &d, "a", "x", 60, &err), 0);
        object_writer_abandon(&d);
    }
    s.o.limits = (struct ledger_limits){0}; /* two at once: the later one replaces */
    assert_int_equal(object_writer_begin(&s, &d, "a", "x", 50, &err), 0);
    assert_int_equal(object_writer_begin(&s, &e, "a", "x", 30, &err), 0);
    assert_int_equal(object_writer_commit(&d, &replaced, &err), 0);
    assert_int_equal(object_writer_commit(&e, &replaced, &err), 0);
    assert_true(replaced);
    s.o.limits.tenant_bytes = 100;
    assert_int_equal(object_writer_begin(&s, &d, "a", "y", 31, &err), -ERR_QUOTA);
    assert_int_equal(put("a", "y", 30, &err), 0);
}

static void saves_do_not_walk_the_store(void **state)
{
    (void)state;
    struct err err;
    s.o.limits = (struct ledger_limits){1000, 1000};
    assert_int_equal(put("b", "x", 1, &err), 0);
    assert_int_equal(put("a", "x", 1, &err), 0); /* a fresh directory is walked once */
    calls.walks = 0;
    for (int i = 0; i < 20; i++)
        assert_int_equal(put("a", i % 2 ? "x" : "y", 40, &err), 0);
    assert_int_equal(object_store_remove(&s, "a", "x", &err), 0);
    assert_int_equal(calls.walks, 0);
}

/* Whatever there is too little of, nothing counts as empty for it. */
static void what_cannot_be_walked_stays_counted(void **state)
{
    (void)state;
    struct err err;
    struct rlimit old, few;
    assert_int_equal(put("a", "x", 90, &err), 0);
    assert_int_equal(put("c", "x", 20, &err), 0);
    s.o.limits.total_bytes = 110;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int top = dup(0), walked = 0;
    close(top);
    for (int spare = 0; spare < 8; spare++) {
        few = old;
        few.rlim_cur = (rlim_t)(top + spare);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        int rc = object_scan(&s, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_true(rc == 0 || rc == -ERR_IO);
        walked += rc == 0;
        assert_int_equal(put("b", "x", 1, &err), -ERR_QUOTA);
    }
    assert_in_range(walked, 1, 7);
}

static void a_tenant_has_so_many_objects_at_most(void **state)
{
    (void)state;
    struct err err;
    char path[160];
    assert_int_equal(put("a", "x", 1, &err), 0);
    for (int i = 1; i < LEDGER_TENANT_OBJECTS; i++) {
        snprintf(path, sizeof path, "%s/t-a/n%d", dir, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(object_scan(&s, &err), 0);
    assert_int_equal(put("a", "y", 1, &err), -ERR_QUOTA);
    assert_non_null(strstr(err.text, "10000"));
    assert_int_equal(put("a", "x", 1, &err), 0); /* in its own place */
    assert_int_equal(put("b", "y", 1, &err), 0);
}

/* ---- durability ------------------------------------------------------------- */

static void every_name_on_the_way_is_made_durable(void **state)
{
    (void)state;
    struct err err;
    assert_non_null(strstr(calls.synced, "ssmd ")); /* where the fresh directory is */
    assert_int_equal(put("a", "x", 1, &err), 0);
    assert_string_equal(calls.synced + 5, "stat .new t-a ");
    calls.synced[0] = '\0';
    assert_int_equal(put("a", "y", 1, &err), 0); /* its maker may not have synced yet */
    assert_string_equal(calls.synced, "stat .new t-a ");
}

static void every_name_on_the_way_to_a_prefix_too(void **state)
{
    (void)state;
    struct disk_cache_place p;
    struct object_writer d;
    bool replaced;
    int32_t ids[] = {1, 2, 3};
    assert_true(disk_cache_place(&p, s.cache, "a", "b", ids, 3));
    calls.synced[0] = '\0';
    assert_int_equal(object_writer_begin_prefix(&s, &d, &p, 10, NULL), 0);
    assert_int_equal(object_writer_commit(&d, &replaced, NULL), 0);
    assert_string_equal(calls.synced, "stat p-a .new s-b ");
    static const char *const names[] = {"states", "p-a", "s-b"};
    for (int i = 0; i < 3; i++) {
        strcpy(calls.unsyncable, names[i]);
        int rc = object_writer_begin_prefix(&s, &d, &p, 10, NULL);
        if (rc == 0)
            rc = object_writer_commit(&d, &replaced, NULL);
        assert_int_equal(rc, -ERR_IO);
    }
}

static void what_cannot_be_made_durable_is_an_error(void **state)
{
    (void)state;
    struct err err;
    struct object_store other;
    char path[128];
    strcpy(calls.unsyncable, "states");
    assert_int_equal(put("a", "x", 1, &err), -ERR_IO);
    strcpy(calls.unsyncable, strrchr(root, '/') + 1);
    snprintf(path, sizeof path, "%s/other", root);
    assert_int_equal(
        object_store_open(&other, &(struct object_store_options){.dir = path}, &err),
        -ERR_IO);
    assert_string_equal(err.param, "state.dir");
    strcpy(calls.unsyncable, "t-a");
    assert_int_equal(put("a", "x", 1, &err), -ERR_IO);
    assert_true(is_there("a", "x")); /* as the header says */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_refused_takes_no_room_meanwhile),
        TEST(what_is_replaced_does_not_count),
        TEST(saves_do_not_walk_the_store),
        TEST(what_cannot_be_walked_stays_counted),
        TEST(a_tenant_has_so_many_objects_at_most),
        TEST(every_name_on_the_way_is_made_durable),
        TEST(every_name_on_the_way_to_a_prefix_too),
        TEST(what_cannot_be_made_durable_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
