/* The page pool: reservations, references, copies, and that no page leaks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/state/pages.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { N = 8, BYTES = 256 };

static void a_page_is_taken_from_a_reservation_and_returned(void **state)
{
    struct pages p;
    int32_t got[N];
    (void)state;
    assert_int_equal(pages_open(&p, N, BYTES, NULL), 0);
    assert_int_equal(pages_used(&p), 0);
    assert_true(pages_reserve(&p, N));
    assert_false(pages_reserve(&p, 1));
    assert_true(pages_reserve(&p, 0));
    for (int i = 0; i < N; i++) {
        got[i] = pages_take(&p);
        assert_in_range(got[i], 0, N - 1);
        for (int k = 0; k < i; k++)
            assert_int_not_equal(got[i], got[k]);
        memset(p.base + got[i] * BYTES, i, BYTES); /* all of it is ours */
    }
    assert_int_equal(pages_used(&p), N);
    assert_int_equal(p.n_reserved, 0);
    assert_false(pages_reserve(&p, 1));
    for (int i = 0; i < N; i++)
        pages_drop(&p, got[i]);
    assert_int_equal(pages_used(&p), 0);
    assert_true(pages_reserve(&p, N));
    pages_unreserve(&p, N);
    pages_close(&p);
}

static void a_reservation_is_not_given_to_another(void **state)
{
    struct pages p;
    (void)state;
    assert_int_equal(pages_open(&p, N, BYTES, NULL), 0);
    assert_true(pages_reserve(&p, 5));
    assert_false(pages_reserve(&p, 4));
    assert_true(pages_reserve(&p, 3));
    int32_t page = pages_take(&p); /* taking out of a reservation frees no room */
    assert_false(pages_reserve(&p, 1));
    pages_unreserve(&p, 4);
    assert_false(pages_reserve(&p, 5));
    assert_true(pages_reserve(&p, 4));
    pages_drop(&p, page);
    assert_true(pages_reserve(&p, 1));
    pages_close(&p);
}

static void a_shared_page_is_free_after_its_last_reference(void **state)
{
    struct pages p;
    (void)state;
    assert_int_equal(pages_open(&p, N, BYTES, NULL), 0);
    assert_true(pages_reserve(&p, 1));
    int32_t page = pages_take(&p);
    pages_share(&p, page);
    pages_share(&p, page);
    for (int i = 0; i < 2; i++) {
        pages_drop(&p, page);
        assert_int_equal(pages_used(&p), 1);
    }
    pages_drop(&p, page);
    assert_int_equal(pages_used(&p), 0);
    pages_close(&p);
}

static void a_page_referenced_only_by_checkpoints_is_idle(void **state)
{
    struct pages p;
    (void)state;
    assert_int_equal(pages_open(&p, N, BYTES, NULL), 0);
    assert_true(pages_reserve(&p, 1));
    int32_t page = pages_take(&p);
    pages_hold(&p, page);
    pages_hold(&p, page);
    assert_int_equal(p.n_idle, 0);
    assert_int_equal(pages_used(&p), 1);
    pages_drop(&p, page); /* the sequence ends */
    assert_int_equal(p.n_idle, 1);
    assert_int_equal(pages_used(&p), 0);
    assert_int_equal(p.n_free, N - 1);
    pages_share(&p, page); /* another one begins with it */
    assert_int_equal(p.n_idle, 0);
    pages_let(&p, page);
    pages_let(&p, page);
    assert_int_equal(pages_used(&p), 1);
    pages_drop(&p, page);
    assert_int_equal(p.n_free, N);
    assert_int_equal(p.n_idle, 0);
    pages_close(&p);
}

static void a_copy_is_the_whole_page_and_no_more(void **state)
{
    struct pages p;
    (void)state;
    assert_int_equal(pages_open(&p, 3, BYTES, NULL), 0);
    for (int i = 0; i < 3; i++)
        memset(p.base + i * BYTES, 'a' + i, BYTES);
    pages_copy(&p, 1, 0);
    for (int i = 0; i < BYTES; i++) {
        assert_int_equal(p.base[i], 'a');
        assert_int_equal(p.base[BYTES + i], 'a');
        assert_int_equal(p.base[2 * BYTES + i], 'c');
    }
    pages_close(&p);
}

static void a_pool_without_pages_is_a_pool(void **state)
{
    static const struct {
        int n;
        size_t bytes;
    } empty[] = {{0, BYTES}, {N, 0}, {0, 0}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct pages p;
        assert_int_equal(pages_open(&p, empty[i].n, empty[i].bytes, NULL), 0);
        assert_int_equal(p.n, 0);
        assert_int_equal(pages_used(&p), 0);
        assert_true(pages_reserve(&p, 0));
        assert_false(pages_reserve(&p, 1));
        pages_close(&p);
    }
}

static void trimming_forgets_free_pages_only(void **state)
{
    enum { LARGE = 1 << 20 };
    struct pages p;
    (void)state;
    assert_int_equal(pages_open(&p, 4, LARGE, NULL), 0);
    assert_true(pages_reserve(&p, 1));
    int32_t a = pages_take(&p);
    char *at = p.base + (size_t)a * LARGE;
    memset(at, 7, LARGE);
    pages_trim(&p);
    for (int i = 0; i < LARGE; i++)
        assert_int_equal(at[i], 7);
    pages_drop(&p, a);
    pages_trim(&p);
    assert_int_equal(at[LARGE / 2], 0); /* the system's page, not ours */
    assert_int_equal(p.n_free, 4);
    pages_close(&p);
}

static void out_of_memory_leaks_nothing(void **state)
{
    struct pages p;
    struct err err = {0};
    (void)state;
    for (int n = 1; n <= 3; n++) {
        mem_fail_after(n);
        assert_int_equal(pages_open(&p, N, BYTES, &err), -ERR_MEMORY);
        mem_fail_after(0);
        assert_non_null(strstr(err.text, "8 pages of 256 bytes"));
        assert_null(p.base);
        pages_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_taken_from_a_reservation_and_returned),
        cmocka_unit_test(a_reservation_is_not_given_to_another),
        cmocka_unit_test(a_shared_page_is_free_after_its_last_reference),
        cmocka_unit_test(a_page_referenced_only_by_checkpoints_is_idle),
        cmocka_unit_test(a_copy_is_the_whole_page_and_no_more),
        cmocka_unit_test(a_pool_without_pages_is_a_pool),
        cmocka_unit_test(trimming_forgets_free_pages_only),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
