/*
 * Turns between tenants, addresses and connections, priorities, and what is remembered
 * of those who ask.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/run/flows.h"
#include "tests/lib/guests.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

/* ---- turns -------------------------------------------------------------------- */

static void tenants_are_served_by_their_shares(void **state)
{
    static const struct guest guests[] = {
        {"one", .share = 1, .n_prompt = 3, .max_tokens = 5},
        {"two", .share = 2, .n_prompt = 60, .max_tokens = 30},
        {"four", .share = 4, .n_prompt = 20, .max_tokens = 60}};
    static const int depths[] = {20, 20, 20};
    struct serving s;
    struct engine_options o = guests_options();
    (void)state;
    serving_open(&s, guests, 3, &o);
    serving_closed_loop(&s, depths, 3000);
    assert_true(serving_fairness(&s) > 0.99);
    drive_close(&s.d);
}

/* As many tenants, addresses of one tenant, and connections of one address. */
static void all_levels_share_evenly(void **state)
{
    static const struct guest tenants[] = {{"a", .n_prompt = 30, .max_tokens = 5},
                                           {"b", .n_prompt = 2, .max_tokens = 40},
                                           {"c", .n_prompt = 2, .max_tokens = 3},
                                           {"d", .n_prompt = 10, .max_tokens = 20}};
    static const int depths[] = {30, 5, 10, 7};
    struct guest guests[4];
    struct engine_options o = guests_options();
    (void)state;
    for (int level = 0; level < 3; level++) {
        struct serving s;
        for (size_t i = 0; i < 4; i++) {
            guests[i] = tenants[i];
            guests[i].tenant = level == 0 ? guests[i].tenant : NULL;
            guests[i].client = level == 1 ? i : 7;
            guests[i].connection = level == 2 ? i : 7;
        }
        serving_open(&s, guests, 4, &o);
        serving_closed_loop(&s, depths, 2000);
        assert_true(serving_fairness(&s) > 0.99);
        drive_close(&s.d);
    }
}

/* An address with many connections gets no more than one with few. */
static void connections_do_not_multiply_a_share(void **state)
{
    struct guest guests[8];
    int depths[8];
    struct serving s;
    double many = 0;
    struct engine_options o = guests_options();
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        guests[i] = (struct guest){
            .client = i == 7, .connection = i, .n_prompt = 5, .max_tokens = 10};
        depths[i] = 4;
    }
    serving_open(&s, guests, 8, &o);
    serving_closed_loop(&s, depths, 1000);
    for (size_t i = 0; i < 7; i++)
        many += s.served[i];
    assert_true(many < 1.1 * s.served[7] && s.served[7] < 1.1 * many);
    drive_close(&s.d);
}

/* Who asks for one thing after the other has no request left between two: what it was
 * served before counts all the same. */
static void asking_one_at_a_time_hides_nothing(void **state)
{
    static const struct guest guests[GUESTS_MAX] = {
        {.client = 0, .n_prompt = 80, .max_tokens = 60},
        {.client = 1, .n_prompt = 4, .max_tokens = 4},
        {.client = 2, .n_prompt = 4, .max_tokens = 4},
        {.client = 3, .n_prompt = 4, .max_tokens = 4},
        {.client = 4, .n_prompt = 4, .max_tokens = 4},
        {.client = 5, .n_prompt = 4, .max_tokens = 4},
        {.client = 6, .n_prompt = 4, .max_tokens = 4},
        {.client = 7, .n_prompt = 4, .max_tokens = 4}};
    static const int depths[GUESTS_MAX] = {1, 8, 8, 8, 8, 8, 8, 8};
    struct serving s;
    struct engine_options o = guests_options();
    (void)state;
    serving_open(&s, guests, 8, &o);
    serving_closed_loop(&s, depths, 3000);
    assert_true(serving_fairness(&s) > 0.98);
    drive_close(&s.d);
}

static void one_request_beside_a_thousand(void **state)
{
    static const struct guest guests[] = {{"many", .n_prompt = 4, .max_tokens = 6},
                                          {"one", .n_prompt = 4, .max_tokens = 6}};
    struct serving s;
    int steps = 0;
    struct engine_options o = guests_options();
    (void)state;
    serving_open(&s, guests, 2, &o);
    for (int i = 0; i < 1000; i++)
        serving_ask(&s, 0);
    for (int i = 0; i < 100; i++)
        serving_step(&s);
    for (int round = 0; round < 3; round++) {
        serving_ask(&s, 1);
        for (steps = 0; s.live[1]; steps++)
            serving_step(&s);
        assert_in_range(steps, 1, 2 * 6 + 2); /* until a slot is free, and its answer */
    }
    while (s.live[0])
        serving_step(&s);
    drive_close(&s.d);
}

