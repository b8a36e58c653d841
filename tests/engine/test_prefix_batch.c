/*
 * The prefix cache with many requests and little memory: prefill and decode in one batch,
 * cancelled and paused requests, budgets that run out while sequences run. Every finished
 * request has the bits of a miss, checkpoints delay no admission, and all memory is
 * released (closing an engine of a test build checks it).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 240, LIVE = 9, PAGE = 16 };

/* ---- at random -------------------------------------------------------------- */

struct asked {
    struct engine_request r;
    int32_t ids[MOST];
    uint64_t id; /* 0: none */
    bool cancelled;
};

/* A beginning that others have, up to somewhere, and something of its own; now and then
 * a whole conversation so far. */
static void make_request(struct asked *a, int32_t texts[3][MOST])
{
    static const char *const salts[] = {NULL, NULL, NULL, "s"};
    int32_t *text = texts[warm_below(3)];
    int n = 1 + warm_below(90), own = warm_below(3) ? warm_below(12) : 0;
    memcpy(a->ids, text, sizeof a->ids);
    warm_draw(a->ids + n, own);
    a->r = warm_request(a->ids, (size_t)(n + own), warm_below(12));
    a->r.cache_salt = salts[warm_below(4)];
    a->r.gen.n = warm_below(5) ? 1 : 1 + warm_below(3);
    a->r.gen.temperature = warm_below(2) ? 1 : 0;
    a->r.gen.seed = (uint64_t)warm_below(5);
    a->r.gen.priority = warm_below(2);
    a->r.gen.prompt_logprobs = warm_below(8) == 0;
    a->r.no_cache = warm_below(12) == 0;
}

static bool ended(const struct warm *w, const struct asked *a)
{
    for (int c = 0; c < a->r.gen.n; c++)
        if (!drive_finish(&w->hot, a->id, c))
            return false;
    return true;
}

/* The first choice's answer becomes part of a text, as in a conversation. */
static void learn(const struct warm *w, const struct asked *a, int32_t texts[3][MOST])
{
    int32_t *text = texts[warm_below(3)];
    if (a->r.n_ids > 100 || warm_below(3))
        return;
    memcpy(text, a->ids, a->r.n_ids * sizeof *text);
    drive_tokens(&w->hot, a->id, 0, text + a->r.n_ids, MOST - a->r.n_ids);
}

static void disturb(struct warm *w, struct asked *a)
{
    if (warm_below(60) == 0) {
        a->cancelled = true;
        engine_cancel(w->hot.e, a->id, FINISH_ABORT);
    } else
        engine_pause(w->hot.e, a->id, warm_below(6) == 0);
}

static void collect(struct warm *w, struct asked *all, int32_t texts[3][MOST])
{
    bool any = false;
    for (int i = 0; i < LIVE; i++) {
        struct asked *a = &all[i];
        if (!a->id)
            continue;
        if (ended(w, a)) {
            if (!a->cancelled) {
                warm_expect(w, a->id, &a->r, "in a batch");
                learn(w, a, texts);
            }
            a->id = 0;
        }
        any = any || a->id;
    }
    if (!any)
        drive_clear(&w->hot);
}

static void random_company(int model, const struct engine_options *o, int n_requests)
{
    static struct asked all[LIVE];
    static int32_t texts[3][MOST];
    struct warm w;
    warm_open(&w, model, o);
    memset(all, 0, sizeof all);
    for (int i = 0; i < 3; i++)
        warm_draw(texts[i], MOST);
    for (int left = n_requests, burst = LIVE; left > 0 || w.hot.n > 0;) {
        struct asked *a = &all[warm_below(LIVE)];
        if (!a->id && left > 0 && burst > 0) {
            make_request(a, texts);
            a->cancelled = false;
            a->id = warm_submit(&w, &a->r);
            left--;
            burst--;
        } else if (a->id && !a->cancelled && (left > 0 || burst > 0))
            disturb(&w, a);
        if (burst == 0 || left == 0)
            for (int i = 0; i < LIVE; i++)
                engine_pause(w.hot.e, all[i].id, false);
        drive_step(&w.hot);
        collect(&w, all, texts);
        if (w.hot.n == 0)
            burst = LIVE;
    }
    struct engine_stats l = warm_load(&w);
    assert_true(l.checkpoints_hit >
                (o->memory_bytes || o->checkpoint_bytes ? 0 : (uint64_t)n_requests / 10));
    warm_close(&w);
}

