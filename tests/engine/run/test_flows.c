/*
 * Turns between tenants, addresses and connections, and what passes a wide request: an
 * engine with a small model, driven by hand with invented times. What a client was served
 * is counted from its events, as prompt and generated tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/run/flows.h"
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { CONTEXT = 256, PAGE = 16, SEQS = 4, ROWS = 64, GUESTS = 16 };
static const uint64_t SECOND = 1000000000u;

static struct maker model;
static int32_t ids[CONTEXT];

static int make_model(void **state)
{
    static const struct maker_sizes sizes = {50, 24, 2, 2, 1, 16, CONTEXT};
    (void)state;
    maker_open(&model);
    maker_transxssm(&model, &sizes);
    for (int i = 0; i < CONTEXT; i++)
        ids[i] = i * 7 % 50;
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    maker_close(&model);
    return 0;
}

static struct engine_options options(void)
{
    return (struct engine_options){.model_dir = model.dir,
                                   .n_threads = 1,
                                   .max_seqs = SEQS,
                                   .step_rows = ROWS,
                                   .wide_wait_ns = 2 * SECOND,
                                   .no_tokenizer = true};
}

static void open_with_pages(struct drive *d, size_t n_pages)
{
    struct engine_options o = options();
    drive_open(d, &o);
    const struct engine_info *info = engine_info(d->e);
    o.memory_bytes = SEQS * info->slot_bytes + n_pages * info->page_bytes;
    drive_close(d);
    drive_open(d, &o);
}

/* A client, and what each request of it is like. */
struct guest {
    const char *tenant;
    uint64_t client, connection;
    int share, n_prompt, max_tokens, n, priority;
};

static void ask(struct drive *d, uint64_t id, const struct guest *a)
{
    struct gen_params g = drive_greedy(a->max_tokens);
    struct err err;
    g.ignore_eos = true;
    g.n = a->n ? a->n : 1;
    g.temperature = g.n > 1;
    g.priority = a->priority;
    struct engine_request r = {.id = id,
                               .ids = ids,
                               .n_ids = (size_t)a->n_prompt,
                               .tenant = a->tenant,
                               .client = a->client,
                               .connection = a->connection,
                               .share = a->share,
                               .gen = g};
    assert_int_equal(engine_submit(d->e, &r, &err), 0);
}

static void step_at(struct drive *d, uint64_t now_ns)
{
    d->now_ns = now_ns;
    drive_step(d);
}

static bool started(const struct drive *d, uint64_t id)
{
    return drive_count(d, id, EVENT_START) > 0;
}

static bool ended(const struct drive *d, uint64_t id)
{
    return drive_finish(d, id, 0) != NULL;
}

/* Expects that requests started in this order, and no other has. */
static void expect_order(const struct drive *d, const uint64_t *order, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < d->n; i++)
        if (d->notes[i].ev.kind == EVENT_START) {
            assert_true(at < n);
            assert_int_equal(d->notes[i].ev.request, order[at++]);
        }
    assert_int_equal(at, n);
}

/* ---- wide requests ------------------------------------------------------------ */

static const struct guest long_one = {.n_prompt = 4, .max_tokens = 100},
                          wide = {.connection = 1,
                                  .n_prompt = 4,
                                  .max_tokens = 4,
                                  .n = SEQS},
                          small = {.connection = 2, .n_prompt = 4, .max_tokens = 4};

static void what_fits_passes_a_wide_request(void **state)
{
    struct engine_options o = options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    ask(&d, 1, &long_one);
    step_at(&d, SECOND);
    ask(&d, 2, &wide);
    ask(&d, 3, &small);
    step_at(&d, SECOND + 1);
    assert_false(started(&d, 2));
    assert_true(started(&d, 3));
    drive_run(&d);
    assert_true(ended(&d, 2));
    drive_close(&d);
}

static void slots_are_kept_for_a_wide_request_that_has_waited(void **state)
{
    struct engine_options o = options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    ask(&d, 1, &long_one);
    ask(&d, 2, &wide);
    step_at(&d, SECOND); /* waits from now on */
    ask(&d, 3, &small);
    step_at(&d, 3 * SECOND - 1);
    assert_true(started(&d, 3));
    ask(&d, 4, &small);
    for (uint64_t now = 3 * SECOND; !ended(&d, 1); now++) {
        step_at(&d, now);
        assert_false(started(&d, 4));
    }
    step_at(&d, 4 * SECOND);
    assert_true(started(&d, 2));
    drive_run(&d);
    assert_true(ended(&d, 4));
    drive_close(&d);
}

