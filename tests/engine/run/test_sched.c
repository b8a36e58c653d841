/*
 * The scheduler: admission with the worst case reserved, fairness inside a step,
 * priorities, and that all memory is released however a request ends. Through engine.h:
 * engine_stats shows what a sequence holds, its events show what ran.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { CONTEXT = 512, PAGE = 16, SEQS = 4, ROWS = SEQS + PAGE };

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
                                   .no_tokenizer = true};
}

/* An engine with exactly n_pages pages. */
static void open_with_pages(struct drive *d, size_t n_pages)
{
    struct engine_options o = options();
    drive_open(d, &o);
    const struct engine_info *info = engine_info(d->e);
    o.memory_bytes = SEQS * info->slot_bytes + n_pages * info->page_bytes;
    drive_close(d);
    drive_open(d, &o);
    assert_int_equal(engine_info(d->e)->n_pages, n_pages);
}

static struct engine_stats load_of(const struct drive *d)
{
    struct engine_stats l;
    engine_stats(d->e, &l);
    return l;
}

static void expect_idle(const struct drive *d)
{
    struct engine_stats l = load_of(d);
    assert_int_equal(l.running, 0);
    assert_int_equal(l.waiting, 0);
    assert_int_equal(l.slots_used, 0);
    assert_int_equal(l.pages_used, 0);
}

/* Reservations do not show in engine_stats: that the whole pool can be reserved again
 * does. */
static void expect_nothing_reserved(struct drive *d)
{
    int whole = engine_info(d->e)->n_pages * PAGE;
    int most = whole < CONTEXT ? whole : CONTEXT;
    struct gen_params g = drive_greedy(most - 1);
    drive_submit(d, 99, ids, 1, &g);
    drive_step(d);
    assert_int_equal(load_of(d).running, 1);
    engine_cancel(d->e, 99, FINISH_ABORT);
    expect_idle(d);
}

static size_t started(const struct drive *d, uint64_t id)
{
    return drive_count(d, id, EVENT_START);
}

/* ---- admission -------------------------------------------------------------- */

static void a_request_waits_until_its_worst_case_fits(void **state)
{
    struct gen_params g = drive_greedy(3 * PAGE);
    struct drive d;
    (void)state;
    g.ignore_eos = true;
    open_with_pages(&d, 10);
    drive_submit(&d, 1, ids, PAGE, &g); /* 4 pages */
    drive_submit(&d, 2, ids, PAGE, &g); /* 4 pages */
    drive_submit(&d, 3, ids, PAGE, &g); /* 4 pages: 2 are left */
    drive_step(&d);
    assert_int_equal(load_of(&d).running, 2);
    assert_int_equal(load_of(&d).waiting, 1);
    assert_true(load_of(&d).pages_used < 8); /* it is the reservation that counts */
    while (!drive_finish(&d, 1, 0) && !drive_finish(&d, 2, 0)) {
        assert_int_equal(started(&d, 3), 0);
        drive_step(&d);
    }
    drive_run(&d);
    assert_int_equal(drive_finish(&d, 3, 0)->n_generated, 3 * PAGE);
    expect_idle(&d);
    expect_nothing_reserved(&d);
    drive_close(&d);
}

static void a_request_waits_for_slots(void **state)
{
    struct gen_params g = drive_greedy(8), three = drive_greedy(4);
    struct engine_options o = options();
    struct drive d;
    (void)state;
    three.n = 3;
    three.temperature = 1;
    drive_open(&d, &o);
    drive_submit(&d, 1, ids, 5, &three);
    drive_submit(&d, 2, ids, 5, &g);
    drive_submit(&d, 3, ids, 5, &g);
    drive_step(&d);
    assert_int_equal(load_of(&d).slots_used, 4);
    assert_int_equal(started(&d, 3), 0);
    drive_run(&d);
    assert_non_null(drive_finish(&d, 3, 0));
    expect_idle(&d);
    drive_close(&d);
}