/* What was computed while nobody waited is held against nobody. */
static void free_slots_cost_nothing(void **state)
{
    static const struct guest other = {"b", .n_prompt = 4, .max_tokens = 100},
                              early = {"a", .n_prompt = 100, .max_tokens = 20};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    o.max_seqs = 2;
    drive_open(&d, &o);
    guest_ask(&d, 1, &other);
    drive_step(&d);
    guest_ask(&d, 2, &early);
    drive_step(&d);
    guest_ask(&d, 3, &early);
    guest_ask(&d, 4, &other);
    drive_run(&d);
    guests_expect_order(&d, (uint64_t[]){1, 2, 3, 4}, 4);
    drive_close(&d);
}

/* Both are charged for their answers alone, once their prompts are cached. */
static void cached_tokens_cost_nothing(void **state)
{
    static const struct guest guests[] = {{"a", .n_prompt = 128, .max_tokens = 4},
                                          {"b", .n_prompt = 8, .max_tokens = 4}};
    struct engine_options o = guests_options();
    struct serving s;
    (void)state;
    o.prefix_cache = true;
    serving_open(&s, guests, 2, &o);
    serving_closed_loop(&s, (int[]){8, 8}, 400);
    assert_true(serving_fairness(&s) > 0.98);
    drive_close(&s.d);
}

/* A persisted prefix that cannot be read is computed after all. */
static void what_was_not_loaded_is_charged(void **state)
{
    static const struct guest b = {"b", .n_prompt = 4, .max_tokens = 4},
                              a = {"a", .n_prompt = 4, .max_tokens = 4};
    struct engine_options o = guests_options();
    struct engine_request r = {.id = 1,
                               .ids = guests_ids,
                               .n_ids = 104,
                               .tenant = "a",
                               .persisted_tokens = 100,
                               .persisted_bytes = 1,
                               .gen = drive_greedy(4)};
    struct drive d;
    struct err err;
    (void)state;
    o.max_seqs = 1;
    o.prefix_cache = true;
    drive_open(&d, &o);
    assert_int_equal(engine_submit(d.e, &r, &err), 0);
    guest_ask(&d, 2, &b);
    guest_ask(&d, 3, &b);
    guest_ask(&d, 4, &a);
    drive_step(&d);
    engine_lease_release(d.e, drive_state(&d, 1, EVENT_LOAD), false);
    drive_run(&d);
    guests_expect_order(&d, (uint64_t[]){1, 2, 3, 4}, 4);
    drive_close(&d);
}

/* Who comes late has no credit for what others were served before. */
static void a_newcomer_begins_beside_the_others(void **state)
{
    static const struct guest guests[] = {{"a", .n_prompt = 4, .max_tokens = 10},
                                          {"b", .n_prompt = 20, .max_tokens = 4},
                                          {"late", .n_prompt = 4, .max_tokens = 4}};
    struct serving s;
    struct engine_options o = guests_options();
    (void)state;
    serving_open(&s, guests, 3, &o);
    serving_closed_loop(&s, (int[]){10, 10, 0}, 500);
    memset(s.served, 0, sizeof s.served);
    serving_closed_loop(&s, (int[]){10, 10, 10}, 300);
    assert_true(serving_fairness(&s) > 0.99);
    drive_close(&s.d);
}

/* When nobody waits any more, all begin anew. */
static void an_empty_queue_forgets(void **state)
{
    static const struct guest a1 = {"a", .n_prompt = 100, .max_tokens = 100},
                              a2 = {"a", .n_prompt = 4, .max_tokens = 4},
                              b = {"b", .n_prompt = 4, .max_tokens = 10};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    o.max_seqs = 2;
    drive_open(&d, &o);
    guest_ask(&d, 1, &a1);
    guest_ask(&d, 2, &b);
    guest_ask(&d, 3, &b);
    while (!guest_started(&d, 3))
        drive_step(&d);
    guest_ask(&d, 4, &a2);
    guest_ask(&d, 5, &b);
    while (!guest_ended(&d, 1))
        drive_step(&d);
    guests_expect_order(&d, (uint64_t[]){1, 2, 3, 4, 5}, 5);
    drive_close(&d);
}