static void without_wide_wait_nothing_passes(void **state)
{
    struct engine_options o = options();
    struct drive d;
    (void)state;
    o.wide_wait_ns = 0;
    drive_open(&d, &o);
    ask(&d, 1, &long_one);
    step_at(&d, SECOND);
    ask(&d, 2, &wide);
    ask(&d, 3, &small);
    step_at(&d, SECOND + 1);
    assert_false(started(&d, 3));
    drive_run(&d);
    expect_order(&d, (uint64_t[]){1, 2, 3}, 3);
    drive_close(&d);
}

/* Ten pages: half of them run, the wide one wants all, a small one a single one. */
static void passing_and_keeping_hold_for_pages(void **state)
{
    static const struct guest half = {.n_prompt = PAGE, .max_tokens = 4 * PAGE},
                              all = {.connection = 1,
                                     .n_prompt = 8 * PAGE,
                                     .max_tokens = 2 * PAGE},
                              one = {
                                  .connection = 2, .n_prompt = 1, .max_tokens = PAGE - 1};
    struct drive d;
    (void)state;
    open_with_pages(&d, 10);
    ask(&d, 1, &half);
    ask(&d, 2, &all);
    step_at(&d, SECOND);
    ask(&d, 3, &one);
    step_at(&d, SECOND + 1);
    assert_true(started(&d, 3));
    assert_false(started(&d, 2));
    ask(&d, 4, &one);
    for (uint64_t now = 3 * SECOND; !started(&d, 2); now++) {
        step_at(&d, now);
        assert_false(started(&d, 4));
    }
    drive_run(&d);
    assert_true(ended(&d, 4));
    drive_close(&d);
}

/* It is not its age that puts a request first: turns are kept. */
static void an_old_request_does_not_keep_those_before_it_waiting(void **state)
{
    static const struct guest heavy = {"a", .n_prompt = 4, .max_tokens = 60},
                              heavy_wide = {"a", .connection = 1, .n_prompt = 4,
                                            .max_tokens = 4, .n = SEQS},
                              light = {"b", .n_prompt = 4, .max_tokens = 4};
    struct engine_options o = options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    for (uint64_t id = 1; id < 8; id++)
        ask(&d, id, &heavy);
    ask(&d, 10, &heavy_wide);
    step_at(&d, SECOND);
    for (uint64_t now = 2; now < 50; now++)
        step_at(&d, SECOND + now);
    ask(&d, 20, &light);
    for (uint64_t now = 10 * SECOND; !ended(&d, 1); now++)
        step_at(&d, now);
    step_at(&d, 20 * SECOND);
    assert_true(started(&d, 20));
    assert_false(started(&d, 10));
    drive_run(&d);
    assert_true(ended(&d, 10));
    drive_close(&d);
}

/* ---- turns -------------------------------------------------------------------- */

/* Tokens that an asker was served: what was admitted of prompts, and generated. */
struct serving {
    struct drive d;
    const struct guest *guests; /* [n_guests]; request id = serial * GUESTS + index */
    size_t n_guests, read;
    uint64_t next, now_ns;
    double served[GUESTS];
    int live[GUESTS];
};

static void serve_open(struct serving *s, const struct guest *guests, size_t n)
{
    struct engine_options o = options();
    assert_true(n <= GUESTS);
    *s = (struct serving){.guests = guests, .n_guests = n, .now_ns = SECOND};
    drive_open(&s->d, &o);
}

static void serve_ask(struct serving *s, size_t who)
{
    ask(&s->d, s->next++ * GUESTS + who, &s->guests[who]);
    s->live[who]++;
}

