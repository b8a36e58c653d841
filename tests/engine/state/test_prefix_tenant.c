/* Tenants with a limit: they evict their own checkpoints and nobody else's, and what is
 * counted is what is there. (test_prefix.c does the same at random.)
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct prefix_options plain = {0};

static void a_tenant_at_its_limit_evicts_its_own(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_limit_of_a = 3 * (STORE_SLOT + 3 * STORE_PAGE);
    store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
    for (int i = 0; i < 4; i++) {
        store_count_up(ids, STORE_MOST, 100 * i);
        store_tell(&s, "b|", ids, 40, 0);
    }
    for (int i = 0; i < 20; i++) { /* far more than would fit, under several salts */
        store_count_up(ids, STORE_MOST, 1000 * i);
        store_tell(&s, i % 2 ? "a|" : "a|x", ids, 40, 0);
        assert_int_equal(store_depth(&s, i % 2 ? "a|" : "a|x", ids, 60), 40);
        store_expect_tenants(&s);
    }
    assert_int_equal(store_bytes(&s, "a"), store_limit_of_a);
    for (int i = 17; i < 20; i++) { /* the last three */
        store_count_up(ids, STORE_MOST, 1000 * i);
        assert_int_equal(store_depth(&s, i % 2 ? "a|" : "a|x", ids, 60), 40);
    }
    for (int i = 0; i < 4; i++) {
        store_count_up(ids, STORE_MOST, 100 * i);
        assert_int_equal(store_depth(&s, "b|", ids, 60), 40);
    }
    store_limit_of_a =
        STORE_SLOT + 3 * STORE_PAGE; /* a new limit holds from the next checkpoint on */
    store_count_up(ids, STORE_MOST, 0);
    store_tell(&s, "a|", ids, 40, 0);
    assert_int_equal(store_bytes(&s, "a"), store_limit_of_a);
    assert_int_equal(store_depth(&s, "a|", ids, 60), 40);
    store_close(&s);
    store_limit_of_a = 0;
}

/* Nor where nothing is free: the oldest of all are another tenant's. */
static void a_full_cache_loses_a_tenants_own(void **state)
{
    struct store s;
    struct mark q;
    int32_t ids[STORE_MOST];
    (void)state;
    store_limit_of_a = 3 * (STORE_SLOT + 3 * STORE_PAGE);
    store_open(&s, 8, STORE_PAGES, &plain);
    for (int i = 0; i < 7; i++) {
        store_count_up(ids, STORE_MOST, 100 * i);
        store_tell(&s, i < 4 ? "b|" : "a|", ids, 40, 0);
    }
    store_count_up(ids, STORE_MOST, 5000);
    struct prefix_path path = store_path("a|", ids, 40);
    store_begin(&s, &q, &path);
    while (q.n < 40)
        store_run(&s, &q, ids[q.n]);
    assert_int_equal(s.slots.n_free, 0);
    store_keep(&s, &q, "a|", PREFIX_TURN);
    store_end(&s, &q);
    assert_int_equal(store_depth(&s, "a|", ids, 60), 40);
    for (int i = 0; i < 5; i++) {
        store_count_up(ids, STORE_MOST, 100 * i);
        assert_int_equal(store_depth(&s, i < 4 ? "b|" : "a|", ids, 60), i < 4 ? 40 : 0);
    }
    store_expect_tenants(&s);
    store_close(&s);
    store_limit_of_a = 0;
}

static void a_state_beyond_the_limit_evicts_nothing(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_limit_of_a = 2 * STORE_SLOT + 4 * STORE_PAGE;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
    store_count_up(ids, STORE_MOST, 0);
    store_tell(&s, "a|", ids, 30, 0);
    store_count_up(ids, STORE_MOST, 1000);
    store_tell(&s, "a|", ids, 30, 0);
    uint64_t evicted = s.prefix.counts.evicted;
    store_count_up(ids, STORE_MOST, 2000);
    store_tell(&s, "a|", ids, 81, 0); /* a slot and six pages */
    assert_int_equal(store_depth(&s, "a|", ids, 81), 0);
    assert_int_equal(s.prefix.counts.evicted, evicted);
    assert_int_equal(store_bytes(&s, "a"), store_limit_of_a);
    store_tell(&s, "b|", ids, 81, 0);
    assert_int_equal(store_depth(&s, "b|", ids, 81), 81);
    store_close(&s);
    store_limit_of_a = 0;
}

/* Longer and longer: what is shared counts once. */
static void a_conversation_within_the_limit_is_kept(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_limit_of_a = 4 * STORE_SLOT + 6 * STORE_PAGE;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
    store_count_up(ids, STORE_MOST, 0);
    for (int n = 20; n <= 80; n += 20)
        assert_int_equal(store_tell(&s, "a|", ids, n, 0), n - 20);
    for (int n = 20; n <= 80; n += 20)
        assert_int_equal(store_depth(&s, "a|", ids, n), n);
    store_expect_tenants(&s);
    store_close(&s);
    store_limit_of_a = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_at_its_limit_evicts_its_own),
        cmocka_unit_test(a_full_cache_loses_a_tenants_own),
        cmocka_unit_test(a_state_beyond_the_limit_evicts_nothing),
        cmocka_unit_test(a_conversation_within_the_limit_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