static void other_requests_change_nothing(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        warm_seed(77 + (uint64_t)m);
        o.context_tokens = 256;
        o.checkpoint_interval = 16;
        random_company(m, &o, 150);
        o.checkpoint_interval = 0;
        o.n_threads = 3;
        o.step_rows = 60;
        o.max_seqs = 8;
        random_company(m, &o, 100);
    }
}

static void little_memory_changes_nothing(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        warm_seed(99 + (uint64_t)m);
        o.context_tokens = 256;
        o.checkpoint_interval = 16;
        o.memory_bytes = warm_bytes(&o, 4, 20); /* one context is 16 pages */
        random_company(m, &o, 200);
        o.max_seqs = 3;
        o.memory_bytes = warm_bytes(&o, 3, 13);
        random_company(m, &o, 100);
    }
}

static void a_cap_on_bytes_holds_and_changes_no_bit(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[MOST];
        warm_seed(55 + (uint64_t)m);
        o.context_tokens = 256;
        o.checkpoint_interval = 16;
        o.checkpoint_bytes = 150 * 1000;
        random_company(m, &o, 100);
        o.max_seqs = 40;
        warm_open(&w, m, &o);
        for (int i = 0; i < 30; i++) {
            struct engine_request r = warm_request(ids, (size_t)(1 + warm_below(100)), 4);
            warm_draw(ids, MOST);
            warm_ask(&w, &r);
            assert_true(warm_load(&w).checkpoint_bytes <= o.checkpoint_bytes);
            assert_true(warm_load(&w).checkpoints > 0);
        }
        assert_true(warm_load(&w).checkpoints_evicted > 0);
        warm_close(&w);
    }
}

/* ---- cancelled at every step ------------------------------------------------ */

/* Two requests share a stored prefix that ends inside a page; one is cancelled after
 * `steps` steps. The other has the bits of a miss, and so has a request that resumes from
 * what the first stored. */
static bool cancel_after(int model, int steps)
{
    struct engine_options o = warm_options(model);
    struct warm w;
    int32_t ids[MOST], other[MOST];
    o.checkpoint_interval = 8;
    o.checkpoint_bytes = 32 << 20;
    warm_open(&w, model, &o);
    warm_draw(ids, MOST);
    memcpy(other, ids, sizeof other);
    warm_draw(other + 41, MOST - 41);
    struct engine_request first = warm_request(ids, 41, 3);
    warm_ask(&w, &first);
    struct engine_request r[2] = {warm_request(ids, 80, 6), warm_request(other, 80, 6)};
    r[0].gen.n = 2;
    uint64_t id[2] = {warm_submit(&w, &r[0]), warm_submit(&w, &r[1])};
    for (int i = 0; i < steps; i++)
        drive_step(&w.hot);
    bool over = drive_finish(&w.hot, id[0], 0) != NULL;
    engine_cancel(w.hot.e, id[0], FINISH_ABORT);
    assert_non_null(drive_finish(&w.hot, id[0], 1));
    drive_run(&w.hot);
    warm_expect(&w, id[1], &r[1], "beside a cancelled one");
    drive_clear(&w.hot);
    assert_true(warm_ask(&w, &r[0]) >= 41); /* again, from what was left */
    assert_true(warm_ask(&w, &r[1]) >= 80);
    warm_close(&w);
    return over;
}

static void cancelling_at_any_step_leaves_others_and_states_intact(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        int steps = 0;
        warm_seed(7 + (uint64_t)m);
        while (!cancel_after(m, steps))
            steps++;
        assert_true(steps > 6); /* queue, prefill, decode */
    }
}