/* Prompts that are cached cost nothing until they are answered: turns are taken. */
static void equal_ones_alternate(void **state)
{
    static const struct guest a = {"a", .n_prompt = 32, .max_tokens = 20},
                              b = {"b", .n_prompt = 32, .max_tokens = 20};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    o.prefix_cache = true;
    drive_open(&d, &o);
    guest_ask(&d, 1, &a);
    guest_ask(&d, 2, &b);
    drive_run(&d);
    drive_clear(&d);
    for (uint64_t id = 1; id <= 8; id++)
        guest_ask(&d, id, id < 5 ? &a : &b);
    drive_step(&d);
    guests_expect_order(&d, (uint64_t[]){1, 5, 2, 6}, 4);
    drive_close(&d);
}

/* ---- priorities --------------------------------------------------------------- */

static void a_smaller_priority_goes_first_whoever_asks(void **state)
{
    static const struct guest a0 = {"a", .n_prompt = 4, .max_tokens = 2},
                              b0 = {"b", .n_prompt = 4, .max_tokens = 2},
                              a1 = {"a", .n_prompt = 4, .max_tokens = 2, .priority = 1},
                              b_1 = {"b", .n_prompt = 4, .max_tokens = 2, .priority = -1};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    o.max_seqs = 1;
    drive_open(&d, &o);
    guest_ask(&d, 1, &a1);
    guest_ask(&d, 2, &a0);
    guest_ask(&d, 3, &a0);
    guest_ask(&d, 4, &b0);
    guest_ask(&d, 5, &b_1);
    guest_ask(&d, 6, &b_1);
    drive_run(&d);
    guests_expect_order(&d, (uint64_t[]){5, 6, 2, 3, 4, 1}, 6);
    drive_close(&d);
}

/* ---- memory ------------------------------------------------------------------- */

/* All flows but two have been served more than one that waits, so that they would be
 * remembered. */
static void few_flows_without_requests_are_remembered(void **state)
{
    static const struct guest first = {.n_prompt = 2, .max_tokens = 200},
                              wide = {.connection = 1,
                                      .n_prompt = 4,
                                      .max_tokens = 4,
                                      .n = GUESTS_SEQS};
    struct engine_options o = guests_options();
    struct guest a = {.n_prompt = 2, .max_tokens = 1};
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    ptrdiff_t before = mem_held();
    guest_ask(&d, 1, &first);
    drive_step(&d);
    engine_pause(d.e, 1, true); /* so that the wide one never fits */
    guest_ask(&d, 2, &wide);
    for (uint64_t id = 3; id < 3000; id++) {
        a.connection = a.client = id;
        guest_ask(&d, id, &a);
        if (id % 3 == 0)
            engine_cancel(d.e, id, FINISH_ABORT);
        drive_step(&d);
        drive_clear(&d);
    }
    assert_in_range(mem_held() - before, 1, 4 * FLOWS_IDLE * sizeof(struct flow));
    engine_cancel(d.e, 1, FINISH_ABORT);
    drive_run(&d);
    assert_true(guest_ended(&d, 2));
    assert_int_equal(mem_held(), before);
    drive_close(&d);
}

static void no_memory_for_a_flow_refuses_the_request(void **state)
{
    struct engine_options o = guests_options();
    struct engine_request r = {
        .id = 1, .ids = guests_ids, .n_ids = 2, .gen = drive_greedy(2)};
    struct err err;
    struct drive d;
    int rc = -1;
    (void)state;
    drive_open(&d, &o);
    ptrdiff_t before = mem_held();
    for (long n = 1; rc; n++) {
        mem_fail_after(n);
        rc = engine_submit(d.e, &r, &err);
        mem_fail_after(0);
        assert_true(rc == 0 || rc == -ERR_MEMORY);
    }
    drive_run(&d);
    assert_true(guest_ended(&d, 1));
    assert_int_equal(mem_held(), before);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenants_are_served_by_their_shares),
        cmocka_unit_test(all_levels_share_evenly),
        cmocka_unit_test(connections_do_not_multiply_a_share),
        cmocka_unit_test(asking_one_at_a_time_hides_nothing),
        cmocka_unit_test(one_request_beside_a_thousand),
        cmocka_unit_test(free_slots_cost_nothing),
        cmocka_unit_test(cached_tokens_cost_nothing),
        cmocka_unit_test(what_was_not_loaded_is_charged),
        cmocka_unit_test(a_newcomer_begins_beside_the_others),
        cmocka_unit_test(an_empty_queue_forgets),
        cmocka_unit_test(equal_ones_alternate),
        cmocka_unit_test(a_smaller_priority_goes_first_whoever_asks),
        cmocka_unit_test(few_flows_without_requests_are_remembered),
        cmocka_unit_test(no_memory_for_a_flow_refuses_the_request),
    };
    return cmocka_run_group_tests(tests, guests_make, guests_remove);
}
