/* The directory of state objects: what is seen, by whom, what crashes leave, and that
 * nothing outside it is ever touched.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "server/storage/object_scan.h"
#include "server/storage/object_writer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64], dir[96];
static struct object_store s;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

/* A store in a fresh directory beside which a file `outside` lies. */
static int set_up(void **state)
{
    (void)state;
    char path[128];
    strcpy(root, "/tmp/ssmd-store-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(dir, sizeof dir, "%s/states", root);
    snprintf(path, sizeof path, "%s/outside", root);
    FILE *f = fopen(path, "w");
    fputs("precious", f);
    fclose(f);
    return object_store_open(&s, &(struct object_store_options){.dir = dir}, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    object_store_close(&s);
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int put(const char *tenant, const char *name, const char *text, struct err *err)
{
    struct object_writer d;
    bool replaced;
    *err = (struct err){0};
    int rc = object_writer_begin(&s, &d, tenant, name, strlen(text), err);
    if (rc)
        return rc;
    assert_int_equal(write(d.fd, text, strlen(text)), (ssize_t)strlen(text));
    rc = object_writer_commit(&d, &replaced, err);
    return rc ? rc : replaced;
}

/* The object's bytes, "" when it is absent. */
static const char *get(const char *tenant, const char *name)
{
    static char text[256];
    struct err err;
    uint64_t bytes = 0;
    int fd = object_store_read(&s, tenant, name, &bytes, &err);
    memset(text, 0, sizeof text);
    if (fd < 0) {
        assert_int_equal(fd, -ERR_NOT_FOUND);
        return text;
    }
    assert_int_equal(read(fd, text, sizeof text - 1), (ssize_t)bytes);
    close(fd);
    return text;
}

/* Entries of a folder below the store, "" = itself, temporaries among them. */
static int count(const char *sub)
{
    char path[256];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    DIR *d = opendir(path);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return d ? n - 2 : 0;
}

static void an_object_appears_whole_and_is_replaced_whole(void **state)
{
    (void)state;
    struct err err;
    struct object_writer d;
    bool replaced = true;
    assert_int_equal(object_writer_begin(&s, &d, "", "a", 5, &err), 0);
    assert_string_equal(get("", "a"), "");
    assert_int_equal(write(d.fd, "first", 5), 5);
    assert_string_equal(get("", "a"), "");
    assert_int_equal(object_writer_commit(&d, &replaced, &err), 0);
    assert_false(replaced);
    assert_string_equal(get("", "a"), "first");
    int old = object_store_read(&s, "", "a", NULL, &err);
    assert_int_equal(put("", "a", "second!", &err), 1);
    assert_string_equal(get("", "a"), "second!");
    char text[8] = {0};
    assert_int_equal(read(old, text, 7), 5); /* who reads keeps what it found */
    assert_string_equal(text, "first");
    close(old);
    assert_int_equal(object_writer_begin(&s, &d, "", "a", 3, &err), 0);
    assert_int_equal(write(d.fd, "new", 3), 3);
    object_writer_abandon(&d);
    object_writer_abandon(&d);
    assert_string_equal(get("", "a"), "second!");
    assert_int_equal(count("t-"), 1);
}

static void what_is_removed_is_gone(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(object_store_remove(&s, "x", "a", &err), -ERR_NOT_FOUND);
    assert_int_equal(put("x", "a", "1", &err), 0);
    assert_int_equal(object_store_remove(&s, "x", "a", &err), 0);
    assert_string_equal(get("x", "a"), "");
    assert_int_equal(object_store_remove(&s, "x", "a", &err), -ERR_NOT_FOUND);
}

static void tenants_see_nothing_of_each_other(void **state)
{
    (void)state;
    static const char *const tenants[] = {
        "",
        "a",
        "A",
        "t-a",
        "a/b",
        "..",
        ".",
        "=",
        "=2F",
        "a=2Fb",
        "a b",
        "-",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "///////////////////////////////////////////////////////////////",
        "..............................................................."};
    enum { N = sizeof tenants / sizeof *tenants };
    struct err err;
    for (int i = 0; i < N; i++)
        assert_int_equal(
            put(tenants[i], "same", tenants[i][0] ? tenants[i] : "none", &err), 0);
    for (int i = 0; i < N; i++) {
        struct object_store_entry *list;
        size_t n;
        assert_string_equal(get(tenants[i], "same"), tenants[i][0] ? tenants[i] : "none");
        assert_int_equal(object_store_list(&s, tenants[i], &list, &n, &err), 0);
        assert_int_equal(n, 1);
        mem_free(list);
    }
    assert_int_equal(count(""), N);
    assert_string_equal(get("nobody", "same"), "");
}

static void names_that_lead_elsewhere_are_no_objects(void **state)
{
    (void)state;
    static const char *const names[] = {
        "..", ".",      "../outside", "../../outside", "/etc/passwd", "t-/../../outside",
        "",   ".new-1", "a/b"};
    struct err err;
    assert_int_equal(put("", "a", "1", &err), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_string_equal(get("", names[i]), "");
        assert_int_equal(object_store_remove(&s, "", names[i], &err), -ERR_NOT_FOUND);
        assert_int_equal(put("", names[i], "x", &err), -ERR_ARGUMENT);
    }
    assert_int_equal(count("t-"), 1);
}

static void links_and_other_things_are_not_followed(void **state)
{
    (void)state;
    struct err err;
    char path[160], target[128];
    struct object_store_entry *list;
    size_t n;
    snprintf(target, sizeof target, "%s/outside", root);
    assert_int_equal(put("", "real", "1", &err), 0);
    snprintf(path, sizeof path, "%s/t-/link", dir);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/t-/folder", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/t-/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%.80s/t-/socket", dir);
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(sock, (struct sockaddr *)&sa, sizeof sa), 0);
    close(sock);
    static const char *const others[] = {"link", "folder", "pipe", "socket"};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(get("", others[i]), "");
        assert_int_equal(object_store_remove(&s, "", others[i], &err), -ERR_NOT_FOUND);
    }
    assert_int_equal(object_store_list(&s, "", &list, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].name, "real");
    mem_free(list);
    assert_int_equal(put("", "link", "mine", &err), 1); /* the link goes, not its end */
    assert_string_equal(get("", "link"), "mine");
    FILE *f = fopen(target, "r");
    char text[16] = {0};
    assert_int_equal(fread(text, 1, 15, f), 8);
    fclose(f);
    assert_string_equal(text, "precious");

    snprintf(path, sizeof path, "%s/t-evil", dir);
    assert_int_equal(symlink(root, path), 0);
    assert_true(object_store_read(&s, "evil", "outside", NULL, &err) < 0);
    assert_true(put("evil", "x", "1", &err) < 0);
    assert_true(object_store_list(&s, "evil", &list, &n, &err) < 0);
}

