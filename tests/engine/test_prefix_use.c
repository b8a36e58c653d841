/*
 * The prefix cache while sequences use its entries: beside prompts and answers of
 * others in one batch, evicted under a sequence that resumed from them, shared by two
 * sequences of which one is cancelled, and with more requests than there is memory for.
 * Every finished request has the bits of a miss.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { MOST = 400, PAGE = 16, ROWS = 23 };

static void steps(struct warm *w, int n)
{
    for (int i = 0; i < n; i++)
        drive_step(&w->hot);
}

static int cached(const struct warm *w, uint64_t id)
{
    return drive_finish(&w->hot, id, 0)->n_cached;
}

static size_t said(const struct warm *w, uint64_t id)
{
    return drive_count(&w->hot, id, EVENT_TOKEN);
}

/* ---- prompts and answers in one batch --------------------------------------- */

/* Reads and answers ids[0..n); ids[n] becomes another token than the answer's first. */
static void store(struct warm *w, int32_t *ids, int n)
{
    int32_t answer[4];
    struct engine_request r = warm_request(ids, (size_t)n, 3);
    uint64_t id = warm_submit(w, &r);
    drive_run(&w->hot);
    assert_int_equal(drive_tokens(&w->hot, id, 0, answer, 4), 3);
    ids[n] = (answer[0] + 1) % WARM_VOCAB;
    drive_clear(&w->hot);
}

/* One request decodes while another prefills the tokens after a stored prefix; the one
 * that decodes began with that prefix or without a hit. The checkpoints of both are
 * hits with the bits of a miss. */
static void mixed(int model, int interval, bool hit_decodes, int tail)
{
    struct engine_options o = warm_options(model);
    struct warm w;
    int32_t ids[MOST], other[MOST];
    o.checkpoint_interval = interval;
    o.checkpoint_bytes = 32 << 20;
    warm_open(&w, model, &o);
    warm_draw(ids, MOST);
    store(&w, ids, 41);
    warm_draw(other, MOST);
    other[0] = (ids[0] + 1) % WARM_VOCAB;
    other[41] = (ids[41] + 1) % WARM_VOCAB;
    if (hit_decodes)
        memcpy(other, ids, 41 * sizeof *ids);
    struct engine_request decodes = warm_request(other, 60, 30);
    struct engine_request reads = warm_request(ids, 41 + (size_t)tail, 8);
    decodes.gen.temperature = 0.8f;
    decodes.gen.n = 2;
    uint64_t id = warm_submit(&w, &decodes);
    while (said(&w, id) < 4)
        drive_step(&w.hot);
    uint64_t read = warm_submit(&w, &reads);
    size_t before = said(&w, id);
    drive_step(&w.hot);
    int rows = 2 + tail < ROWS ? 2 + tail : ROWS;
    if (interval == 0) /* both in one batch */
        assert_int_equal(w.hot.last_rows, rows);
    assert_int_equal(said(&w, id), before + 2);
    drive_run(&w.hot);
    warm_expect(&w, id, &decodes, "decoding beside a prompt");
    warm_expect(&w, read, &reads, "read beside an answer");
    assert_true(cached(&w, read) >= 41);
    assert_true(cached(&w, id) >= 41 || !hit_decodes);
    drive_clear(&w.hot);
    assert_int_equal(warm_ask(&w, &decodes), decodes.n_ids);
    assert_int_equal(warm_ask(&w, &reads), reads.n_ids);
    warm_close(&w);
}

static void prompts_and_answers_share_a_batch(void **state)
{
    static const int tails[] = {1, 7, 20, 21, 22, 60};
    (void)state;
    warm_seed(31);
    for (int m = 0; m < WARM_MODELS; m++)
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
            mixed(m, 0, true, tails[i]);
            mixed(m, 0, false, tails[i]);
            mixed(m, 8, true, tails[i]);
        }
}

/* ---- evicted while in use --------------------------------------------------- */

/* Two sequences go on from a checkpoint on a stored path; then a request comes that needs
 * whatever they do not, so that the path has to go while its first pages are read. */
static void evict_under(int model, enum engine_kv kv)
{
    static const int32_t turn = 40;
    struct engine_options o = warm_options(model);
    struct warm w;
    int32_t stored[MOST], ids[MOST], other[MOST];
    o.kv = kv;
    o.max_seqs = 3;
    o.memory_bytes = warm_bytes(&o, 3, 30);
    warm_open(&w, model, &o);
    int n_pages = engine_info(w.hot.e)->page_bytes ? engine_info(w.hot.e)->n_pages : 30;
    warm_draw(stored, MOST);
    memcpy(ids, stored, sizeof ids);
    ids[40] = (ids[40] + 1) % WARM_VOCAB;
    memcpy(other, ids, sizeof ids);
    other[45] = (other[45] + 1) % WARM_VOCAB;
    struct engine_request first = warm_request(stored, 100, 1);
    struct engine_request r[2] = {warm_request(ids, 70, 40), warm_request(other, 70, 40)};
    first.turns = &turn;
    first.n_turns = 1;
    warm_ask(&w, &first);
    uint64_t id[2] = {warm_submit(&w, &r[0]), warm_submit(&w, &r[1])};
    steps(&w, 6);
    assert_true(said(&w, id[0]) > 0 && warm_load(&w).running == 2);
    uint64_t evicted = warm_load(&w).checkpoints_evicted;
    /* each has 7 pages, of which they share two */
    struct engine_request all = warm_request(other + 50, PAGE, PAGE * (n_pages - 12 - 1));
    all.no_cache = true;
    uint64_t taker = warm_submit(&w, &all);
    drive_step(&w.hot);
    assert_int_equal(warm_load(&w).running, 3);
    assert_true(warm_load(&w).checkpoints_evicted > evicted);
    drive_run(&w.hot);
    for (int i = 0; i < 2; i++) {
        warm_expect(&w, id[i], &r[i], "evicted under it");
        assert_int_equal(cached(&w, id[i]), 40);
    }
    warm_expect(&w, taker, &all, "the one that took all");
    drive_clear(&w.hot);
    assert_true(warm_ask(&w, &first) < 100); /* it is gone, not only passed over */
    warm_close(&w);
}

