/* The disk cache's index: what is found for a prompt, what goes first, whose it is. */
#include "server/storage/disk_cache.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 40 };

static int32_t ids[N];

static struct disk_cache_place place_of(const struct disk_cache *s, const char *tenant,
                                        const char *salt, int n)
{
    struct disk_cache_place p;
    assert_true(disk_cache_place(&p, s, tenant, salt, ids, n));
    assert_int_equal(p.depth, n);
    return p;
}

static void add(struct disk_cache *s, const char *tenant, const char *salt, int n)
{
    struct disk_cache_place p = place_of(s, tenant, salt, n);
    disk_cache_add(s, &p, 100);
    assert_true(disk_cache_has(s, &p));
}

static int found(struct disk_cache *s, const char *tenant, const char *salt, int n)
{
    struct disk_cache_place p = {.depth = 0};
    bool is = disk_cache_find(s, tenant, salt, ids, n, &p);
    assert_int_equal(is, p.depth > 0);
    return p.depth;
}

static void the_deepest_that_begins_a_prompt(void **state)
{
    (void)state;
    struct disk_cache s = {0};
    assert_int_equal(found(&s, "a", NULL, N), 0);
    for (int i = 0; i < N; i++)
        ids[i] = i * 7;
    add(&s, "a", NULL, 3);
    add(&s, "a", NULL, 20);
    add(&s, "a", NULL, 11);
    add(&s, "a", NULL, 11); /* once */
    assert_int_equal(s.n, 3);
    assert_int_equal(found(&s, "a", "", N), 20);
    assert_int_equal(found(&s, "a", "", 20), 20);
    assert_int_equal(found(&s, "a", "", 19), 11);
    assert_int_equal(found(&s, "a", "", 3), 3);
    assert_int_equal(found(&s, "a", "", 2), 0);
    ids[15]++;
    assert_int_equal(found(&s, "a", "", N), 11);
    ids[1]++;
    assert_int_equal(found(&s, "a", "", N), 0);
    disk_cache_close(&s);
}

static void nobody_finds_anothers(void **state)
{
    (void)state;
    struct disk_cache s = {0};
    add(&s, "a", "s", 8);
    add(&s, "a/b", "", 5);
    assert_int_equal(found(&s, "a", "", N), 0);
    assert_int_equal(found(&s, "a", "S", N), 0);
    assert_int_equal(found(&s, "as", "", N), 0);
    assert_int_equal(found(&s, "", "s", N), 0);
    assert_int_equal(found(&s, "a", "b", N), 0);
    assert_int_equal(found(&s, "a=2Fb", "", N), 0);
    assert_int_equal(found(&s, "a/b", "", N), 5);
    assert_int_equal(found(&s, "a", "s", N), 8);
    disk_cache_close(&s);
}

static void another_models_are_not_found(void **state)
{
    (void)state;
    struct disk_cache s = {.kind = 7};
    add(&s, "a", "", 8);
    assert_int_equal(found(&s, "a", "", N), 8);
    s.kind = 9;
    assert_int_equal(found(&s, "a", "", N), 0);
    add(&s, "a", "", 8);
    assert_int_equal(s.n, 2);
    disk_cache_close(&s);
}

static void names_stay_below_their_directory(void **state)
{
    (void)state;
    char salt[512];
    struct disk_cache s = {0};
    struct disk_cache_place p = place_of(&s, "../..", "../x\n\"", 4);
    assert_null(strstr(p.path, ".."));
    assert_non_null(strstr(p.path, "p-=2E=2E=2F=2E=2E/s-=2E=2E=2Fx=0A=22/4-"));
    memset(salt, 'x', sizeof salt - 1);
    salt[sizeof salt - 1] = '\0';
    assert_false(disk_cache_place(&p, &s, "a", salt, ids, 4));
    salt[200] = '\0';
    assert_true(disk_cache_place(&p, &s, "a", salt, ids, 4));
}

static void the_longest_unused_goes_first(void **state)
{
    (void)state;
    struct disk_cache s = {0};
    struct disk_cache_place p, alice = place_of(&s, "alice", "", 1);
    uint64_t bytes;
    add(&s, "bob", "", 4);
    add(&s, "alice", "x", 5);
    add(&s, "alice", "y", 6);
    add(&s, "alice", "", 7);
    assert_int_equal(found(&s, "alice", "x", N), 5);
    assert_true(disk_cache_oldest(&s, &alice, &p, &bytes));
    assert_int_equal(p.depth, 6);
    assert_int_equal(bytes, 100);
    assert_false(disk_cache_has(&s, &p));
    assert_true(disk_cache_oldest(&s, NULL, &p, &bytes));
    assert_int_equal(p.depth, 4);
    p = place_of(&s, "alice", "x", 5);
    disk_cache_drop(&s, &p);
    disk_cache_drop(&s, &p);
    assert_int_equal(found(&s, "alice", "x", N), 0);
    assert_true(disk_cache_oldest(&s, &alice, &p, &bytes));
    assert_int_equal(p.depth, 7);
    assert_false(disk_cache_oldest(&s, &alice, &p, &bytes));
    assert_false(disk_cache_oldest(&s, NULL, &p, &bytes));
    disk_cache_close(&s);
}

static void many_are_sorted(void **state)
{
    (void)state;
    struct disk_cache s = {0};
    char salt[16];
    for (int i = 0; i < 300; i++) {
        snprintf(salt, sizeof salt, "%d", i * 7 % 31);
        add(&s, "t", salt, 1 + i * 13 % N);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(salt, sizeof salt, "%d", i * 7 % 31);
        assert_int_equal(found(&s, "t", salt, 1 + i * 13 % N), 1 + i * 13 % N);
    }
    disk_cache_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_deepest_that_begins_a_prompt),
        cmocka_unit_test(nobody_finds_anothers),
        cmocka_unit_test(another_models_are_not_found),
        cmocka_unit_test(names_stay_below_their_directory),
        cmocka_unit_test(the_longest_unused_goes_first),
        cmocka_unit_test(many_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