static void a_list_is_in_the_order_of_names(void **state)
{
    (void)state;
    struct err err;
    struct object_store_entry *list;
    struct object_writer d;
    size_t n = 9;
    assert_int_equal(object_store_list(&s, "", &list, &n, &err), 0);
    assert_int_equal(n, 0);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%03d", i * 7 % 200);
        assert_int_equal(put("", name, name, &err), 0);
    }
    assert_int_equal(object_writer_begin(&s, &d, "", "half", 4, &err), 0);
    assert_int_equal(object_store_list(&s, "", &list, &n, &err), 0);
    assert_int_equal(n, 200);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%03d", i);
        assert_string_equal(list[i].name, name);
        assert_int_equal(list[i].bytes, 4);
        assert_true(list[i].created > 1600000000);
    }
    mem_free(list);
    object_writer_abandon(&d);
    for (long k = 1; k <= 3; k++) { /* 64, 128, 256 entries */
        mem_fail_after(k);
        assert_int_equal(object_store_list(&s, "", &list, &n, &err), -ERR_MEMORY);
        mem_fail_after(0);
    }
}

static void quotas_hold_with_what_is_being_written(void **state)
{
    (void)state;
    struct err err;
    struct object_writer d;
    s.o.object_bytes = 60;
    s.o.limits = (struct ledger_limits){100, 150};
    assert_int_equal(object_writer_begin(&s, &d, "a", "x", 61, &err), -ERR_TOO_LARGE);
    assert_int_equal(object_writer_begin(&s, &d, "a", "x", 60, &err), 0);
    struct object_writer second;
    assert_int_equal(object_writer_begin(&s, &second, "a", "y", 41, &err), -ERR_QUOTA);
    assert_int_equal(object_writer_begin(&s, &second, "a", "y", 40, &err), 0);
    assert_int_equal(put("a", "z", "1", &err), -ERR_QUOTA);
    assert_non_null(strstr(err.text, "your quota is 100 bytes"));
    assert_int_equal(
        put("b", "z", "0123456789012345678901234567890123456789012345678901", &err),
        -ERR_QUOTA);
    assert_non_null(strstr(err.text, "the server's quota is 150 bytes"));
    assert_int_equal(
        put("b", "z", "01234567890123456789012345678901234567890123456789", &err), 0);
    object_writer_abandon(&second);
    bool replaced;
    assert_int_equal(object_writer_commit(&d, &replaced, &err), 0);
    assert_int_equal(object_writer_begin(&s, &d, "a", "x", 60, &err),
                     0); /* in its own place */
    object_writer_abandon(&d);
    assert_int_equal(object_writer_begin(&s, &d, "a", "y", 60, &err), -ERR_QUOTA);
    assert_int_equal(count("t-a"), 1);
    assert_int_equal(count("t-b"), 1);
}