static void a_large_request_does_not_starve(void **state)
{
    struct gen_params small = drive_greedy(2 * PAGE - 1), large = drive_greedy(9 * PAGE);
    struct drive d;
    (void)state;
    small.ignore_eos = large.ignore_eos = true;
    open_with_pages(&d, 10);
    drive_submit(&d, 1, ids, 1, &small);
    drive_step(&d);
    drive_submit(&d, 2, ids, PAGE, &large); /* all 10 pages */
    for (uint64_t id = 3; id < 8; id++)
        drive_submit(&d, id, ids, 1, &small);
    while (!started(&d, 2)) {
        drive_step(&d);
        for (uint64_t id = 3; id < 8; id++)
            assert_int_equal(started(&d, id), 0);
    }
    assert_non_null(drive_finish(&d, 1, 0));
    drive_run(&d);
    for (uint64_t id = 1; id < 8; id++)
        assert_non_null(drive_finish(&d, id, 0));
    expect_idle(&d);
    drive_close(&d);
}

static void a_smaller_priority_goes_first(void **state)
{
    static const int priorities[] = {5, 1, 5, -3, 1, 0};
    static const uint64_t order[] = {3, 5, 1, 4, 0, 2};
    struct engine_options o = options();
    uint64_t begun[6];
    size_t n = 0;
    struct drive d;
    (void)state;
    o.max_seqs = 1;
    drive_open(&d, &o);
    for (uint64_t id = 0; id < 6; id++) {
        struct gen_params g = drive_greedy(2);
        g.priority = priorities[id];
        drive_submit(&d, id, ids, 3, &g);
    }
    drive_run(&d);
    for (size_t i = 0; i < d.n; i++)
        if (d.notes[i].ev.kind == EVENT_START)
            begun[n++] = d.notes[i].ev.request;
    assert_int_equal(n, 6);
    assert_memory_equal(begun, order, sizeof order);
    drive_close(&d);
}

/* ---- a step's rows ---------------------------------------------------------- */

static void a_long_prompt_never_stalls_a_stream(void **state)
{
    struct gen_params stream = drive_greedy(60), reader = drive_greedy(1);
    struct engine_options o = options();
    struct drive d;
    (void)state;
    stream.ignore_eos = reader.ignore_eos = true;
    drive_open(&d, &o);
    drive_submit(&d, 1, ids, 4, &stream);
    drive_submit(&d, 2, ids, 4, &stream);
    drive_step(&d);
    drive_submit(&d, 3, ids, CONTEXT - 1, &reader);
    for (int step = 1; !drive_finish(&d, 3, 0); step++) {
        size_t before[] = {drive_count(&d, 1, EVENT_TOKEN),
                           drive_count(&d, 2, EVENT_TOKEN)};
        int rows = drive_step(&d);
        assert_true(rows <= ROWS);
        assert_int_equal(drive_count(&d, 1, EVENT_TOKEN), before[0] + 1);
        assert_int_equal(drive_count(&d, 2, EVENT_TOKEN), before[1] + 1);
        assert_true(step <=
                    (CONTEXT - 1) / (ROWS - 2) + 1); /* the rest is the reader's */
    }
    drive_run(&d);
    expect_idle(&d);
    drive_close(&d);
}

static void an_arrival_starts_in_its_first_step(void **state)
{
    struct gen_params g = drive_greedy(4);
    struct engine_options o = options();
    struct drive d;
    (void)state;
    drive_open(&d, &o);
    drive_submit(&d, 1, ids, CONTEXT - 4, &g); /* takes all rows, for many steps */
    for (int i = 0; i < 3; i++)
        assert_int_equal(drive_step(&d), ROWS);
    drive_submit(&d, 2, ids, 5, &g);
    drive_step(&d);
    assert_int_equal(drive_count(&d, 2, EVENT_TOKEN),
                     1); /* an even share holds it whole */
    drive_submit(&d, 3, ids, CONTEXT - 4, &g);
    drive_submit(&d, 4, ids, 3, &g);
    drive_step(&d);
    assert_int_equal(drive_count(&d, 4, EVENT_TOKEN), 1);
    drive_run(&d);
    for (uint64_t id = 1; id < 5; id++)
        assert_int_equal(drive_finish(&d, id, 0)->n_generated, 4);
    drive_close(&d);
}

