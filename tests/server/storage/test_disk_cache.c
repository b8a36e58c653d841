/* The disk cache: what is found for a prompt, what is evicted first, whose it is. There is
 * no directory behind it here: removing files fails without a word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/object_store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 40 };

static int32_t ids[N];
static struct disk_cache cache;
static struct object_store store;

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        ids[i] = i * 7;
    store = (struct object_store){.fd = -1, .cache = &cache};
    int rc = ledger_open(&store.ledger, &store.o.limits, NULL);
    disk_cache_init(&cache, store.ledger);
    return rc;
}

static int tear_down(void **state)
{
    (void)state;
    disk_cache_close(&cache);
    ledger_close(store.ledger);
    return 0;
}

static struct disk_cache_place place_of(const char *tenant, const char *salt, int n)
{
    struct disk_cache_place p;
    assert_true(disk_cache_place(&p, &cache, tenant, salt, ids, n));
    assert_int_equal(p.depth, n);
    return p;
}

static bool has(const char *tenant, const char *salt, int n)
{
    struct disk_cache_place p = place_of(tenant, salt, n);
    return disk_cache_has(&cache, &p);
}

static struct cache_entry *reserve(const char *tenant, const char *salt, int n,
                                   uint64_t bytes)
{
    struct disk_cache_place p = place_of(tenant, salt, n);
    struct cache_entry *e = NULL;
    int rc = disk_cache_reserve_entry(&store, &p, bytes, &e, NULL);
    assert_int_equal(rc, e ? 0 : -ERR_QUOTA);
    return e;
}

static void add(const char *tenant, const char *salt, int n)
{
    assert_true(disk_cache_publish(&cache, reserve(tenant, salt, n, 100)));
    assert_true(has(tenant, salt, n));
}

static int found(const char *tenant, const char *salt, int n)
{
    struct disk_cache_place p = {.depth = 0};
    bool is = disk_cache_find(&cache, tenant, salt, ids, n, &p);
    assert_int_equal(is, p.depth > 0);
    return p.depth;
}

static int put(const char *tenant_dir, uint64_t bytes)
{
    return disk_cache_reserve(&store, tenant_dir, bytes, (struct ledger_use){0}, NULL);
}

static void the_deepest_that_begins_a_prompt(void **state)
{
    (void)state;
    assert_int_equal(found("a", NULL, N), 0);
    add("a", NULL, 3);
    add("a", NULL, 20);
    add("a", NULL, 11);
    assert_int_equal(cache.index.n, 3);
    assert_int_equal(found("a", "", N), 20);
    assert_int_equal(found("a", "", 20), 20);
    assert_int_equal(found("a", "", 19), 11);
    assert_int_equal(found("a", "", 3), 3);
    assert_int_equal(found("a", "", 2), 0);
    ids[15]++;
    assert_int_equal(found("a", "", N), 11);
    ids[1]++;
    assert_int_equal(found("a", "", N), 0);
}

static void nobody_finds_anothers(void **state)
{
    (void)state;
    add("a", "s", 8);
    add("a/b", "", 5);
    assert_int_equal(found("a", "", N), 0);
    assert_int_equal(found("a", "S", N), 0);
    assert_int_equal(found("as", "", N), 0);
    assert_int_equal(found("", "s", N), 0);
    assert_int_equal(found("a", "b", N), 0);
    assert_int_equal(found("a=2Fb", "", N), 0);
    assert_int_equal(found("a/b", "", N), 5);
    assert_int_equal(found("a", "s", N), 8);
}

static void another_kinds_are_not_found(void **state)
{
    (void)state;
    cache.kind = 7;
    add("a", "", 8);
    assert_int_equal(found("a", "", N), 8);
    cache.kind = 9;
    assert_int_equal(found("a", "", N), 0);
    add("a", "", 8);
    assert_int_equal(cache.index.n, 2);
}

static void names_stay_below_their_directory(void **state)
{
    (void)state;
    char salt[512];
    struct disk_cache_place p = place_of("../..", "../x\n\"", 4);
    assert_null(strstr(p.path, ".."));
    assert_non_null(strstr(p.path, "p-=2E=2E=2F=2E=2E/s-=2E=2E=2Fx=0A=22/4-"));
    memset(salt, 'x', sizeof salt - 1);
    salt[sizeof salt - 1] = '\0';
    assert_false(disk_cache_place(&p, &cache, "a", salt, ids, 4));
    salt[200] = '\0';
    assert_true(disk_cache_place(&p, &cache, "a", salt, ids, 4));
}

static void the_longest_unused_gives_way_first(void **state)
{
    (void)state;
    add("bob", "", 4);
    add("alice", "x", 5);
    add("alice", "y", 6);
    add("alice", "", 7);
    assert_int_equal(found("alice", "x", N), 5);
    store.o.limits.tenant_bytes = 310;
    assert_int_equal(put("t-alice", 20), 0); /* the tenant's own goes */
    assert_false(has("alice", "y", 6));
    assert_int_equal(cache.index.n, 3);
    store.o.limits = (struct ledger_limits){.total_bytes = 330};
    assert_int_equal(put("t-alice", 11), 0); /* anybody's goes */
    assert_false(has("bob", "", 4));
    assert_int_equal(put("t-carol", 290), 0); /* two at once */
    assert_int_equal(cache.index.n, 0);
    assert_int_equal(put("t-carol", 10), -ERR_QUOTA);
}

