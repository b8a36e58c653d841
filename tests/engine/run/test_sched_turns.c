/*
 * What passes a request that does not fit, and what is kept for it, of slots and of
 * pages; and how a step's rows are divided among those who ask.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/guests.h"
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void open_with_pages(struct drive *d, int n_pages, bool prefix_cache)
{
    struct engine_options o = guests_options();
    drive_open(d, &o);
    const struct engine_info *info = engine_info(d->e);
    o.memory_bytes = GUESTS_SEQS * info->slot_bytes + (size_t)n_pages * info->page_bytes;
    drive_close(d);
    if (prefix_cache)
        o.memory_bytes = warm_bytes(&o, GUESTS_SEQS, n_pages);
    o.prefix_cache = prefix_cache;
    drive_open(d, &o);
    assert_int_equal(engine_info(d->e)->n_pages, n_pages);
}

/* ---- wide requests ------------------------------------------------------------ */

static const struct guest long_one = {.n_prompt = 4, .max_tokens = 100},
                          wide = {.connection = 1,
                                  .n_prompt = 4,
                                  .max_tokens = 4,
                                  .n = GUESTS_SEQS},
                          small = {.connection = 2, .n_prompt = 4, .max_tokens = 4};

static void what_fits_passes_a_wide_request(void **state)
{
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    guest_ask(&d, 1, &long_one);
    guests_step_at(&d, GUESTS_SECOND);
    guest_ask(&d, 2, &wide);
    guest_ask(&d, 3, &small);
    guests_step_at(&d, GUESTS_SECOND + 1);
    assert_false(guest_started(&d, 2));
    assert_true(guest_started(&d, 3));
    drive_run(&d);
    assert_true(guest_ended(&d, 2));
    drive_close(&d);
}

static void slots_are_kept_for_a_wide_request_that_has_waited(void **state)
{
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    guest_ask(&d, 1, &long_one);
    guest_ask(&d, 2, &wide);
    guests_step_at(&d, GUESTS_SECOND); /* waits from now on */
    guest_ask(&d, 3, &small);
    guests_step_at(&d, 3 * GUESTS_SECOND - 1);
    assert_true(guest_started(&d, 3));
    guest_ask(&d, 4, &small);
    for (uint64_t now = 3 * GUESTS_SECOND; !guest_ended(&d, 1); now++) {
        guests_step_at(&d, now);
        assert_false(guest_started(&d, 4));
    }
    guests_step_at(&d, 4 * GUESTS_SECOND);
    assert_true(guest_started(&d, 2));
    drive_run(&d);
    assert_true(guest_ended(&d, 4));
    drive_close(&d);
}

static void without_wide_wait_nothing_passes(void **state)
{
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    o.wide_wait_ns = 0;
    drive_open(&d, &o);
    guest_ask(&d, 1, &long_one);
    guests_step_at(&d, GUESTS_SECOND);
    guest_ask(&d, 2, &wide);
    guest_ask(&d, 3, &small);
    guests_step_at(&d, GUESTS_SECOND + 1);
    assert_false(guest_started(&d, 3));
    drive_run(&d);
    guests_expect_order(&d, (uint64_t[]){1, 2, 3}, 3);
    drive_close(&d);
}

/* Ten pages: half of them run, the wide one wants all, a small one a single one. */
static void passing_and_keeping_hold_for_pages(void **state)
{
    static const struct guest half = {.n_prompt = GUESTS_PAGE,
                                      .max_tokens = 4 * GUESTS_PAGE},
                              all = {.connection = 1,
                                     .n_prompt = 8 * GUESTS_PAGE,
                                     .max_tokens = 2 * GUESTS_PAGE},
                              one = {.connection = 2,
                                     .n_prompt = 1,
                                     .max_tokens = GUESTS_PAGE - 1};
    struct drive d;
    (void)state;
    open_with_pages(&d, 10, false);
    guest_ask(&d, 1, &half);
    guest_ask(&d, 2, &all);
    guests_step_at(&d, GUESTS_SECOND);
    guest_ask(&d, 3, &one);
    guests_step_at(&d, GUESTS_SECOND + 1);
    assert_true(guest_started(&d, 3));
    assert_false(guest_started(&d, 2));
    guest_ask(&d, 4, &one);
    for (uint64_t now = 3 * GUESTS_SECOND; !guest_started(&d, 2); now++) {
        guests_step_at(&d, now);
        assert_false(guest_started(&d, 4));
    }
    drive_run(&d);
    assert_true(guest_ended(&d, 4));
    drive_close(&d);
}

