/*
 * The queue's limit, and the advice to those turned away against how long the queue then
 * takes to drain: of a server that is simulated with invented times, sequences that each
 * get a row a step, prompts in what is left of a step's rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/serve/admit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const uint64_t SECOND = 1000000000u, MS = 1000000u;

/* ---- the limit ---------------------------------------------------------------- */

static const struct admit_job small = {1, 1, 1}, pair = {1, 2, 1}, five = {1, 5, 1};

static void with_nothing_queued_any_number_is_admitted(void **state)
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
    admit_queue(&a, &pair);
    admit_start(&a, &pair, 0); /* one sequence is left */
    assert_int_equal(admit_take(&a, 4, &err), -ERR_BUSY);
    assert_int_equal(a.waiting, 0);
    assert_int_equal(admit_take(&a, 3, &err), 0);
    assert_int_equal(admit_take(&a, 1, &err), -ERR_BUSY);
    admit_end(&a, &pair, 2);
    assert_int_equal(a.running, 0);
    assert_int_equal(a.seqs, 0);
    admit_drop(&a);
    for (int i = 0; i < 2; i++)
        admit_queue(&a, &small);
    for (int i = 0; i < 2; i++)
        admit_leave(&a, &small);
    assert_int_equal(a.waiting, 0);
    assert_int_equal(a.seqs, 0);
}

/* The engine chooses among some more than the limit. */
static void some_go_ahead_of_the_limit(void **state)
{
    static const int limits[] = {0, 3, 4, 100, 256, 10000},
                     ahead[] = {0, 0, 1, 25, 64, 64};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct admit a = {
            .queue_limit = limits[i], .max_seqs = 1, .running = 1, .seqs = 1};
        struct err err;
        assert_int_equal(admit_check(&a, limits[i] + ahead[i], &err), 0);
        assert_int_equal(admit_check(&a, limits[i] + ahead[i] + 1, &err), -ERR_BUSY);
        assert_int_equal(a.waiting, 0);
    }
}

static void overcommitted_sequences_do_not_shrink_the_queue(void **state)
{
    (void)state;
    struct admit a = {.queue_limit = 2, .max_seqs = 1};
    assert_int_equal(admit_take(&a, 1, NULL), 0);
    admit_queue(&a, &five);
    admit_start(&a, &five, 0);
    assert_int_equal(admit_take(&a, 2, NULL), 0);
    assert_int_equal(admit_take(&a, 1, NULL), -ERR_BUSY);
}

/* ---- a simulated server ------------------------------------------------------- */

enum { JOBS = 20000, SEQS = 64, ROWS = 256, MAX_SAMPLES = 1000 };

struct sim_job {
    struct admit_job asks;
    int cached, answer; /* tokens of the prompt; of each choice */
    int left, made;     /* rows of the prompt; of the answer */
    uint64_t start_ns;
};

struct sample { /* an advice, and the job that was last in the queue then */
    uint64_t at_ns;
    size_t last;
    int low, mid, high; /* for the least, an even and the greatest chance */
};

struct sim {
    struct admit a;
    uint64_t now_ns, tick_ns, row_ns;
    struct sim_job *jobs; /* [JOBS]; static */
    size_t first, n_jobs; /* of those that wait */
    size_t running[SEQS];
    size_t n_running;
    double rows;
    struct sample samples[MAX_SAMPLES];
    size_t n_samples;
};

static void sim_init(struct sim *s, uint64_t row_ns)
{
    static struct sim_job jobs[JOBS];
    *s = (struct sim){.a = {.queue_limit = 256, .max_seqs = SEQS},
                      .now_ns = SECOND,
                      .row_ns = row_ns,
                      .jobs = jobs};
}

/* False: refused. */
static bool sim_arrive(struct sim *s, const struct sim_job *j)
{
    struct err err;
    assert_true(s->n_jobs < JOBS);
    if (admit_take(&s->a, 1, &err))
        return false;
    admit_queue(&s->a, &j->asks);
    s->jobs[s->n_jobs] = *j;
    s->jobs[s->n_jobs++].left = j->asks.n_prompt - j->cached;
    return true;
}

static void sim_start(struct sim *s)
{
    while (s->n_running < SEQS && s->first < s->n_jobs) {
        struct sim_job *j = &s->jobs[s->first];
        j->start_ns = s->now_ns;
        admit_start(&s->a, &j->asks, j->cached);
        s->running[s->n_running++] = s->first++;
    }
}

/* Rows of one sequence in a step of which `left` are left. */
static int sim_run(struct sim_job *j, int left)
{
    if (j->left == 0) {
        j->made++;
        return 1;
    }
    int n = j->left < left ? j->left : left;
    j->left -= n;
    return n;
}

static void sim_step(struct sim *s)
{
    int rows = 0;
    sim_start(s);
    for (size_t i = 0; i < s->n_running;) {
        struct sim_job *j = &s->jobs[s->running[i]];
        rows += sim_run(j, ROWS - rows);
        if (j->made == j->answer) {
            admit_end(&s->a, &j->asks, j->answer);
            memmove(s->running + i, s->running + i + 1,
                    (--s->n_running - i) * sizeof *s->running);
        } else {
            i++;
        }
    }
    s->rows += rows;
    s->now_ns += MS + (uint64_t)rows * s->row_ns;
    if (s->now_ns - s->tick_ns < 200 * MS)
        return;
    s->tick_ns = s->now_ns;
    admit_measure(&s->a, s->rows, s->now_ns);
}