static void rows_never_exceed_the_budget(void **state)
{
    struct engine_options o = options();
    struct drive d;
    unsigned rng = 1;
    (void)state;
    drive_open(&d, &o);
    for (uint64_t id = 1; id < 80; id++) {
        rng = rng * 1103515245u + 12345u;
        struct gen_params g = drive_greedy((int)(rng >> 16) % 20);
        g.n = 1 + (int)(rng >> 8) % 3;
        g.temperature = 1;
        drive_submit(&d, id, ids, 1 + (rng >> 20) % 200, &g);
        int rows = drive_step(&d);
        assert_in_range(rows, 1, ROWS);
        assert_int_equal(load_of(&d).last_rows, rows);
        assert_true(load_of(&d).slots_used <= SEQS);
    }
    while (drive_step(&d) > 0)
        assert_true(d.last_rows <= ROWS);
    expect_idle(&d);
    expect_nothing_reserved(&d);
    drive_close(&d);
}

/* ---- paused and cancelled --------------------------------------------------- */

static void a_paused_request_gets_no_rows_and_goes_on(void **state)
{
    struct gen_params g = drive_greedy(10);
    struct engine_options o = options();
    struct drive d;
    (void)state;
    g.ignore_eos = true;
    drive_open(&d, &o);
    drive_submit(&d, 1, ids, 100, &g);
    drive_step(&d);
    engine_pause(d.e, 1, true); /* in prefill */
    assert_int_equal(drive_step(&d), 0);
    engine_pause(d.e, 1, false);
    while (!drive_count(&d, 1, EVENT_TOKEN))
        assert_true(drive_step(&d) > 0);
    engine_pause(d.e, 1, true); /* in decode */
    drive_submit(&d, 2, ids, 5, &g);
    drive_run(&d);
    assert_int_equal(drive_count(&d, 1, EVENT_TOKEN), 1);
    assert_non_null(drive_finish(&d, 2, 0));
    engine_pause(d.e, 1, false);
    engine_pause(d.e, 12345, true); /* nobody */
    drive_run(&d);
    assert_int_equal(drive_finish(&d, 1, 0)->n_generated, 10);
    expect_idle(&d);
    drive_close(&d);
}

/* A neighbour runs along and must finish; the victim ends after `steps` steps. */
static void cancel_after(int steps, int n, int prompt)
{
    struct gen_params g = drive_greedy(5), other = drive_greedy(40);
    struct drive d;
    g.n = n;
    g.temperature = 1;
    g.ignore_eos = other.ignore_eos = true;
    open_with_pages(&d, 40);
    drive_submit(&d, 1, ids, 20, &other);
    drive_submit(&d, 2, ids, (size_t)prompt, &g);
    for (int i = 0; i < steps; i++)
        drive_step(&d);
    bool over = drive_finish(&d, 2, 0) != NULL;
    engine_cancel(d.e, 2, FINISH_TIMEOUT);
    engine_cancel(d.e, 2, FINISH_TIMEOUT); /* twice is nothing more */
    engine_cancel(d.e, 777, FINISH_ABORT);
    for (int c = 0; c < n; c++) {
        const struct event *ev = drive_finish(&d, 2, c);
        assert_non_null(ev);
        assert_int_equal(ev->reason, over ? FINISH_LENGTH : FINISH_TIMEOUT);
        assert_int_equal(ev->n_prompt, prompt);
    }
    struct engine_stats l = load_of(&d);
    bool alone = !drive_finish(&d, 1, 0);
    assert_int_equal(l.running + l.waiting, alone);
    assert_true(l.slots_used <= 1 && l.pages_used <= 4);
    drive_run(&d);
    assert_int_equal(drive_finish(&d, 1, 0)->n_generated, 40);
    expect_idle(&d);
    expect_nothing_reserved(&d);
    drive_close(&d);
}

static void cancelling_frees_everything_at_any_step(void **state)
{
    (void)state;
    for (int n = 1; n <= 3; n++)
        for (int steps = 0; steps <= 12; steps++) {
            cancel_after(steps, n, 5);
            cancel_after(steps, n, 16);
            cancel_after(steps, n, 90); /* several steps of prefill */
        }
}