/* Many that need more pages than are free; with a cache they might need fewer, and each
 * costs a try. */
static void many_that_do_not_fit_are_passed(void **state)
{
    static const struct guest half = {.n_prompt = GUESTS_PAGE,
                                      .max_tokens = 4 * GUESTS_PAGE},
                              one = {.client = 2,
                                     .n_prompt = 1,
                                     .max_tokens = GUESTS_PAGE - 1};
    struct guest large = {
        .client = 1, .n_prompt = 7 * GUESTS_PAGE, .max_tokens = GUESTS_PAGE};
    (void)state;
    for (int cached = 0; cached < 2; cached++) {
        uint64_t last = cached ? 10 : 40;
        struct drive d;
        open_with_pages(&d, 10, cached);
        guest_ask(&d, 1, &half);
        guests_step_at(&d, GUESTS_SECOND);
        for (uint64_t id = 2; id < last; id++) {
            large.connection = id;
            guest_ask(&d, id, &large);
        }
        guest_ask(&d, last, &one);
        guests_step_at(&d, GUESTS_SECOND + 1);
        assert_true(guest_started(&d, last));
        guests_expect_order(&d, (uint64_t[]){1, last}, 2);
        drive_close(&d);
    }
}

/* It is not its age that puts a request first: turns are kept. */
static void an_old_request_does_not_keep_those_before_it_waiting(void **state)
{
    static const struct guest heavy = {"a", .n_prompt = 4, .max_tokens = 60},
                              heavy_wide = {"a", .connection = 1, .n_prompt = 4,
                                            .max_tokens = 4, .n = GUESTS_SEQS},
                              light = {"b", .n_prompt = 4, .max_tokens = 4};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    for (uint64_t id = 1; id < 8; id++)
        guest_ask(&d, id, &heavy);
    guest_ask(&d, 10, &heavy_wide);
    guests_step_at(&d, GUESTS_SECOND);
    for (uint64_t now = 2; now < 50; now++)
        guests_step_at(&d, GUESTS_SECOND + now);
    guest_ask(&d, 20, &light);
    for (uint64_t now = 10 * GUESTS_SECOND; !guest_ended(&d, 1); now++)
        guests_step_at(&d, now);
    guests_step_at(&d, 20 * GUESTS_SECOND);
    assert_true(guest_started(&d, 20));
    assert_false(guest_started(&d, 10));
    drive_run(&d);
    assert_true(guest_ended(&d, 10));
    drive_close(&d);
}

/* ---- a step's rows ------------------------------------------------------------ */

static void a_connection_with_many_prompts_leaves_others_their_rows(void **state)
{
    static const struct guest many = {.client = 1, .n_prompt = 250, .max_tokens = 1},
                              one = {.client = 2,
                                     .n_prompt = GUESTS_ROWS / 2,
                                     .max_tokens = 1};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    for (uint64_t id = 1; id < 4; id++)
        guest_ask(&d, id, &many);
    guest_ask(&d, 4, &one);
    drive_step(&d);
    assert_true(guest_ended(&d, 4)); /* half of the rows */
    drive_run(&d);
    drive_close(&d);
}

static void rows_follow_shares(void **state)
{
    static const struct guest one = {"one", .n_prompt = 2 * GUESTS_ROWS, .max_tokens = 1,
                                     .share = 1},
                              three = {"three", .n_prompt = 3 * GUESTS_ROWS / 4,
                                       .max_tokens = 1, .share = 3};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    guest_ask(&d, 1, &one);
    guest_ask(&d, 2, &three);
    assert_int_equal(drive_step(&d), GUESTS_ROWS);
    assert_true(guest_ended(&d, 2));
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_passes_a_wide_request),
        cmocka_unit_test(slots_are_kept_for_a_wide_request_that_has_waited),
        cmocka_unit_test(without_wide_wait_nothing_passes),
        cmocka_unit_test(passing_and_keeping_hold_for_pages),
        cmocka_unit_test(many_that_do_not_fit_are_passed),
        cmocka_unit_test(an_old_request_does_not_keep_those_before_it_waiting),
        cmocka_unit_test(a_connection_with_many_prompts_leaves_others_their_rows),
        cmocka_unit_test(rows_follow_shares),
    };
    return cmocka_run_group_tests(tests, guests_make, guests_remove);
}