static void an_engine_closes_with_requests_in_every_state(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (int steps = 0; steps < 8; steps++) {
            struct engine_options o = warm_options(m);
            struct warm w;
            int32_t ids[MOST];
            o.checkpoint_interval = 8;
            warm_open(&w, m, &o);
            warm_draw(ids, MOST);
            for (int i = 0; i < 7; i++) {
                struct engine_request r = warm_request(ids, 30, 9);
                r.gen.n = 1 + i % 2;
                warm_submit(&w, &r);
            }
            for (int i = 0; i < steps; i++)
                drive_step(&w.hot);
            drive_close(&w.hot);
            drive_close(&w.cold);
        }
}

/* ---- room ------------------------------------------------------------------- */

/* Eight sequences take all memory, twice. Checkpoints stored in between are evicted,
 * and no request waits longer than without them. */
static void checkpoints_delay_no_admission(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[MOST];
        o.max_seqs = 8;
        o.context_tokens = 64;
        o.checkpoint_interval = 16;
        o.memory_bytes = warm_bytes(&o, 8, 8 * 4);
        warm_open(&w, m, &o);
        for (int round = 0; round < 6; round++) {
            struct engine_request r[8];
            uint64_t id[8];
            for (int i = 0; i < 8; i++) {
                if (round % 2 == 0)
                    warm_draw(ids + 20 * i, 20);
                r[i] = warm_request(ids + 20 * i, 20, 44); /* four pages each */
                id[i] = warm_submit(&w, &r[i]);
            }
            drive_step(&w.hot);
            assert_int_equal(warm_load(&w).running, 8);
            drive_run(&w.hot);
            for (int i = 0; i < 8; i++)
                warm_expect(&w, id[i], &r[i], "a full house");
            drive_clear(&w.hot);
        }
        warm_close(&w);
    }
}

/* One slot, and pages for one context: a conversation goes on in the very slot and pages
 * it left. */
static void without_room_for_a_copy_the_state_itself_is_used(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[MOST];
        int n = 21, known = 0;
        o.max_seqs = 1;
        o.context_tokens = 10 * PAGE;
        o.memory_bytes = warm_bytes(&o, 1, 10);
        warm_open(&w, m, &o);
        assert_true(engine_info(w.hot.e)->n_pages <= 10);
        warm_draw(ids, MOST);
        while (n + 25 < 10 * PAGE) {
            struct engine_request r = warm_request(ids, (size_t)n, 10 * PAGE - n);
            r.gen.n_stop_ids = 0;
            uint64_t id = warm_submit(&w, &r);
            for (int i = 0; i < 6; i++) /* it could have gone on to the end */
                drive_step(&w.hot);
            engine_cancel(w.hot.e, id, FINISH_ABORT);
            const struct event *end = drive_finish(&w.hot, id, 0);
            /* attention alone begins at a page */
            int lost = m == WARM_LLAMA ? known % PAGE : 0;
            assert_in_range(end->n_cached, known - lost, known);
            n += (int)drive_tokens(&w.hot, id, 0, ids + n, (size_t)(MOST - n));
            known = n - 1;
            n += 7;
            drive_clear(&w.hot);
        }
        struct engine_request r = warm_request(ids, (size_t)n, 3);
        assert_true(warm_ask(&w, &r) >= known - PAGE);
        warm_close(&w);
    }
}

/* The page whose rest the taken-over state goes on to fill is another's, too: that one
 * goes, even though its slot and pages would have had room. */