static void serve_step(struct serving *s)
{
    step_at(&s->d, s->now_ns += SECOND / 100);
    for (; s->read < s->d.n; s->read++) {
        const struct event *ev = &s->d.notes[s->read].ev;
        size_t who = ev->request % GUESTS;
        if (ev->kind == EVENT_START)
            s->served[who] += s->guests[who].n_prompt - ev->n_cached;
        s->served[who] += ev->kind == EVENT_TOKEN;
        s->live[who] -= ev->kind == EVENT_FINISH;
    }
}

/* Steps while each asker keeps so many requests in the engine. */
static void serve_closed_loop(struct serving *s, const int *depths, int n_steps)
{
    for (int i = 0; i < n_steps; i++) {
        for (size_t who = 0; who < s->n_guests; who++)
            while (s->live[who] < depths[who])
                serve_ask(s, who);
        serve_step(s);
    }
}

/* Jain's index of what each was served per share. */
static double fairness(const struct serving *s)
{
    double sum = 0, squares = 0;
    for (size_t who = 0; who < s->n_guests; who++) {
        int share = s->guests[who].share;
        double x = s->served[who] / (share ? share : 1);
        sum += x;
        squares += x * x;
    }
    return sum * sum / ((double)s->n_guests * squares);
}

static void tenants_are_served_by_their_shares(void **state)
{
    static const struct guest guests[] = {
        {"one", .share = 1, .n_prompt = 3, .max_tokens = 5},
        {"two", .share = 2, .n_prompt = 60, .max_tokens = 30},
        {"four", .share = 4, .n_prompt = 20, .max_tokens = 60}};
    static const int depths[] = {20, 20, 20};
    struct serving s;
    (void)state;
    serve_open(&s, guests, 3);
    serve_closed_loop(&s, depths, 3000);
    assert_true(fairness(&s) > 0.99);
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
    (void)state;
    for (int level = 0; level < 3; level++) {
        struct serving s;
        for (size_t i = 0; i < 4; i++) {
            guests[i] = tenants[i];
            guests[i].tenant = level == 0 ? guests[i].tenant : NULL;
            guests[i].client = level == 1 ? i : 7;
            guests[i].connection = level == 2 ? i : 7;
        }
        serve_open(&s, guests, 4);
        serve_closed_loop(&s, depths, 2000);
        assert_true(fairness(&s) > 0.99);
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
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        guests[i] = (struct guest){
            .client = i == 7, .connection = i, .n_prompt = 5, .max_tokens = 10};
        depths[i] = 4;
    }
    serve_open(&s, guests, 8);
    serve_closed_loop(&s, depths, 1000);
    for (size_t i = 0; i < 7; i++)
        many += s.served[i];
    assert_true(many < 1.1 * s.served[7] && s.served[7] < 1.1 * many);
    drive_close(&s.d);
}

/* Who asks for one thing after the other has no request left between two: what it was
 * served before counts all the same. */
static void asking_one_at_a_time_hides_nothing(void **state)
{
    static const struct guest guests[GUESTS] = {
        {.client = 0, .n_prompt = 80, .max_tokens = 60},
        {.client = 1, .n_prompt = 4, .max_tokens = 4},
        {.client = 2, .n_prompt = 4, .max_tokens = 4},
        {.client = 3, .n_prompt = 4, .max_tokens = 4},
        {.client = 4, .n_prompt = 4, .max_tokens = 4},
        {.client = 5, .n_prompt = 4, .max_tokens = 4},
        {.client = 6, .n_prompt = 4, .max_tokens = 4},
        {.client = 7, .n_prompt = 4, .max_tokens = 4}};
    static const int depths[GUESTS] = {1, 8, 8, 8, 8, 8, 8, 8};
    struct serving s;
    (void)state;
    serve_open(&s, guests, 8);
    serve_closed_loop(&s, depths, 3000);
    assert_true(fairness(&s) > 0.98);
    drive_close(&s.d);
}

static void one_request_beside_a_thousand(void **state)
{
    static const struct guest guests[] = {{"many", .n_prompt = 4, .max_tokens = 6},
                                          {"one", .n_prompt = 4, .max_tokens = 6}};
    struct serving s;
    int steps = 0;
    (void)state;
    serve_open(&s, guests, 2);
    for (int i = 0; i < 1000; i++)
        serve_ask(&s, 0);
    for (int i = 0; i < 100; i++)
        serve_step(&s);
    for (int round = 0; round < 3; round++) {
        serve_ask(&s, 1);
        for (steps = 0; s.live[1]; steps++)
            serve_step(&s);
        assert_in_range(steps, 1, 2 * 6 + 2); /* until a slot is free, and its answer */
    }
    while (s.live[0])
        serve_step(&s);
    drive_close(&s.d);
}