static void an_object_never_gives_way(void **state)
{
    (void)state;
    store.o.limits.tenant_bytes = 250;
    assert_int_equal(put("t-a", 100), 0);
    add("a", "", 3);
    assert_null(reserve("a", "", 5, 151)); /* nothing was evicted for it in vain */
    assert_true(has("a", "", 3));
    add("a", "", 6);
    assert_false(has("a", "", 3));
    assert_int_equal(cache.index.n, 1);
}

static void one_that_is_being_written_gives_way(void **state)
{
    (void)state;
    store.o.limits.total_bytes = 250;
    add("a", "", 3);
    struct cache_entry *e = reserve("a", "", 5, 100), *late = reserve("b", "", 5, 50);
    assert_int_equal(put("t-a", 240), 0);
    assert_int_equal(cache.index.n, 0);
    assert_false(disk_cache_publish(&cache, e));
    disk_cache_give_up(&cache, late);
    assert_false(has("a", "", 5));
    assert_int_equal(put("t-a", 10), 0);
    assert_int_equal(put("t-a", 1), -ERR_QUOTA);
}

static void what_is_dropped_counts_no_more(void **state)
{
    (void)state;
    store.o.limits.total_bytes = 100;
    add("a", "", 3);
    struct disk_cache_place p = place_of("a", "", 3);
    disk_cache_drop(&cache, &p);
    disk_cache_drop(&cache, &p);
    assert_int_equal(found("a", "", N), 0);
    add("b", "", 3);
    assert_true(has("b", "", 3));
    store.o.limits.total_bytes = 0;
    struct cache_entry *e = reserve("b", "", 3, 100); /* another process was faster */
    assert_true(disk_cache_publish(&cache, e));
    assert_int_equal(cache.index.n, 1);
    store.o.limits.total_bytes = 101;
    assert_int_equal(put("t-a", 1), 0); /* it counts once */
    assert_int_equal(cache.index.n, 1);
}

static void many_are_sorted(void **state)
{
    (void)state;
    char salt[16];
    for (int i = 0; i < 300; i++) {
        snprintf(salt, sizeof salt, "%d", i * 7 % 31);
        if (!has("t", salt, 1 + i * 13 % N))
            add("t", salt, 1 + i * 13 % N);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(salt, sizeof salt, "%d", i * 7 % 31);
        assert_int_equal(found("t", salt, 1 + i * 13 % N), 1 + i * 13 % N);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_deepest_that_begins_a_prompt),
        TEST(nobody_finds_anothers),
        TEST(another_kinds_are_not_found),
        TEST(names_stay_below_their_directory),
        TEST(the_longest_unused_gives_way_first),
        TEST(an_object_never_gives_way),
        TEST(one_that_is_being_written_gives_way),
        TEST(what_is_dropped_counts_no_more),
        TEST(many_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