static void sim_sample(struct sim *s)
{
    if (s->first == s->n_jobs || s->n_samples == MAX_SAMPLES)
        return;
    s->samples[s->n_samples++] =
        (struct sample){s->now_ns, s->n_jobs - 1, admit_retry_after(&s->a, 0),
                        admit_retry_after(&s->a, 0.5), admit_retry_after(&s->a, 0.999)};
}

static void sim_drain(struct sim *s)
{
    while (s->n_running || s->first < s->n_jobs)
        sim_step(s);
}

/* Expects every advice from the time on to be within a factor of two of the true wait,
 * but for what the greatest chance adds to a whole second. */
static void expect_true_waits(const struct sim *s, uint64_t from_ns, size_t least)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_samples; i++) {
        const struct sample *x = &s->samples[i];
        double wait = (double)(s->jobs[x->last].start_ns - x->at_ns) / 1e9;
        if (x->at_ns < from_ns)
            continue;
        double floor = wait < 1 ? 1 : wait, cap = wait > 25 ? 25 : wait;
        if (x->mid > 2 * floor || x->high > 2 * floor + 1 || x->low < cap / 2)
            fail_msg("%d, %d, %d seconds for a wait of %.2f at %.2f", x->low, x->mid,
                     x->high, wait, (double)x->at_ns / 1e9);
        n++;
    }
    assert_true(n >= least);
}

/* Arrivals at `rate` a second for so long; an advice every tenth of a second. */
static void sim_load(struct sim *s, const struct sim_job *kinds, size_t n_kinds,
                     double rate, double seconds)
{
    uint64_t began = s->now_ns, next = s->now_ns;
    double n = 0;
    while ((double)(s->now_ns - began) < seconds * 1e9) {
        for (; n < rate * (double)(s->now_ns - began) / 1e9; n++)
            sim_arrive(s, &kinds[(size_t)n % n_kinds]);
        if (s->now_ns >= next) {
            sim_sample(s);
            next += 100 * MS;
        }
        sim_step(s);
    }
}

/* ---- Retry-After -------------------------------------------------------------- */

static void nothing_measured_is_a_second(void **state)
{
    struct sim s;
    (void)state;
    sim_init(&s, 10 * MS);
    assert_int_equal(admit_retry_after(&s.a, 0), 1);
    for (int i = 0; i < 300; i++)
        sim_arrive(&s, &(struct sim_job){.asks = {100, 1, 16}, .answer = 16});
    assert_int_equal(admit_retry_after(&s.a, 0), 1);
    assert_in_range(admit_retry_after(&s.a, 0.999), 1, 2);
}

/* The first thing that ever comes is a burst, and it is over in a second. */
static void a_first_burst_that_drains_in_a_second(void **state)
{
    static const struct sim_job job = {.asks = {16, 1, 16}, .answer = 16};
    struct sim s;
    (void)state;
    sim_init(&s, MS / 20);
    for (int i = 0; i < 400; i++)
        sim_arrive(&s, &job);
    while (s.first < s.n_jobs) {
        sim_step(&s);
        assert_in_range(admit_retry_after(&s.a, 0), 1, 1);
        assert_in_range(admit_retry_after(&s.a, 0.999), 1, 2);
    }
}

static void it_follows_overload(void **state)
{
    static const struct sim_job kinds[] = {{.asks = {100, 1, 60}, .answer = 60},
                                           {.asks = {20, 1, 30}, .answer = 10},
                                           {.asks = {400, 1, 100}, .answer = 90}};
    struct sim s;
    (void)state;
    for (int speed = 0; speed < 3; speed++) {
        sim_init(&s, (uint64_t[]){MS / 10, MS / 2, 2 * MS}[speed]);
        sim_load(&s, kinds, 3, 200, 60);
        sim_drain(&s);
        expect_true_waits(&s, 6 * SECOND, 80);
    }
}

/* Whoever sets no max_tokens asks for 4,096 and gets 50. */
static void it_knows_how_long_answers_are(void **state)
{
    static const struct sim_job kinds[] = {{.asks = {100, 1, 4096}, .answer = 50},
                                           {.asks = {100, 1, 16}, .answer = 16}};
    struct sim s;
    (void)state;
    sim_init(&s, MS / 10);
    sim_load(&s, kinds, 2, 400, 20);
    sim_drain(&s);
    expect_true_waits(&s, 6 * SECOND, 100);
}

static void it_knows_how_much_is_cached(void **state)
{
    static const struct sim_job job = {
        .asks = {1000, 1, 20}, .cached = 950, .answer = 20};
    struct sim s;
    (void)state;
    sim_init(&s, MS / 2);
    sim_load(&s, &job, 1, 200, 40);
    sim_drain(&s);
    expect_true_waits(&s, 6 * SECOND, 200);
}

