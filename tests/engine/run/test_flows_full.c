/*
 * Who gives way when the queue is full: not the newest, but who asks for most, or was
 * served most.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/guests.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- a full queue --------------------------------------------------------------- */

static bool gave_way(const struct drive *d, uint64_t id)
{
    return drive_count(d, id, EVENT_BUSY) > 0;
}

/* One sequence runs; at most three requests wait. */
static void open_full(struct drive *d)
{
    struct engine_options o = guests_options();
    o.max_seqs = 1;
    o.max_waiting = 3;
    drive_open(d, &o);
    guest_ask(d, 1, &(struct guest){"runs", .n_prompt = 4, .max_tokens = 20});
    drive_step(d);
}

/* Expects that this one gives way, of 1 that runs and 2 to `last`, and all others end. */
static void expect_last(struct drive *d, uint64_t last, uint64_t gone)
{
    for (uint64_t id = 1; id <= last; id++)
        assert_int_equal(gave_way(d, id), id == gone);
    drive_run(d);
    for (uint64_t id = 1; id <= last; id++)
        assert_int_equal(guest_ended(d, id), id != gone);
    drive_close(d);
}

static void who_asks_for_most_gives_way(void **state)
{
    struct guest many = {.client = 1, .n_prompt = 4, .max_tokens = 4}, one = many;
    struct drive d;
    (void)state;
    open_full(&d);
    for (uint64_t id = 2; id <= 4; id++) {
        many.connection = id;
        guest_ask(&d, id, &many);
    }
    one.client = 2;
    guest_ask(&d, 5, &one);
    expect_last(&d, 5, 4);
    open_full(&d); /* the other way round: the newest itself */
    guest_ask(&d, 2, &one);
    for (uint64_t id = 3; id <= 5; id++) {
        many.connection = id;
        guest_ask(&d, id, &many);
    }
    expect_last(&d, 5, 5);
}

static void who_was_served_gives_way_to_who_was_not(void **state)
{
    struct guest a = {.n_prompt = 4, .max_tokens = 4};
    struct drive d;
    (void)state;
    open_full(&d);
    for (uint64_t id = 2; id <= 4; id++) {
        a.client = id;
        guest_ask(&d, id, &a);
    }
    while (!guest_ended(&d, 2))
        drive_step(&d);
    a.client = 2;
    guest_ask(&d, 5, &a);
    for (uint64_t id = 6; id <= 7; id++) { /* nothing runs: four may wait */
        a.client = id;
        guest_ask(&d, id, &a);
    }
    expect_last(&d, 7, 5);
}

static void the_greatest_priority_gives_way(void **state)
{
    struct guest a = {.n_prompt = 4, .max_tokens = 4};
    struct drive d;
    (void)state;
    open_full(&d);
    for (uint64_t id = 2; id <= 5; id++) {
        a.connection = id;
        a.priority = id == 3;
        guest_ask(&d, id, &a);
    }
    expect_last(&d, 5, 3);
}

/* It would lose what was computed for the others of its connection. */
static void a_connection_with_running_requests_does_not_give_way(void **state)
{
    static const struct guest batch = {.client = 1, .n_prompt = 4, .max_tokens = 8},
                              other = {.client = 2, .n_prompt = 4, .max_tokens = 8};
    struct engine_options o = guests_options();
    struct drive d;
    (void)state;
    o.max_seqs = 1;
    o.max_waiting = 3;
    drive_open(&d, &o);
    for (uint64_t id = 1; id <= 4; id++)
        guest_ask(&d, id, &batch);
    drive_step(&d);
    guest_ask(&d, 5, &other); /* one more than three */
    assert_int_equal(drive_count(&d, 5, EVENT_BUSY), 0);
    guest_ask(&d, 6, &batch);
    expect_last(&d, 6, 6);
}

/* Closed loops of more guests than there are places, where who is refused comes again
 * after some time: all are served alike, though those who were served ask at once. */
static void a_full_queue_is_fair(void **state)
{
    struct guest guests[GUESTS_MAX];
    struct engine_options o = guests_options();
    struct serving s;
    uint64_t again_ns[GUESTS_MAX] = {0};
    (void)state;
    o.max_seqs = 2;
    o.max_waiting = 4;
    for (size_t who = 0; who < GUESTS_MAX; who++)
        guests[who] = (struct guest){.client = who, .n_prompt = 4, .max_tokens = 5};
    serving_open(&s, guests, GUESTS_MAX, &o);
    for (int step = 0; step < 4000; step++) {
        for (size_t who = 0; who < GUESTS_MAX; who++)
            if (s.live[who] == 0 && s.now_ns >= again_ns[who])
                serving_ask(&s, who);
        for (size_t i = s.read; i < s.d.n; i++) {
            const struct event *ev = &s.d.notes[i].ev;
            if (ev->kind == EVENT_BUSY) {
                again_ns[ev->request % GUESTS_MAX] = s.now_ns + GUESTS_SECOND / 5;
                s.live[ev->request % GUESTS_MAX]--;
            }
        }
        serving_step(&s);
    }
    assert_true(serving_fairness(&s) > 0.97);
    drive_close(&s.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_for_most_gives_way),
        cmocka_unit_test(who_was_served_gives_way_to_who_was_not),
        cmocka_unit_test(the_greatest_priority_gives_way),
        cmocka_unit_test(a_connection_with_running_requests_does_not_give_way),
        cmocka_unit_test(a_full_queue_is_fair),
    };
    return cmocka_run_group_tests(tests, guests_make, guests_remove);
}
