/*
 * The prefix cache at prompt lengths around every boundary: a step's rows, the interval
 * between checkpoints, pages, blocks of attention; and the same prompt repeated at any
 * time. A hit gives the bits of a miss.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MOST = WARM_CONTEXT, ANSWER = 3 };

static int ask(struct warm *w, const int32_t *ids, int n)
{
    struct engine_request r = warm_request(ids, (size_t)n, ANSWER);
    return warm_ask(w, &r);
}

static void open_cut(struct warm *w, int model, int step_rows, int interval)
{
    struct engine_options o = warm_options(model);
    o.step_rows = step_rows;
    o.checkpoint_interval = interval;
    o.checkpoint_bytes = 64 << 20; /* nothing is evicted */
    warm_open(w, model, &o);
}

/* ---- tails ------------------------------------------------------------------ */

/* Behind a prefix that ends inside a page: tails around what a prompt is cut into. */
static void expect_tails(int model, int step_rows, int interval, int chunk)
{
    const int tails[] = {0, 1, chunk - 1, chunk, chunk + 1};
    static const int prefixes[] = {1, 100, 128};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct warm w;
        int32_t ids[MOST];
        int n = prefixes[i];
        open_cut(&w, model, step_rows, interval);
        warm_draw(ids, MOST);
        assert_int_equal(ask(&w, ids, n), 0);
        for (size_t t = 0; t < sizeof tails / sizeof *tails; t++) {
            int all = n + tails[t];
            warm_draw(ids + n, tails[t] + 1);
            assert_in_range(ask(&w, ids, all), n, all < n + 2 ? all : n + 2);
            assert_int_equal(ask(&w, ids, all), all);
        }
        warm_close(&w);
    }
}

static void tails_around_a_step_give_the_bits_of_a_miss(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        expect_tails(m, 256, 0, 256);
}

static void tails_around_an_interval_give_the_bits_of_a_miss(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        expect_tails(m, 256, 32, 32);
        expect_tails(m, 100, 256, 256);
    }
}

static void tails_around_a_block_of_attention_give_the_bits_of_a_miss(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        expect_tails(m, 256, 0, 64);
}

/* ---- one more than a multiple ----------------------------------------------- */

/* Read, found whole, gone on from by one token, and with another last token. */
static void expect_length(struct warm *w, int n)
{
    int32_t ids[MOST];
    warm_draw(ids, n + 1);
    ask(w, ids, n);
    assert_int_equal(ask(w, ids, n), n);
    assert_int_equal(ask(w, ids, n), n);
    assert_int_equal(ask(w, ids, n + 1), n);
    ids[n - 1] = (ids[n - 1] + 1) % WARM_VOCAB;
    assert_true(ask(w, ids, n) < n);
    assert_int_equal(ask(w, ids, n), n);
}

static void prompts_of_a_multiple_plus_one_are_full_hits(void **state)
{
    static const int multiples[] = {8, 16, 32, 64, 256};
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (int rows = 23; rows <= 256; rows += 233) {
            struct warm w;
            open_cut(&w, m, rows, rows == 23 ? 32 : 256);
            for (size_t i = 0; i < sizeof multiples / sizeof *multiples; i++) {
                expect_length(&w, multiples[i] + 1);
                expect_length(&w, 3 * multiples[i] + 1);
            }
            warm_close(&w);
        }
}

/* ---- the same again --------------------------------------------------------- */

/* After so many steps of the first the second comes, then the third. True: the first was
 * over. */
static bool again_after(int model, int steps, int interval)
{
    struct warm w;
    int32_t ids[MOST];
    uint64_t id[3];
    open_cut(&w, model, 23, interval);
    warm_draw(ids, MOST);
    struct engine_request r = warm_request(ids, 65, 5);
    id[0] = warm_submit(&w, &r);
    for (int i = 0; i < steps; i++)
        drive_step(&w.hot);
    bool over = drive_finish(&w.hot, id[0], 0) != NULL;
    id[1] = warm_submit(&w, &r);
    drive_step(&w.hot);
    id[2] = warm_submit(&w, &r);
    drive_run(&w.hot);
    for (int i = 0; i < 3; i++)
        warm_expect(&w, id[i], &r, "the same prompt while it runs");
    int found = drive_finish(&w.hot, id[1], 0)->n_cached;
    assert_true(steps == 0 ? found == 0 : found % 65 == 0 || interval > 0);
    if (steps > 3) /* it was read in three, and is found as long as the first runs */
        assert_int_equal(found, 65);
    drive_clear(&w.hot);
    assert_int_equal(warm_ask(&w, &r), 65);
    r.n_ids++;
    assert_true(warm_ask(&w, &r) >= 65);
    warm_close(&w);
    return over;
}

static void the_same_prompt_may_arrive_while_the_first_runs(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (int interval = 0; interval <= 16; interval += 16) {
            int steps = 0;
            while (!again_after(m, steps, interval))
                steps++;
            assert_true(steps > 5); /* queue, prefill, decode */
        }
}

/* All that is asked of it at once: its choices share the prompt, and those of the other
 * requests. */
static void the_same_prompt_arrives_many_times_at_once(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[MOST];
        uint64_t id[4];
        o.max_seqs = 8;
        o.checkpoint_interval = 16;
        warm_open(&w, m, &o);
        warm_draw(ids, MOST);
        struct engine_request r = warm_request(ids, 41, 6);
        r.gen.n = 2;
        r.gen.temperature = 1.1f;
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 4; i++)
                id[i] = warm_submit(&w, &r);
            drive_run(&w.hot);
            for (int i = 0; i < 4; i++) {
                warm_expect(&w, id[i], &r, "many at once");
                int found = drive_finish(&w.hot, id[i], 1)->n_cached;
                assert_int_equal(found, round ? 41 : 0);
            }
            drive_clear(&w.hot);
        }
        warm_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tails_around_a_step_give_the_bits_of_a_miss),
        cmocka_unit_test(tails_around_an_interval_give_the_bits_of_a_miss),
        cmocka_unit_test(tails_around_a_block_of_attention_give_the_bits_of_a_miss),
        cmocka_unit_test(prompts_of_a_multiple_plus_one_are_full_hits),
        cmocka_unit_test(the_same_prompt_may_arrive_while_the_first_runs),
        cmocka_unit_test(the_same_prompt_arrives_many_times_at_once),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
