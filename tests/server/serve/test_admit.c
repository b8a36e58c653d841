/* The queue's limit and the advice to those turned away, at their edges.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/admit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint64_t SECOND = 1000000000u;

static void an_empty_house_takes_any_number(void **state)
{
    (void)state;
    struct admit a = {.queue_limit = 0, .max_seqs = 1};
    assert_int_equal(admit_take(&a, 100, NULL), 0);
    assert_int_equal(a.waiting, 100);
}

static void full_counts_free_sequences(void **state)
{
    (void)state;
    struct admit a = {.queue_limit = 2, .max_seqs = 3};
    struct err err;
    assert_int_equal(admit_take(&a, 1, &err), 0);
    admit_started(&a, 2); /* one sequence is left */
    assert_int_equal(admit_take(&a, 4, &err), -ERR_BUSY);
    assert_int_equal(a.waiting, 0);
    assert_int_equal(admit_take(&a, 3, &err), 0);
    assert_int_equal(admit_take(&a, 1, &err), -ERR_BUSY);
    admit_ended(&a, true, 2, SECOND);
    assert_int_equal(a.running, 0);
    assert_int_equal(a.seqs, 0);
    for (int i = 0; i < 3; i++)
        admit_ended(&a, false, 2, SECOND);
    assert_int_equal(a.waiting, 0);
    assert_int_equal(a.seqs, 0);
}

static void overcommitted_sequences_do_not_shrink_the_queue(void **state)
{
    (void)state;
    struct admit a = {.queue_limit = 2, .max_seqs = 1};
    assert_int_equal(admit_take(&a, 1, NULL), 0);
    admit_started(&a, 5);
    assert_int_equal(admit_take(&a, 2, NULL), 0);
    assert_int_equal(admit_take(&a, 1, NULL), -ERR_BUSY);
}

static void retry_after_follows_the_rate(void **state)
{
    (void)state;
    struct admit a = {.queue_limit = 100, .max_seqs = 1};
    assert_int_equal(admit_take(&a, 100, NULL), 0);
    assert_in_range(admit_retry_after(&a, 0), 1, 30); /* nothing measured yet */
    uint64_t now = SECOND;
    for (int i = 0; i < 1000; i++, now += SECOND / 10) { /* ten a second for long */
        admit_ended(&a, false, 0, now);
        a.waiting = 49;
    }
    assert_in_range(admit_retry_after(&a, now), 4, 6);
    a.waiting = 0;
    assert_int_equal(admit_retry_after(&a, now), 1);
    a.waiting = 100000;
    assert_int_equal(admit_retry_after(&a, now), 30);
    assert_int_equal(admit_retry_after(&a, now + 3600 * SECOND), 30);
    assert_in_range(admit_retry_after(&a, 0), 1, 30); /* a clock that went back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_house_takes_any_number),
        cmocka_unit_test(full_counts_free_sequences),
        cmocka_unit_test(overcommitted_sequences_do_not_shrink_the_queue),
        cmocka_unit_test(retry_after_follows_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