static void a_prefix_in_use_may_be_evicted(void **state)
{
    (void)state;
    warm_seed(32);
    for (int m = 0; m < WARM_MODELS; m++)
        for (int kv = ENGINE_KV_F32; kv <= ENGINE_KV_Q8; kv++)
            evict_under(m, (enum engine_kv)kv);
}

/* ---- cancelled while sharing ------------------------------------------------ */

enum { SHARERS = 3 };

/* Two requests that share a stored prefix inside a page run in an engine of three
 * slots; a third, which needs two slots, waits. One is cancelled after n_steps steps.
 * The others and requests that resume from its checkpoints have the bits of a miss.
 * True: it had already finished. */
static bool cancel_one(int model, int which, int n_steps)
{
    struct engine_options o = warm_options(model);
    struct warm w;
    int32_t ids[SHARERS][MOST];
    struct engine_request r[SHARERS];
    uint64_t id[SHARERS];
    o.max_seqs = 3;
    o.checkpoint_interval = 8;
    o.checkpoint_bytes = 32 << 20;
    warm_open(&w, model, &o);
    warm_draw(ids[0], MOST);
    struct engine_request first = warm_request(ids[0], 41, 3);
    warm_ask(&w, &first);
    for (int i = 0; i < SHARERS; i++) {
        if (i)
            memcpy(ids[i], ids[0], 41 * sizeof **ids);
        warm_draw(ids[i] + 41, MOST - 41);
        r[i] = warm_request(ids[i], 64 + 3 * (size_t)i, 5);
        r[i].gen.n = i == 2 ? 2 : 1;
        id[i] = warm_submit(&w, &r[i]);
    }
    steps(&w, n_steps);
    bool over = drive_finish(&w.hot, id[which], 0) != NULL;
    engine_cancel(w.hot.e, id[which], FINISH_ABORT);
    assert_non_null(drive_finish(&w.hot, id[which], 0));
    drive_run(&w.hot);
    for (int i = 0; i < SHARERS; i++)
        if (i != which || over)
            warm_expect(&w, id[i], &r[i], "beside one that was cancelled");
    drive_clear(&w.hot);
    for (int i = 0; i < SHARERS; i++)
        assert_true(warm_ask(&w, &r[i]) >= 41);
    warm_close(&w);
    return over;
}

static void any_sharer_may_be_cancelled_at_any_step(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (int which = 0; which < SHARERS; which++) {
            int n = 0;
            while (!cancel_one(m, which, n))
                n++;
            assert_true(n > (which == 2 ? 10 : 5)); /* queue, prefill, decode, its end */
        }
}

/* ---- more than there is room for -------------------------------------------- */

enum { HOUSE = 8, COME = 14 };

/* Eight run and take all there is, six wait; all of them share beginnings, and would
 * leave a checkpoint every few tokens if there were room. */
static void eight_run_in_all_memory_and_the_rest_waits(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[COME][MOST];
        struct engine_request r[COME];
        uint64_t id[COME];
        o.max_seqs = HOUSE;
        o.context_tokens = 5 * PAGE;
        o.checkpoint_interval = 4;
        o.memory_bytes = warm_bytes(&o, HOUSE, HOUSE * 5);
        warm_open(&w, m, &o);
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < COME; i++) {
                warm_draw(ids[i], MOST);
                if (i > 1)
                    memcpy(ids[i], ids[i % 2], 21 * sizeof **ids);
                r[i] = warm_request(ids[i], 30, 5 * PAGE - 30);
                r[i].gen.temperature = i % 3 ? 0.7f : 0;
                id[i] = warm_submit(&w, &r[i]);
            }
            drive_step(&w.hot);
            assert_int_equal(warm_load(&w).running, HOUSE);
            assert_int_equal(warm_load(&w).waiting, COME - HOUSE);
            drive_run(&w.hot);
            for (int i = 0; i < COME; i++)
                warm_expect(&w, id[i], &r[i], "a full house");
            drive_clear(&w.hot);
        }
        struct engine_request whole = warm_request(ids[0], 30, 5 * PAGE - 30);
        warm_ask(&w, &whole);
        warm_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_and_answers_share_a_batch),
        cmocka_unit_test(a_prefix_in_use_may_be_evicted),
        cmocka_unit_test(any_sharer_may_be_cancelled_at_any_step),
        cmocka_unit_test(eight_run_in_all_memory_and_the_rest_waits),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