/* What was computed while nobody waited is held against nobody. */
static void free_slots_cost_nothing(void **state)
{
    static const struct guest other = {"b", .n_prompt = 4, .max_tokens = 100},
                              early = {"a", .n_prompt = 100, .max_tokens = 20};
    struct engine_options o = options();
    struct drive d;
    (void)state;
    o.max_seqs = 2;
    drive_open(&d, &o);
    ask(&d, 1, &other);
    drive_step(&d);
    ask(&d, 2, &early);
    drive_step(&d);
    ask(&d, 3, &early);
    ask(&d, 4, &other);
    drive_run(&d);
    expect_order(&d, (uint64_t[]){1, 2, 3, 4}, 4);
    drive_close(&d);
}

/* Who comes late has no credit for what others were served before. */
static void a_newcomer_begins_beside_the_others(void **state)
{
    static const struct guest guests[] = {{"a", .n_prompt = 4, .max_tokens = 10},
                                          {"b", .n_prompt = 20, .max_tokens = 4},
                                          {"late", .n_prompt = 4, .max_tokens = 4}};
    struct serving s;
    (void)state;
    serve_open(&s, guests, 3);
    serve_closed_loop(&s, (int[]){10, 10, 0}, 500);
    memset(s.served, 0, sizeof s.served);
    serve_closed_loop(&s, (int[]){10, 10, 10}, 300);
    assert_true(fairness(&s) > 0.99);
    drive_close(&s.d);
}

/* When nobody waits any more, all begin anew. */
static void an_empty_queue_forgets(void **state)
{
    static const struct guest a1 = {"a", .n_prompt = 100, .max_tokens = 100},
                              a2 = {"a", .n_prompt = 4, .max_tokens = 4},
                              b = {"b", .n_prompt = 4, .max_tokens = 10};
    struct engine_options o = options();
    struct drive d;
    (void)state;
    o.max_seqs = 2;
    drive_open(&d, &o);
    ask(&d, 1, &a1);
    ask(&d, 2, &b);
    ask(&d, 3, &b);
    while (!started(&d, 3))
        drive_step(&d);
    ask(&d, 4, &a2);
    ask(&d, 5, &b);
    while (!ended(&d, 1))
        drive_step(&d);
    expect_order(&d, (uint64_t[]){1, 2, 3, 4, 5}, 5);
    drive_close(&d);
}

/* Prompts that are cached cost nothing until they are answered: turns are taken. */
static void equal_ones_alternate(void **state)
{
    static const struct guest a = {"a", .n_prompt = 32, .max_tokens = 20},
                              b = {"b", .n_prompt = 32, .max_tokens = 20};
    struct engine_options o = options();
    struct drive d;
    (void)state;
    o.prefix_cache = true;
    drive_open(&d, &o);
    ask(&d, 1, &a);
    ask(&d, 2, &b);
    drive_run(&d);
    drive_clear(&d);
    for (uint64_t id = 1; id <= 8; id++)
        ask(&d, id, id < 5 ? &a : &b);
    drive_step(&d);
    expect_order(&d, (uint64_t[]){1, 5, 2, 6}, 4);
    drive_close(&d);
}

/* ---- priorities --------------------------------------------------------------- */

static void a_smaller_priority_goes_first_whoever_asks(void **state)
{
    static const struct guest a0 = {"a", .n_prompt = 4, .max_tokens = 2},
                              b0 = {"b", .n_prompt = 4, .max_tokens = 2},
                              a1 = {"a", .n_prompt = 4, .max_tokens = 2, .priority = 1},
                              b_1 = {"b", .n_prompt = 4, .max_tokens = 2, .priority = -1};
    struct engine_options o = options();
    struct drive d;
    (void)state;
    o.max_seqs = 1;
    drive_open(&d, &o);
    ask(&d, 1, &a1);
    ask(&d, 2, &a0);
    ask(&d, 3, &a0);
    ask(&d, 4, &b0);
    ask(&d, 5, &b_1);
    ask(&d, 6, &b_1);
    drive_run(&d);
    expect_order(&d, (uint64_t[]){5, 6, 2, 3, 4, 1}, 6);
    drive_close(&d);
}