/* ---- prefixes --------------------------------------------------------------- */

static const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static int put_prefix(struct object_store *to, const char *tenant, int n, uint64_t bytes)
{
    struct disk_cache_place p;
    struct object_writer d;
    bool replaced;
    assert_true(disk_cache_place(&p, to->cache, tenant, "", ids, n));
    int rc = object_writer_begin_prefix(to, &d, &p, bytes, NULL);
    return rc ? rc : object_writer_commit(&d, &replaced, NULL);
}

/* The depth of the deepest prefix that is found and is there. */
static int find_prefix(struct object_store *in, const char *tenant)
{
    struct disk_cache_place p;
    if (!disk_cache_find(in->cache, tenant, "", ids, 9, &p))
        return 0;
    int fd = disk_cache_read(in, &p, NULL);
    assert_true(fd >= 0);
    close(fd);
    return p.depth;
}

static uint64_t sum;

static int add_size(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path, (void)at;
    sum += kind == FTW_F ? (uint64_t)st->st_size : 0;
    return 0;
}

static uint64_t bytes_there(void)
{
    sum = 0;
    assert_int_equal(nftw(dir, add_size, 8, FTW_PHYS), 0);
    return sum;
}

static void prefixes_give_way_to_objects(void **state)
{
    (void)state;
    struct err err;
    for (int total = 0; total < 2; total++) {
        *(total ? &s.o.limits.total_bytes : &s.o.limits.tenant_bytes) = 100;
        for (int n = 1; n <= 9; n++) {
            assert_int_equal(put_prefix(&s, "a", n, 30), 0);
            assert_true(bytes_there() <= 100);
        }
        assert_int_equal(count("p-a/s-"), 3);
        assert_int_equal(put("a", "x", "0123456789012345", &err), 0);
        assert_int_equal(count("p-a/s-"), 2);
        assert_int_equal(find_prefix(&s, "a"), 9); /* the last that was used */
        assert_int_equal(put_prefix(&s, "a", 1, 85), -ERR_QUOTA);
        assert_int_equal(count("p-a/s-"), 2);
        struct object_writer d;
        assert_int_equal(object_writer_begin(&s, &d, "a", "y", 84, &err), 0);
        assert_int_equal(count("p-a/s-"), 0);
        assert_int_equal(bytes_there(), 100);
        assert_int_equal(put_prefix(&s, "a", 1, 1), -ERR_QUOTA);
        object_writer_abandon(&d);
        assert_int_equal(put_prefix(&s, "a", 1, 84), 0);
        assert_int_equal(object_store_remove(&s, "a", "x", &err), 0);
        assert_int_equal(put_prefix(&s, "a", 2, 16), 0);
        assert_int_equal(find_prefix(&s, "a"), 2);
        s.o.limits = (struct ledger_limits){0};
    }
}