/* A burst long after the last one is told what that one was measured at. */
static void the_rate_of_long_ago_counts(void **state)
{
    static const struct sim_job job = {.asks = {100, 1, 60}, .answer = 60};
    struct sim s;
    (void)state;
    sim_init(&s, MS / 2);
    sim_load(&s, &job, 1, 100, 20);
    sim_drain(&s);
    for (int i = 0; i < 18000; i++) { /* an hour of ticks */
        s.now_ns += 200 * MS;
        admit_measure(&s.a, s.rows, s.now_ns);
    }
    for (int i = 0; i < 400; i++)
        sim_arrive(&s, &job);
    uint64_t from = s.now_ns;
    while (s.first < s.n_jobs) {
        sim_sample(&s);
        sim_step(&s);
    }
    sim_drain(&s);
    expect_true_waits(&s, from, 50);
}

/* Those that leave the queue make it shorter, and the server no faster. */
static void cancelled_jobs_are_no_drain(void **state)
{
    static const struct sim_job job = {.asks = {100, 1, 60}, .answer = 60};
    struct sim s;
    (void)state;
    sim_init(&s, MS / 4);
    sim_load(&s, &job, 1, 100, 20);
    int before = admit_retry_after(&s.a, 0);
    assert_in_range(before, 4, 15);
    for (int i = 0; i < 10000; i++) {
        struct err err;
        admit_leave(&s.a, &job.asks);
        assert_int_equal(admit_take(&s.a, 1, &err), 0);
        admit_queue(&s.a, &job.asks);
    }
    admit_measure(&s.a, s.rows, s.now_ns);
    assert_int_equal(admit_retry_after(&s.a, 0), before);
    for (int i = 0; i < 64; i++) /* cut short, they say nothing about answers */
        admit_end(&s.a, &job.asks, -1);
    assert_int_equal(admit_retry_after(&s.a, 0), before);
    while (s.a.waiting > 20)
        admit_leave(&s.a, &job.asks);
    assert_true(admit_retry_after(&s.a, 0) < before / 2);
}

/* Rows come when a step ends: until then nothing has slowed down. */
static void a_long_step_is_no_standstill(void **state)
{
    static const struct sim_job job = {.asks = {100, 1, 60}, .answer = 60};
    struct sim s;
    (void)state;
    sim_init(&s, MS / 4);
    sim_load(&s, &job, 1, 100, 20);
    admit_measure(&s.a, s.rows, s.now_ns);
    int before = admit_retry_after(&s.a, 0);
    for (int i = 0; i < 20; i++)
        admit_measure(&s.a, s.rows, s.now_ns += 200 * MS);
    assert_int_equal(admit_retry_after(&s.a, 0), before);
}

/* Jobs whose prompts are still being tokenised are like the others. */
static void jobs_of_unknown_size_count(void **state)
{
    static const struct sim_job job = {.asks = {100, 1, 60}, .answer = 60};
    struct sim s;
    struct err err;
    (void)state;
    sim_init(&s, MS);
    sim_load(&s, &job, 1, 100, 20);
    while (s.a.waiting > 40)
        admit_leave(&s.a, &job.asks);
    int before = admit_retry_after(&s.a, 0);
    assert_int_equal(admit_take(&s.a, 120, &err), 0);
    assert_in_range(admit_retry_after(&s.a, 0), 3 * before, 5 * before + 4);
}

static void advice_is_from_1_to_30_and_spread(void **state)
{
    struct admit a = {.queue_limit = 1000000, .max_seqs = 1, .rate = {100, 1}};
    bool seen[32] = {false};
    (void)state;
    assert_int_equal(admit_take(&a, 1000, NULL), 0);
    for (int i = 0; i < 1000; i++)
        admit_queue(&a, &(struct admit_job){1, 1, 0});
    for (int i = 0; i < 1000; i++)
        seen[admit_retry_after(&a, i / 1000.0)] = true;
    for (int i = 0; i < 32; i++)
        assert_int_equal(seen[i], i >= 10 && i <= 12);
    assert_int_equal(admit_take(&a, 100000, NULL), 0);
    assert_in_range(admit_retry_after(&a, 0), 20, 30);
    assert_int_equal(admit_retry_after(&a, 0.9999), 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_nothing_queued_any_number_is_admitted),
        cmocka_unit_test(full_counts_free_sequences),
        cmocka_unit_test(some_go_ahead_of_the_limit),
        cmocka_unit_test(overcommitted_sequences_do_not_shrink_the_queue),
        cmocka_unit_test(nothing_measured_is_a_second),
        cmocka_unit_test(a_first_burst_that_drains_in_a_second),
        cmocka_unit_test(it_follows_overload),
        cmocka_unit_test(it_knows_how_long_answers_are),
        cmocka_unit_test(it_knows_how_much_is_cached),
        cmocka_unit_test(the_rate_of_long_ago_counts),
        cmocka_unit_test(cancelled_jobs_are_no_drain),
        cmocka_unit_test(a_long_step_is_no_standstill),
        cmocka_unit_test(jobs_of_unknown_size_count),
        cmocka_unit_test(advice_is_from_1_to_30_and_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