/* ---- a step's rows ------------------------------------------------------------ */

static void a_connection_with_many_prompts_leaves_others_their_rows(void **state)
{
    static const struct guest many = {.client = 1, .n_prompt = 250, .max_tokens = 1},
                              one = {.client = 2, .n_prompt = ROWS / 2, .max_tokens = 1};
    struct engine_options o = options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    for (uint64_t id = 1; id < 4; id++)
        ask(&d, id, &many);
    ask(&d, 4, &one);
    drive_step(&d);
    assert_true(ended(&d, 4)); /* half of the rows */
    drive_run(&d);
    drive_close(&d);
}

static void rows_follow_shares(void **state)
{
    static const struct guest one = {"one", .n_prompt = 2 * ROWS, .max_tokens = 1,
                                     .share = 1},
                              three = {"three", .n_prompt = 3 * ROWS / 4, .max_tokens = 1,
                                       .share = 3};
    struct engine_options o = options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    ask(&d, 1, &one);
    ask(&d, 2, &three);
    assert_int_equal(drive_step(&d), ROWS);
    assert_true(ended(&d, 2));
    drive_close(&d);
}

/* ---- memory ------------------------------------------------------------------- */

/* All flows but two have been served more than one that waits, so that they would be
 * remembered. */
static void few_flows_without_requests_are_remembered(void **state)
{
    static const struct guest first = {.n_prompt = 2, .max_tokens = 200};
    struct engine_options o = options();
    struct guest a = {.n_prompt = 2, .max_tokens = 1};
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    ptrdiff_t before = mem_held();
    ask(&d, 1, &first);
    drive_step(&d);
    engine_pause(d.e, 1, true); /* so that the wide one never fits */
    ask(&d, 2, &wide);
    for (uint64_t id = 3; id < 3000; id++) {
        a.connection = a.client = id;
        ask(&d, id, &a);
        if (id % 3 == 0)
            engine_cancel(d.e, id, FINISH_ABORT);
        drive_step(&d);
        drive_clear(&d);
    }
    assert_in_range(mem_held() - before, 1, 4 * FLOWS_IDLE * sizeof(struct flow));
    engine_cancel(d.e, 1, FINISH_ABORT);
    drive_run(&d);
    assert_true(ended(&d, 2));
    assert_int_equal(mem_held(), before);
    drive_close(&d);
}

static void no_memory_for_a_flow_refuses_the_request(void **state)
{
    struct engine_options o = options();
    struct engine_request r = {.id = 1, .ids = ids, .n_ids = 2, .gen = drive_greedy(2)};
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
    assert_true(ended(&d, 1));
    assert_int_equal(mem_held(), before);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_passes_a_wide_request),
        cmocka_unit_test(slots_are_kept_for_a_wide_request_that_has_waited),
        cmocka_unit_test(without_wide_wait_nothing_passes),
        cmocka_unit_test(passing_and_keeping_hold_for_pages),
        cmocka_unit_test(an_old_request_does_not_keep_those_before_it_waiting),
        cmocka_unit_test(tenants_are_served_by_their_shares),
        cmocka_unit_test(all_levels_share_evenly),
        cmocka_unit_test(connections_do_not_multiply_a_share),
        cmocka_unit_test(asking_one_at_a_time_hides_nothing),
        cmocka_unit_test(one_request_beside_a_thousand),
        cmocka_unit_test(free_slots_cost_nothing),
        cmocka_unit_test(a_newcomer_begins_beside_the_others),
        cmocka_unit_test(an_empty_queue_forgets),
        cmocka_unit_test(equal_ones_alternate),
        cmocka_unit_test(a_smaller_priority_goes_first_whoever_asks),
        cmocka_unit_test(a_connection_with_many_prompts_leaves_others_their_rows),
        cmocka_unit_test(rows_follow_shares),
        cmocka_unit_test(few_flows_without_requests_are_remembered),
        cmocka_unit_test(no_memory_for_a_flow_refuses_the_request),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