static void a_tenant_may_have_its_own_limit(void **state)
{
    (void)state;
    struct err err;
    s.o.limits.tenant_bytes = 20;
    assert_int_equal(object_store_limit(&s, "large.", 100, &err), 0);
    assert_int_equal(object_store_limit(&s, "small", 10, &err), 0);
    assert_int_equal(put("large.", "a", "0123456789012345678901234", &err), 0);
    assert_int_equal(put("small", "a", "01234567890", &err), -ERR_QUOTA);
    assert_non_null(strstr(err.text, "quota is 10 "));
    assert_int_equal(put("other", "a", "012345678901234567890", &err), -ERR_QUOTA);
    assert_int_equal(put("other", "a", "01234567890123456789", &err), 0);
    assert_int_equal(put_prefix(&s, "large.", 3, 75), 0); /* 25 and 75 are full */
    assert_int_equal(put_prefix(&s, "small", 3, 11), -ERR_QUOTA);
    assert_int_equal(put("large.", "b", "0", &err), 0);
    assert_int_equal(find_prefix(&s, "large."), 0); /* its own gave way, for its own */
    assert_int_equal(object_store_limit(&s, "large.", 30, &err), 0);
    assert_string_equal(get("large.", "a"), "0123456789012345678901234"); /* it stays */
    assert_int_equal(put("large.", "c", "01234", &err), -ERR_QUOTA);
    assert_int_equal(object_store_limit(&s, "large.", 0, &err), 0);
    assert_int_equal(put("large.", "b", "", &err), -ERR_QUOTA); /* 25 of 20 */
}

static void sums_are_of_all_tenants(void **state)
{
    (void)state;
    struct err err;
    struct object_writer d;
    assert_int_equal(put("a", "x", "0123456789", &err), 0);
    assert_int_equal(put("b", "x", "01234", &err), 0);
    assert_int_equal(put_prefix(&s, "a", 3, 50), 0);
    assert_int_equal(object_writer_begin(&s, &d, "b", "y", 100, &err), 0);
    struct ledger_sums sums = object_store_sums(&s);
    assert_int_equal(sums.clients.bytes, 115); /* with what is being written */
    assert_int_equal(sums.clients.n, 3);
    assert_int_equal(sums.persisted.bytes, 50);
    assert_int_equal(sums.persisted.n, 1);
    object_writer_abandon(&d);
    assert_int_equal(object_store_remove(&s, "a", "x", &err), 0);
    sums = object_store_sums(&s);
    assert_int_equal(sums.clients.bytes, 5);
    assert_int_equal(sums.clients.n, 1);
}

static void a_prefix_that_is_being_written_gives_way(void **state)
{
    (void)state;
    struct err err;
    struct disk_cache_place p;
    struct object_writer d;
    bool replaced;
    s.o.limits.total_bytes = 100;
    assert_true(disk_cache_place(&p, s.cache, "a", "", ids, 3));
    assert_int_equal(object_writer_begin_prefix(&s, &d, &p, 95, &err), 0);
    assert_int_equal(put("b", "x", "0123456789", &err), 0);
    assert_int_equal(object_writer_commit(&d, &replaced, &err), -ERR_QUOTA);
    assert_int_equal(bytes_there(), 10);
    assert_int_equal(find_prefix(&s, "a"), 0);
}

/* ---- several processes ------------------------------------------------------ */

