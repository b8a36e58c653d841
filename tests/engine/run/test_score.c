/* Interrupted scoring: nothing continues from a partial state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { VOCAB = 50, CONTEXT = 128, STOPPED = 7 };

static struct maker model;
static struct drive d;
static int32_t ids[CONTEXT + 1];

static int open_model(void **state)
{
    static const struct maker_sizes sizes = {VOCAB, 16, 2, 4, 2, 24, CONTEXT};
    struct engine_options o = {
        .model_dir = model.dir, .n_threads = 1, .max_seqs = 1, .no_tokenizer = true};
    (void)state;
    for (int i = 0; i <= CONTEXT; i++)
        ids[i] = i % VOCAB;
    maker_open(&model);
    maker_llama(&model, &sizes);
    drive_open(&d, &o);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    drive_close(&d);
    maker_close(&model);
    return 0;
}

struct rows {
    size_t stop_at; /* the row that stops */
    float last[VOCAB];
};

static int take(void *arg, size_t t, const float *logits)
{
    struct rows *r = arg;
    memcpy(r->last, logits, sizeof r->last);
    return t == r->stop_at ? STOPPED : 0;
}

static void interrupted_scoring_cannot_continue(void **state)
{
    struct rows r = {.stop_at = 3};
    struct err err = {0};
    struct engine_stats load;
    (void)state;
    assert_int_equal(engine_score(d.e, ids, 8, NULL, 0, take, &r, &err), STOPPED);
    assert_int_equal(engine_score_more(d.e, ids, 1, take, &r, &err), -ERR_ARGUMENT);
    engine_stats(d.e, &load);
    assert_int_equal(load.slots_used, 0);
    assert_int_equal(load.pages_used, 0);
}

static void a_refused_continuation_leaves_the_state(void **state)
{
    struct rows r = {.stop_at = SIZE_MAX};
    struct err err = {0};
    float wanted[VOCAB];
    int32_t bad = VOCAB;
    (void)state;
    assert_int_equal(engine_score(d.e, ids, 9, NULL, 0, take, &r, &err), 0);
    memcpy(wanted, r.last, sizeof wanted);
    assert_int_equal(engine_score(d.e, ids, 8, NULL, 0, take, &r, &err), 0);
    assert_int_equal(engine_score_more(d.e, &bad, 1, take, &r, &err), -ERR_ARGUMENT);
    assert_int_equal(engine_score_more(d.e, ids, CONTEXT, take, &r, &err), -ERR_CONTEXT);
    assert_int_equal(engine_score_more(d.e, ids + 8, 1, take, &r, &err), 0);
    assert_memory_equal(wanted, r.last, sizeof wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_scoring_cannot_continue),
        cmocka_unit_test(a_refused_continuation_leaves_the_state),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