static void a_page_being_written_is_not_shared(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[MOST], other[MOST];
        o.max_seqs = 2;
        o.context_tokens = 10 * PAGE;
        o.memory_bytes = warm_bytes(&o, 2, 10);
        warm_open(&w, m, &o);
        warm_draw(ids, MOST);
        memcpy(other, ids, sizeof other);
        struct engine_request first = warm_request(ids, 20, 8);
        uint64_t id = warm_submit(&w, &first);
        drive_run(&w.hot); /* stored at 20 and 27, both in the second page */
        drive_tokens(&w.hot, id, 0, other + 20, 8);
        drive_clear(&w.hot);
        struct engine_request whole = warm_request(ids, 20, 10 * PAGE - 20);
        whole.gen.temperature = 1;
        id = warm_submit(&w, &whole);
        for (int i = 0; i < 5; i++)
            drive_step(&w.hot);
        engine_cancel(w.hot.e, id, FINISH_ABORT);
        drive_clear(&w.hot);
        struct engine_request again = warm_request(other, 40, 4);
        warm_ask(&w, &again);
        warm_close(&w);
    }
}

/* Attention alone may begin anywhere, so also where nothing but a copy of a page is
 * missing: before that page. */
static void attention_alone_resumes_at_a_page_in_a_full_engine(void **state)
{
    struct engine_options o = warm_options(WARM_LLAMA);
    struct warm w;
    int32_t ids[MOST];
    (void)state;
    o.max_seqs = 1;
    o.context_tokens = 10 * PAGE;
    o.memory_bytes = warm_bytes(&o, 1, 10);
    warm_open(&w, WARM_LLAMA, &o);
    warm_draw(ids, MOST);
    struct engine_request r = warm_request(ids, 100, 4);
    warm_ask(&w, &r);
    warm_draw(ids + 90, 60);
    r = warm_request(ids, 100, 10 * PAGE - 100);
    assert_int_equal(warm_ask(&w, &r), 80);
    warm_draw(ids + 5, 60);
    assert_int_equal(warm_ask(&w, &r), 0);
    warm_close(&w);
}

/* A request that was admitted and never ran leaves nothing: attention alone has no row
 * to sample from where it began. */
static void a_request_that_never_ran_stores_nothing(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[MOST];
        warm_open(&w, m, &o);
        warm_draw(ids, MOST);
        struct engine_request r = warm_request(ids, 40, 4);
        warm_ask(&w, &r);
        warm_draw(ids + 30, MOST - 30);
        r = warm_request(ids, 60, 4);
        uint64_t id = warm_submit(&w, &r);
        engine_pause(w.hot.e, id, true);
        drive_step(&w.hot);
        assert_int_equal(warm_load(&w).running, 1);
        engine_cancel(w.hot.e, id, FINISH_ABORT);
        drive_clear(&w.hot);
        r.n_ids = 30;
        assert_int_equal(warm_ask(&w, &r), m == WARM_LLAMA ? 29 : 0);
        warm_close(&w);
    }
}

static void a_stored_prefix_is_a_hit_after_many_other_requests(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        int32_t ids[MOST], shared[MOST];
        o.context_tokens = 256;
        o.memory_bytes = warm_bytes(&o, 4, 40);
        warm_open(&w, m, &o);
        warm_draw(shared, MOST);
        for (int i = 0; i < 40; i++) { /* one beginning, many that come once */
            memcpy(ids, shared, sizeof ids);
            warm_draw(ids + 100, 30);
            struct engine_request r = warm_request(ids, 130, 4);
            int found = warm_ask(&w, &r);
            assert_true(i < 2 ? found <= 100 : found >= 100);
        }
        assert_true(warm_load(&w).checkpoints_evicted > 40);
        warm_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_requests_change_nothing),
        cmocka_unit_test(little_memory_changes_nothing),
        cmocka_unit_test(a_cap_on_bytes_holds_and_changes_no_bit),
        cmocka_unit_test(cancelling_at_any_step_leaves_others_and_states_intact),
        cmocka_unit_test(an_engine_closes_with_requests_in_every_state),
        cmocka_unit_test(checkpoints_delay_no_admission),
        cmocka_unit_test(without_room_for_a_copy_the_state_itself_is_used),
        cmocka_unit_test(a_page_being_written_is_not_shared),
        cmocka_unit_test(attention_alone_resumes_at_a_page_in_a_full_engine),
        cmocka_unit_test(a_request_that_never_ran_stores_nothing),
        cmocka_unit_test(a_stored_prefix_is_a_hit_after_many_other_requests),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
