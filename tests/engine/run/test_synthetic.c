/* Synthetic sequences, which begin at a depth: they run like any other, give the same
 * bits every time and leak nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 50, CONTEXT = 256, DEPTH = 101, TOKENS = 20 };

static const struct maker_sizes sizes = {VOCAB, 32, 3, 4, 2, 24, CONTEXT};
static const int32_t ids[] = {3, 1, 4, 1, 5};

static void open_model(struct maker *m, struct drive *d, int which, enum engine_kv kv)
{
    maker_open(m);
    if (which == 0)
        maker_llama(m, &sizes);
    else if (which == 1)
        maker_transxssm(m, &sizes);
    else
        maker_pha(m, &sizes, which == 2 ? "dss" : "gated");
    struct engine_options o = {.model_dir = m->dir,
                               .n_threads = 2,
                               .max_seqs = 3,
                               .no_tokenizer = true,
                               .kv = kv};
    drive_open(d, &o);
}

static int submit(struct drive *d, uint64_t id, int depth, int choices)
{
    struct err err;
    struct engine_request r = {
        .id = id, .ids = ids, .n_ids = 5, .synthetic_tokens = depth};
    r.gen = drive_greedy(TOKENS);
    r.gen.logprobs = 0;
    r.gen.n = choices;
    return engine_submit(d->e, &r, &err);
}

static void check_empty(const struct drive *d)
{
    struct engine_stats load;
    engine_stats(d->e, &load);
    assert_int_equal(load.slots_used + load.pages_used + load.running + load.waiting, 0);
}

static void it_runs_the_same_alone_and_beside_others(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++)
        for (int kv = ENGINE_KV_F32; kv <= ENGINE_KV_Q8; kv++) {
            struct maker m;
            struct drive d;
            size_t n, n_again;
            open_model(&m, &d, which, (enum engine_kv)kv);
            assert_int_equal(submit(&d, 7, DEPTH, 1), 0);
            drive_run(&d);
            char *alone = drive_transcript(&d, 7, 0, &n);
            const struct event *end = drive_finish(&d, 7, 0);
            assert_int_equal(end->reason, FINISH_LENGTH);
            assert_int_equal(end->n_prompt, DEPTH + 5);
            assert_int_equal(end->n_generated, TOKENS);
            check_empty(&d);
            drive_clear(&d);
            assert_int_equal(submit(&d, 8, 0, 1), 0);
            assert_int_equal(submit(&d, 7, DEPTH, 1), 0);
            drive_run(&d);
            char *beside = drive_transcript(&d, 7, 0, &n_again);
            assert_int_equal(n, n_again);
            assert_memory_equal(alone, beside, n);
            check_empty(&d);
            free(alone);
            free(beside);
            drive_close(&d);
            maker_close(&m);
        }
}

static void the_depth_is_seen(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        struct maker m;
        struct drive d;
        size_t n, n_deep;
        open_model(&m, &d, which, ENGINE_KV_F32);
        assert_int_equal(submit(&d, 1, 0, 1), 0);
        drive_run(&d);
        char *fresh = drive_transcript(&d, 1, 0, &n);
        drive_clear(&d);
        assert_int_equal(submit(&d, 1, DEPTH, 1), 0);
        drive_run(&d);
        char *deep = drive_transcript(&d, 1, 0, &n_deep);
        assert_true(n != n_deep || memcmp(fresh, deep, n) != 0);
        free(fresh);
        free(deep);
        drive_close(&d);
        maker_close(&m);
    }
}

static void choices_share_it(void **state)
{
    (void)state;
    struct maker m;
    struct drive d;
    int32_t a[TOKENS], b[TOKENS];
    open_model(&m, &d, 1, ENGINE_KV_F32);
    assert_int_equal(submit(&d, 1, DEPTH, 2), 0);
    drive_run(&d);
    assert_int_equal(drive_tokens(&d, 1, 0, a, TOKENS), TOKENS);
    assert_int_equal(drive_tokens(&d, 1, 1, b, TOKENS), TOKENS);
    assert_memory_equal(a, b, sizeof a);
    check_empty(&d);
    drive_close(&d);
    maker_close(&m);
}

static void it_counts_as_prompt(void **state)
{
    (void)state;
    struct maker m;
    struct drive d;
    open_model(&m, &d, 0, ENGINE_KV_F32);
    assert_int_equal(submit(&d, 1, CONTEXT - TOKENS - 5, 1), 0);
    assert_int_equal(submit(&d, 2, CONTEXT - TOKENS - 4, 1), -ERR_CONTEXT);
    assert_int_equal(submit(&d, 2, -1, 1), -ERR_ARGUMENT);
    assert_int_equal(submit(&d, 2, -100, 1), -ERR_ARGUMENT);
    int rows = 0;
    for (int some; (some = drive_step(&d)) > 0;)
        rows += some;
    assert_int_equal(rows, 5 + TOKENS - 1); /* nothing of the depth was computed */
    assert_int_equal(drive_finish(&d, 1, 0)->reason, FINISH_LENGTH);
    check_empty(&d);
    drive_close(&d);
    maker_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_the_same_alone_and_beside_others),
        cmocka_unit_test(the_depth_is_seen),
        cmocka_unit_test(choices_share_it),
        cmocka_unit_test(it_counts_as_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