static void what_others_did_is_seen_by_a_walk(void **state)
{
    (void)state;
    struct err err;
    struct object_store other;
    struct object_store_options o = {.dir = dir, .limits = {100, 0}};
    assert_int_equal(put("a", "x", "0123456789", &err), 0);
    assert_int_equal(put_prefix(&s, "a", 3, 50), 0);
    assert_int_equal(object_store_open(&other, &o, &err), 0);
    assert_int_equal(find_prefix(&other, "a"), 3);
    assert_int_equal(put_prefix(&s, "a", 5, 25), 0);
    assert_int_equal(find_prefix(&other, "a"), 3);
    assert_int_equal(object_scan(&other, &err), 0);
    assert_int_equal(find_prefix(&other, "a"), 5);
    assert_int_equal(put_prefix(&other, "a", 6, 15), 0);
    assert_int_equal(put_prefix(&other, "a", 7, 1), 0); /* 10 + 50 + 25 + 15 are full */
    assert_int_equal(count("p-a/s-"), 3);
    assert_int_equal(object_scan(&s, &err), 0);
    assert_int_equal(find_prefix(&s, "a"), 7);
    assert_int_equal(s.cache->index.n, 3);
    struct object_writer half; /* another's counts while it is written */
    assert_int_equal(object_writer_begin(&s, &half, "a", "y", 80, &err), 0);
    assert_int_equal(object_scan(&s, &err), 0); /* its writer's own stays counted, too */
    s.o.limits.tenant_bytes = 100;
    assert_int_equal(put("a", "z", "01234567890", &err), -ERR_QUOTA);
    assert_int_equal(
        object_writer_begin(&other, &(struct object_writer){0}, "a", "z", 11, &err),
        -ERR_QUOTA);
    object_writer_abandon(&half);
    assert_int_equal(object_writer_begin(&other, &half, "a", "z", 90, &err), 0);
    object_writer_abandon(&half);
    object_store_close(&other);
}

static void a_directory_that_is_gone_counts_no_more(void **state)
{
    (void)state;
    struct err err;
    char path[256];
    s.o.limits.tenant_bytes = 100;
    assert_int_equal(put_prefix(&s, "a", 3, 40), 0);
    assert_int_equal(put("b", "x", "0123456789", &err), 0);
    snprintf(path, sizeof path, "%s/p-a", dir);
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    snprintf(path, sizeof path, "%s/t-b", dir);
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(object_scan(&s, &err), 0);
    assert_int_equal(s.cache->index.n, 0);
    struct object_writer d;
    assert_int_equal(object_writer_begin(&s, &d, "b", "y", 100, &err), 0);
    object_writer_abandon(&d);
}

/* ---- several threads -------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 150, TENANTS = 3 };

static const char *const tenants[TENANTS] = {"a", "b", "c"};

static void write_something(unsigned x, struct err *err)
{
    struct object_writer d;
    struct disk_cache_place p;
    char name[8];
    bool replaced;
    const char *tenant = tenants[x % TENANTS];
    uint64_t bytes = 1 + x / 64 % 200;
    snprintf(name, sizeof name, "n%u", x / 3 % 5);
    int rc = x & 32 ? object_writer_begin(&s, &d, tenant, name, bytes, err)
             : disk_cache_place(&p, s.cache, tenant, "", ids, 1 + (int)(x / 3 % 9))
                 ? object_writer_begin_prefix(&s, &d, &p, bytes, err)
                 : 0;
    if (rc == 0 && x & 4096)
        object_writer_abandon(&d);
    else if (rc == 0)
        rc = object_writer_commit(&d, &replaced, err);
    if (rc != 0 && rc != -ERR_QUOTA)
        abort(); /* cmocka's asserts are for one thread */
}

static void *be_busy(void *arg)
{
    unsigned x = *(unsigned *)arg;
    struct err err;
    struct disk_cache_place p;
    for (int i = 0; i < ROUNDS; i++) {
        x = x * 1664525u + 1013904223u;
        unsigned what = x >> 28;
        const char *tenant = tenants[x / 8 % TENANTS];
        if (what == 0 && object_scan(&s, &err))
            abort();
        else if (what == 1)
            object_store_remove(&s, tenant, "n1", &err);
        else if (what < 4 && disk_cache_find(s.cache, tenant, "", ids, 9, &p) &&
                 what == 2)
            disk_cache_remove(&s, &p);
        else
            write_something(x >> 8, &err);
    }
    return NULL;
}