static void closing_with_live_requests_emits_nothing_and_frees_all(void **state)
{
    struct gen_params g = drive_greedy(20);
    struct engine_options o = options();
    struct drive d;
    (void)state;
    g.n = 2;
    drive_open(&d, &o);
    for (uint64_t id = 1; id < 5; id++)
        drive_submit(&d, id, ids, 30, &g);
    drive_step(&d);
    drive_step(&d);
    drive_step(&d);
    size_t before = d.n;
    engine_close(d.e);
    d.e = NULL;
    assert_int_equal(d.n, before);
    drive_close(&d);
}

/* ---- shared pages ----------------------------------------------------------- */

static void choices_share_the_prompts_full_pages(void **state)
{
    static const int prompts[] = {1, 15, 16, 17, 40, 48};
    (void)state;
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        struct gen_params g = drive_greedy(20);
        int full = prompts[i] / PAGE, most = (prompts[i] + 20 + PAGE - 1) / PAGE;
        int worst = full + 3 * (most - full);
        struct drive d;
        g.n = 3;
        g.temperature = 1;
        g.ignore_eos = true;
        open_with_pages(&d, (size_t)worst); /* exactly enough */
        drive_submit(&d, 1, ids, (size_t)prompts[i], &g);
        while (!drive_count(&d, 1, EVENT_TOKEN))
            assert_true(drive_step(&d) > 0);
        assert_int_equal(load_of(&d).pages_used, full + 3 * (prompts[i] % PAGE != 0));
        drive_run(&d);
        for (int c = 0; c < 3; c++)
            assert_int_equal(drive_finish(&d, 1, c)->n_generated, 20);
        expect_idle(&d);
        drive_close(&d);
        if (worst == 1)
            continue;
        struct engine_request r = {
            .id = 1, .ids = ids, .n_ids = (size_t)prompts[i], .gen = g};
        struct err err = {0};
        open_with_pages(&d, (size_t)worst - 1); /* one too few is refused at once */
        assert_int_equal(engine_submit(d.e, &r, &err), -ERR_BUDGET);
        drive_close(&d);
    }
}

static void one_of_two_sharing_ends_first(void **state)
{
    struct gen_params g = drive_greedy(30);
    struct drive d;
    struct logit_bias ends[] = {{3, 2}};
    int32_t stop = 3;
    bool apart = false;
    (void)state;
    g.n = 2;
    g.temperature = 1;
    g.stop_ids = &stop;
    g.n_stop_ids = 1;
    g.bias = ends;
    g.n_bias = 1;
    open_with_pages(&d, 16);
    for (g.seed = 0; g.seed < 40; g.seed++) {
        drive_submit(&d, 1, ids, 40, &g);
        while (drive_step(&d) > 0) {
            bool first = drive_finish(&d, 1, 0) != NULL,
                 second = drive_finish(&d, 1, 1) != NULL;
            struct engine_stats l = load_of(&d);
            apart = apart || first != second;
            assert_int_equal(l.slots_used, 2 - first - second);
            if (first != second) /* the shared pages live on */
                assert_true(l.pages_used >= 3);
        }
        assert_non_null(drive_finish(&d, 1, 0));
        assert_non_null(drive_finish(&d, 1, 1));
        expect_idle(&d);
        drive_clear(&d);
    }
    assert_true(apart);
    expect_nothing_reserved(&d);
    drive_close(&d);
}

/* ---- refusals --------------------------------------------------------------- */

static void expect_refused(const struct drive *d, const struct engine_request *r,
                           int code, const char *param, const char *const texts[])
{
    struct err err = {0}, again = {0};
    assert_int_equal(engine_check(d->e, r, &err), -code);
    assert_string_equal(err.param, param);
    for (int i = 0; texts[i]; i++)
        if (!strstr(err.text, texts[i]))
            fail_msg("\"%s\" does not say \"%s\"", err.text, texts[i]);
    assert_int_equal(engine_submit(d->e, r, &again), -code);
    assert_string_equal(err.text, again.text);
}

