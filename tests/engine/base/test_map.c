/* Maps: many keys, collisions, growth, memory that runs out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/map.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void numbers_are_found(void **state)
{
    struct map64 m;
    (void)state;
    assert_true(map64_init(&m, 3)); /* grows far beyond */
    assert_int_equal(map64_get(&m, 5, -9), -9);
    for (uint64_t i = 0; i < 20000; i++)
        assert_true(map64_put(&m, i << 32 | (i * 3), (int32_t)i));
    assert_int_equal(m.n, 20000);
    for (uint64_t i = 0; i < 20000; i++) {
        assert_int_equal(map64_get(&m, i << 32 | (i * 3), -1), i);
        assert_int_equal(map64_get(&m, i << 32 | (i * 3 + 1), -1), -1);
    }
    assert_true(map64_put(&m, 0, 77));
    assert_int_equal(map64_get(&m, 0, -1), 77);
    assert_int_equal(m.n, 20000);
    map64_free(&m);
    assert_int_equal(map64_get(&m, 0, -3), -3);
    map64_free(&m);
}

static void strings_are_found_by_their_bytes(void **state)
{
    static char names[5000][16];
    struct strmap m;
    (void)state;
    assert_true(strmap_init(&m, 0));
    for (int i = 0; i < 5000; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        assert_true(strmap_put(&m, names[i], strlen(names[i]), i));
    }
    for (int i = 0; i < 5000; i++) {
        char copy[16];
        memcpy(copy, names[i], sizeof copy);
        assert_int_equal(strmap_get(&m, copy, strlen(copy), -1), i);
    }
    assert_int_equal(strmap_get(&m, "n", 1, -1), -1);
    assert_int_equal(strmap_get(&m, "n10x", 3, -1), 10);
    assert_int_equal(strmap_get(&m, "", 0, -1), -1);
    assert_true(strmap_put(&m, "", 0, 8));
    assert_true(strmap_put(&m, "a\0b", 3, 9));
    assert_int_equal(strmap_get(&m, "", 0, -1), 8);
    assert_int_equal(strmap_get(&m, "a\0b", 3, -1), 9);
    assert_int_equal(strmap_get(&m, "a\0c", 3, -1), -1);
    assert_int_equal(strmap_get(&m, "a", 1, -1), -1);
    strmap_free(&m);
    assert_int_equal(strmap_get(&m, "n1", 2, -1), -1);
}

/* Strings that begin alike meet in one chain of slots often enough. */
static void prefixes_of_keys_are_not_found(void **state)
{
    static char text[3000];
    struct strmap m;
    (void)state;
    memset(text, 'a', sizeof text);
    assert_true(strmap_init(&m, 0));
    for (size_t n = 0; n < sizeof text; n += 2)
        assert_true(strmap_put(&m, text, n, (int32_t)n));
    for (size_t n = 0; n < sizeof text; n++)
        assert_int_equal(strmap_get(&m, text, n, -1), n % 2 ? -1 : (int)n);
    strmap_free(&m);
}

static void out_of_memory_leaves_the_map_intact(void **state)
{
    struct map64 m;
    struct strmap s;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    (void)state;
    for (long n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_false(map64_init(&m, 100));
    }
    mem_fail_after(1);
    assert_false(strmap_init(&s, 100));
    assert_true(map64_init(&m, 1));
    assert_true(strmap_init(&s, 1));
    for (uint64_t i = 0; i < 8; i++) { /* half of the smallest size */
        assert_true(map64_put(&m, i, (int32_t)i));
        assert_true(strmap_put(&s, names[i], 1, (int32_t)i));
    }
    mem_fail_after(2);
    assert_false(map64_put(&m, 8, 8));
    mem_fail_after(1);
    assert_false(strmap_put(&s, names[8], 1, 8));
    mem_fail_after(0);
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(map64_get(&m, i, -1), i);
        assert_int_equal(strmap_get(&s, names[i], 1, -1), i);
    }
    assert_true(map64_put(&m, 8, 8));
    assert_true(strmap_put(&s, names[8], 1, 8));
    assert_int_equal(map64_get(&m, 8, -1), 8);
    assert_int_equal(strmap_get(&s, "i", 1, -1), 8);
    map64_free(&m);
    strmap_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_found),
        cmocka_unit_test(strings_are_found_by_their_bytes),
        cmocka_unit_test(prefixes_of_keys_are_not_found),
        cmocka_unit_test(out_of_memory_leaves_the_map_intact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