/* What the ledger says after all that is what a walk finds. */
static void many_at_once_are_counted(void **state)
{
    (void)state;
    struct err err;
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    struct ledger_use before[TENANTS][2];
    s.o.limits = (struct ledger_limits){900, 1500};
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, be_busy, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(bytes_there() <= 1500);
    for (int i = 0; i < TENANTS; i++) {
        const struct ledger_account *a = ledger_account(s.ledger, tenants[i]);
        before[i][0] = a->clients;
        before[i][1] = a->persisted;
        assert_int_equal(a->writing.n, 0);
        assert_true(a->clients.bytes + a->persisted.bytes <= 900);
    }
    assert_int_equal(object_scan(&s, &err), 0);
    for (int i = 0; i < TENANTS; i++) {
        const struct ledger_account *a = ledger_account(s.ledger, tenants[i]);
        assert_memory_equal(&before[i][0], &a->clients, sizeof a->clients);
        assert_memory_equal(&before[i][1], &a->persisted, sizeof a->persisted);
    }
}

/* A child begins an object and is killed; answers when it is dead. */
static void die_while_writing(const char *name)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct object_writer d;
        struct err err;
        if (object_writer_begin(&s, &d, "", name, 100, &err) == 0 &&
            write(d.fd, "half", 4) == 4 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ready[0]);
    close(ready[1]);
}

static void what_the_dead_left_goes_at_the_next_start(void **state)
{
    (void)state;
    struct err err;
    struct object_writer live;
    assert_int_equal(put("", "a", "old", &err), 0);
    char path[160];
    die_while_writing("a");
    die_while_writing("b");
    snprintf(path, sizeof path, "%s/t-/.new-pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_string_equal(get("", "a"), "old");
    assert_string_equal(get("", "b"), "");
    assert_int_equal(object_writer_begin(&s, &live, "", "c", 3, &err), 0);
    assert_int_equal(count("t-"), 5);
    struct object_store other;
    assert_int_equal(
        object_store_open(&other, &(struct object_store_options){.dir = dir}, &err), 0);
    assert_int_equal(count("t-"), 3); /* the old object, the live temporary, the pipe */
    bool replaced;
    assert_int_equal(write(live.fd, "new", 3), 3);
    assert_int_equal(object_writer_commit(&live, &replaced, &err), 0);
    assert_string_equal(get("", "c"), "new");
    object_store_close(&other);
}

static void a_disk_that_refuses_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    struct err err;
    struct object_writer d;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(put("", "a", "old", &err), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(object_writer_begin(&s, &d, "", "a", 1001, &err), -ERR_STORAGE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(count("t-"), 1);
    assert_string_equal(get("", "a"), "old");

    int fd = s.fd;
    s.fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
    assert_int_equal(object_writer_begin(&s, &d, "", "a", 1, &err), -ERR_IO);
    close(s.fd);
    s.fd = fd;
}

static void a_directory_that_cannot_be_is_named(void **state)
{
    (void)state;
    struct err err;
    struct object_store x;
    char path[128];
    snprintf(path, sizeof path, "%s/outside", root);
    static const char *const bad[] = {"/nowhere/at/all", "/proc/nowhere", NULL};
    for (int i = 0; i < 3; i++) {
        struct object_store_options o = {.dir = bad[i] ? bad[i] : path};
        assert_int_equal(object_store_open(&x, &o, &err), -ERR_IO);
        assert_string_equal(err.param, "state.dir");
        assert_non_null(strstr(err.text, o.dir));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_object_appears_whole_and_is_replaced_whole),
        TEST(what_is_removed_is_gone),
        TEST(tenants_see_nothing_of_each_other),
        TEST(names_that_lead_elsewhere_are_no_objects),
        TEST(links_and_other_things_are_not_followed),
        TEST(a_list_is_in_the_order_of_names),
        TEST(quotas_hold_with_what_is_being_written),
        TEST(prefixes_give_way_to_objects),
        TEST(a_tenant_may_have_its_own_limit),
        TEST(sums_are_of_all_tenants),
        TEST(a_prefix_that_is_being_written_gives_way),
        TEST(what_others_did_is_seen_by_a_walk),
        TEST(a_directory_that_is_gone_counts_no_more),
        TEST(many_at_once_are_counted),
        TEST(what_the_dead_left_goes_at_the_next_start),
        TEST(a_disk_that_refuses_is_an_error_and_leaves_nothing),
        TEST(a_directory_that_cannot_be_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