static void what_never_fits_is_refused_with_both_numbers(void **state)
{
    struct gen_params g = drive_greedy(100);
    struct engine_request r = {.id = 1, .ids = ids, .n_ids = 100, .gen = g};
    int32_t bad_id = 50;
    struct logit_bias bad_bias = {-1, 0};
    struct drive d;
    (void)state;
    open_with_pages(&d, 10);
    expect_refused(&d, &r, ERR_BUDGET, "max_tokens",
                   (const char *[]){"160", "208", NULL});
    r.gen.max_tokens = 413;
    expect_refused(&d, &r, ERR_CONTEXT, "prompt",
                   (const char *[]){"512", "513", "100", "413", NULL});
    r.gen.max_tokens = 1;
    r.gen.n = SEQS + 1;
    expect_refused(&d, &r, ERR_BUDGET, "n", (const char *[]){"4", "5", NULL});
    r.gen.n = 1;
    r.n_ids = 0;
    expect_refused(&d, &r, ERR_ARGUMENT, "prompt",
                   (const char *[]){"at least one", NULL});
    r.n_ids = 1;
    r.ids = &bad_id;
    expect_refused(&d, &r, ERR_ARGUMENT, "prompt", (const char *[]){"49", "50", NULL});
    bad_id = -1;
    expect_refused(&d, &r, ERR_ARGUMENT, "prompt", (const char *[]){"49", "-1", NULL});
    r.ids = ids;
    r.gen.stop_ids = &bad_id;
    r.gen.n_stop_ids = 1;
    expect_refused(&d, &r, ERR_ARGUMENT, "stop_token_ids", (const char *[]){"-1", NULL});
    r.gen.n_stop_ids = 0;
    r.gen.bias = &bad_bias;
    r.gen.n_bias = 1;
    expect_refused(&d, &r, ERR_ARGUMENT, "logit_bias", (const char *[]){"-1", NULL});
    expect_idle(&d);
    drive_close(&d);
}

static void a_request_as_large_as_the_engine_runs(void **state)
{
    struct gen_params g = drive_greedy(60);
    struct drive d;
    (void)state;
    g.ignore_eos = true;
    open_with_pages(&d, 10);
    drive_submit(&d, 1, ids, 100, &g); /* 160 tokens, 10 pages */
    drive_run(&d);
    assert_int_equal(drive_finish(&d, 1, 0)->n_generated, 60);
    drive_close(&d);
}

static int ignore_row(void *arg, size_t t, const float *logits)
{
    (void)arg;
    (void)t;
    (void)logits;
    return 0;
}

/* What scoring keeps must not starve what is submitted after it. */
static void requests_run_after_scoring(void **state)
{
    struct gen_params g = drive_greedy(3);
    struct err err = {0};
    struct drive d;
    (void)state;
    g.n = SEQS;
    g.temperature = 1;
    open_with_pages(&d, 10);
    assert_int_equal(engine_score(d.e, ids, 160, NULL, 0, ignore_row, NULL, &err), 0);
    drive_submit(&d, 1, ids, 5, &g);
    drive_run(&d);
    assert_non_null(drive_finish(&d, 1, 0));
    expect_idle(&d);
    drive_submit(&d, 2, ids, 5, &g);
    assert_int_equal(engine_score(d.e, ids, 5, NULL, 0, ignore_row, NULL, &err),
                     -ERR_BUSY);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_waits_until_its_worst_case_fits),
        cmocka_unit_test(a_request_waits_for_slots),
        cmocka_unit_test(a_large_request_does_not_starve),
        cmocka_unit_test(a_smaller_priority_goes_first),
        cmocka_unit_test(a_long_prompt_never_stalls_a_stream),
        cmocka_unit_test(an_arrival_starts_in_its_first_step),
        cmocka_unit_test(rows_never_exceed_the_budget),
        cmocka_unit_test(a_paused_request_gets_no_rows_and_goes_on),
        cmocka_unit_test(cancelling_frees_everything_at_any_step),
        cmocka_unit_test(closing_with_live_requests_emits_nothing_and_frees_all),
        cmocka_unit_test(choices_share_the_prompts_full_pages),
        cmocka_unit_test(one_of_two_sharing_ends_first),
        cmocka_unit_test(what_never_fits_is_refused_with_both_numbers),
        cmocka_unit_test(a_request_as_large_as_the_engine_runs),
        cmocka_unit_test(requests_run_after_scoring),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
