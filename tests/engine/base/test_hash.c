/* The hash: known answers, and that pieces give the hash of the whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/hash.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void the_hash_is_xxh3(void **state)
{
    (void)state;
    assert_true(hash_bytes("", 0) == 0x2D06800538D394C2u); /* XXH3_64bits of nothing */
    assert_true(hash_bytes("a", 1) != hash_bytes("b", 1));
    assert_true(hash_bytes("ab", 1) == hash_bytes("a", 1));
}

static void pieces_give_the_hash_of_the_whole(void **state)
{
    static unsigned char data[5000];
    struct hash h = {0};
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * i >> 3);
    for (size_t piece = 1; piece < sizeof data; piece += 1 + piece / 3) {
        assert_true(hash_begin(&h));
        assert_true(hash_value(&h) == hash_bytes("", 0));
        for (size_t at = 0, n; at < sizeof data; at += n) {
            n = sizeof data - at < piece ? sizeof data - at : piece;
            hash_put(&h, data + at, n);
            assert_true(hash_value(&h) == hash_bytes(data, at + n));
        }
    }
    hash_free(&h);
    hash_free(&h);
    mem_fail_after(1);
    assert_false(hash_begin(&h));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_xxh3),
        cmocka_unit_test(pieces_give_the_hash_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
