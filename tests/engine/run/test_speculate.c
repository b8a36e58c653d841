/* Speculation changes no bit of an answer: greedy and sampled, alone and beside others,
 * for every number of accepted rows, wherever the answer ends; and requests that resume
 * from its states have the bits of an engine without speculation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/ring.h"
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 400, ANSWER = 60, DISTINCT = 5, PAGE = 16, SLOT_BYTES = 1 << 18 };

/* Few different tokens: the last two have always been seen before. */
static size_t repetitive(int32_t *ids, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((seed = seed * 1103515245u + 12345u) >> 16) % DISTINCT + 3;
    return n;
}

/* Says the few tokens of the prompt in an order of chance: proposals come true often, and
 * fail at every length. */
static struct engine_request chatty(const int32_t *ids, size_t n, int max_tokens)
{
    static struct logit_bias bias[DISTINCT];
    struct engine_request r = warm_request(ids, n, max_tokens);
    for (int i = 0; i < DISTINCT; i++)
        bias[i] = (struct logit_bias){i + 3, 40};
    r.gen.bias = bias;
    r.gen.n_bias = DISTINCT;
    r.gen.logprobs = 2;
    r.gen.ignore_eos = true;
    return r;
}

/* Ends at a token, after at least so many. */
static void end_at(struct engine_request *r, const int32_t *stop, int least)
{
    r->gen.stop_ids = stop;
    r->gen.n_stop_ids = 1;
    r->gen.min_tokens = least;
}

static void open_speculating(struct warm *w, int model, enum engine_speculate mode)
{
    struct engine_options o = warm_options(model);
    o.speculate = mode;
    warm_open(w, model, &o);
}

static void expect_both(const struct warm *w)
{
    struct engine_stats load = warm_load(w);
    if (!load.tokens_accepted || load.tokens_accepted == load.tokens_proposed)
        fail_msg("%s: of %llu proposals %llu were accepted", w->name,
                 (unsigned long long)load.tokens_proposed,
                 (unsigned long long)load.tokens_accepted);
}

static void answers_are_the_same(void **state)
{
    int32_t ids[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++)
        for (int mode = ENGINE_SPECULATE_AUTO; mode <= ENGINE_SPECULATE_ON; mode++) {
            struct warm w;
            open_speculating(&w, model, (enum engine_speculate)mode);
            for (int i = 0; i < 6; i++) {
                size_t n = repetitive(ids, (size_t)(20 + 13 * i), (unsigned)i);
                struct engine_request r = chatty(ids, n, ANSWER + i);
                r.gen.temperature = 0.4f * (float)i;
                r.gen.seed = (uint64_t)i;
                r.gen.repetition_penalty = i % 2 ? 1.3f : 1;
                r.gen.frequency_penalty = i > 3 ? 0.5f : 0;
                r.gen.n = i == 5 ? 3 : 1;
                warm_ask(&w, &r);
            }
            expect_both(&w);
            warm_close(&w);
        }
}

static void other_requests_change_nothing(void **state)
{
    enum { N = 6 };
    int32_t ids[N][MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm w;
        struct engine_request r[N];
        uint64_t id[N];
        open_speculating(&w, model, ENGINE_SPECULATE_ON);
        for (int i = 0; i < N; i++) {
            size_t n = repetitive(ids[i], (size_t)(15 + 50 * (i % 3)), (unsigned)i);
            r[i] = chatty(ids[i], n, ANSWER);
            r[i].gen.temperature = 0.7f;
            r[i].gen.seed = 5;
            id[i] = warm_submit(&w, &r[i]);
            for (int step = 0; step < 3; step++)
                drive_step(&w.hot);
        }
        engine_cancel(w.hot.e, id[1], FINISH_ABORT);
        engine_pause(w.hot.e, id[2], true);
        for (int step = 0; step < 5; step++)
            drive_step(&w.hot);
        engine_pause(w.hot.e, id[2], false);
        drive_run(&w.hot);
        for (int i = 0; i < N; i++)
            if (i != 1)
                warm_expect(&w, id[i], &r[i], "in a batch");
        expect_both(&w);
        warm_close(&w);
    }
}

/* Goes on from what a finished request left behind: its row, its last token, its text. A
 * recurrent state may have gone back to where the last step began. */
static void expect_goes_on(struct warm *w, int model, uint64_t id,
                           const struct engine_request *r)
{
    int32_t ids[MOST];
    int32_t stop = drive_finish(&w->hot, id, 0)->stop_id;
    size_t n = r->n_ids;
    warm_score(w, id, r, 0);
    memcpy(ids, r->ids, n * sizeof *ids);
    n += drive_tokens(&w->hot, id, 0, ids + n, MOST - n);
    if (stop >= 0)
        ids[n++] = stop; /* generated, but not shown */
    warm_fill(ids + n, 3, 1);
    for (size_t end = n - 1; end <= n + 3; end += end < n ? 1 : 3) {
        struct engine_request next = chatty(ids, end, 5);
        int cached = warm_ask(w, &next);
        if (end < n && model == WARM_LLAMA)
            assert_int_equal(cached, end);
    }
}

/* Ends an answer by each of its tokens in turn. */
static void an_answer_ends_at_the_same_token(void **state)
{
    int32_t ids[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm w;
        open_speculating(&w, model, ENGINE_SPECULATE_ON);
        size_t n = repetitive(ids, 40, 9);
        for (int max_tokens = 1; max_tokens < 12; max_tokens++) {
            struct engine_request r = chatty(ids, n, max_tokens);
            uint64_t id = warm_submit(&w, &r);
            drive_run(&w.hot);
            warm_expect(&w, id, &r, "ended");
            expect_goes_on(&w, model, id, &r);
        }
        for (int32_t stop = 3; stop < 3 + DISTINCT; stop++)
            for (int least = 0; least < 10; least++) {
                struct engine_request r = chatty(ids, n, ANSWER);
                end_at(&r, &stop, least);
                r.gen.temperature = 1;
                r.gen.seed = (uint64_t)least;
                uint64_t id = warm_submit(&w, &r);
                drive_run(&w.hot);
                warm_expect(&w, id, &r, "stopped");
                expect_goes_on(&w, model, id, &r);
            }
        expect_both(&w);
        warm_close(&w);
    }
}

/* A step of a sequence alone gives the tokens that were accepted and one more. */
static void what_was_accepted_is_counted(void **state)
{
    int32_t ids[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm w;
        open_speculating(&w, model, ENGINE_SPECULATE_ON);
        for (int i = 0; i < 5; i++) {
            struct engine_request r =
                chatty(ids, repetitive(ids, 20, (unsigned)i), ANSWER);
            uint64_t before = warm_load(&w).tokens_accepted, id = warm_submit(&w, &r);
            while (drive_count(&w.hot, id, EVENT_TOKEN) == 0)
                drive_step(&w.hot);
            size_t steps = 0;
            while (drive_step(&w.hot) > 0)
                steps++;
            assert_int_equal(drive_count(&w.hot, id, EVENT_TOKEN), ANSWER);
            assert_int_equal(warm_load(&w).tokens_accepted - before, ANSWER - 1 - steps);
            drive_clear(&w.hot);
        }
        warm_close(&w);
    }
}

static void a_state_that_is_saved_is_whole(void **state)
{
    int32_t ids[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm w;
        open_speculating(&w, model, ENGINE_SPECULATE_ON);
        for (int i = 0; i < 30; i++) {
            int32_t stop = 3 + i % DISTINCT;
            size_t n = repetitive(ids, 30, (unsigned)i);
            struct engine_request r = chatty(ids, n, ANSWER);
            end_at(&r, &stop, i / 2);
            r.save_state = true;
            drive_clear(&w.hot);
            uint64_t id = warm_submit(&w, &r);
            drive_run(&w.hot);
            struct engine_lease *s = drive_state(&w.hot, id, EVENT_FINISH);
            struct engine_object o;
            assert_non_null(s);
            engine_object_of(w.hot.e, s, &o);
            const struct event *end = drive_finish(&w.hot, id, 0);
            assert_int_equal(o.n_tokens, end->n_prompt + end->n_generated);
            assert_int_equal(o.depth, o.n_tokens - 1);
            engine_lease_release(w.hot.e, s, true);
            size_t more = drive_tokens(&w.hot, id, 0, ids + n, MOST - n);
            ids[n + more] = stop; /* generated, but not shown */
            more += end->n_generated > (int)more;
            struct engine_request next = chatty(ids, n + more, 5);
            assert_true(warm_ask(&w, &next) >= o.depth);
        }
        warm_close(&w);
    }
}

/* Proposals that fail step after step leave the state ever further behind. */
static void a_state_far_behind_is_saved_whole(void **state)
{
    int32_t ids[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm w;
        open_speculating(&w, model, ENGINE_SPECULATE_ON);
        for (int i = 0; i < 4; i++) {
            int32_t stop = 3;
            size_t n = repetitive(ids, 150, (unsigned)i);
            struct engine_request r = chatty(ids, n, 2 * ANSWER);
            r.gen.temperature = 1;
            r.gen.seed = (uint64_t)i;
            end_at(&r, &stop, ANSWER + i);
            r.save_state = true;
            drive_clear(&w.hot);
            uint64_t id = warm_submit(&w, &r);
            drive_run(&w.hot);
            struct engine_lease *s = drive_state(&w.hot, id, EVENT_FINISH);
            struct engine_object o;
            assert_non_null(s);
            engine_object_of(w.hot.e, s, &o);
            assert_int_equal(o.depth, o.n_tokens - 1);
            engine_lease_release(w.hot.e, s, true);
            n += drive_tokens(&w.hot, id, 0, ids + n, MOST - n);
            if (drive_finish(&w.hot, id, 0)->stop_id == stop)
                ids[n++] = stop;
            struct engine_request next = chatty(ids, n, 5);
            assert_true(warm_ask(&w, &next) >= o.depth);
        }
        warm_close(&w);
    }
}

/* The slot of a leased state, as an object has it. */
static size_t leased_slot(const struct warm *w, struct engine_lease *s, char *slot)
{
    struct engine_object o;
    size_t n = engine_info(w->hot.e)->slot_bytes;
    assert_true(n <= SLOT_BYTES);
    engine_object_of(w->hot.e, s, &o);
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(engine_object_save(w->hot.e, s, fileno(f), "", NULL), 0);
    size_t pages =
        (size_t)(o.depth + PAGE - 1) / PAGE * engine_info(w->hot.e)->page_bytes;
    assert_int_equal(fseek(f, (long)(o.bytes - pages - n), SEEK_SET), 0);
    assert_int_equal(fread(slot, 1, n, f), n);
    fclose(f);
    return n;
}

/* The slot of the state that a finished request saves. */
static size_t saved_slot(struct warm *w, const struct engine_request *r, char *slot)
{
    drive_clear(&w->hot);
    uint64_t id = warm_submit(w, r);
    drive_run(&w->hot);
    struct engine_lease *s = drive_state(&w->hot, id, EVENT_FINISH);
    assert_non_null(s);
    size_t n = leased_slot(w, s, slot);
    engine_lease_release(w->hot.e, s, false);
    return n;
}

/* Whatever was proposed and rejected, the same request leaves the same bytes. */
static void saved_slots_are_the_same_without_speculation(void **state)
{
    static char want[SLOT_BYTES], got[SLOT_BYTES];
    int32_t ids[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm off, on;
        open_speculating(&off, model, ENGINE_SPECULATE_OFF);
        open_speculating(&on, model, ENGINE_SPECULATE_ON);
        for (int i = 0; i < 6; i++) {
            int32_t stop = 3 + i % DISTINCT;
            struct engine_request r =
                chatty(ids, repetitive(ids, (size_t)(30 + 9 * i), (unsigned)i), ANSWER);
            r.gen.temperature = 1; /* proposals fail up to the end */
            r.gen.seed = (uint64_t)i;
            end_at(&r, &stop, 3 * i);
            r.save_state = true;
            size_t n = saved_slot(&off, &r, want);
            assert_int_equal(saved_slot(&on, &r, got), n);
            if (memcmp(want, got, n) != 0)
                fail_msg("%s: request %d leaves another slot", on.name, i);
        }
        warm_close(&off);
        warm_close(&on);
    }
}

/* The deepest checkpoint that a request leaves: its slot and tokens; returns how many. */
static int persisted_slot(struct warm *w, const struct engine_request *r, int32_t *ids,
                          char *slot)
{
    struct engine_lease *s;
    int depth = 0;
    drive_clear(&w->hot);
    warm_submit(w, r);
    drive_run(&w->hot);
    while ((s = engine_persist_next(w->hot.e, true))) {
        struct engine_lease_path path;
        engine_lease_path_of(s, &path);
        if (path.n_tokens > depth) {
            depth = path.n_tokens;
            memcpy(ids, path.tokens, (size_t)depth * sizeof *ids);
            leased_slot(w, s, slot);
        }
        engine_lease_release(w->hot.e, s, true);
    }
    return depth;
}

/* A checkpoint amid rejected proposals is persisted as the prompt of its tokens is by an
 * engine without speculation. */
static void persisted_slots_are_the_same_without_speculation(void **state)
{
    static char want[SLOT_BYTES], got[SLOT_BYTES];
    int32_t ids[MOST], path[MOST], same[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm off, on;
        open_speculating(&off, model, ENGINE_SPECULATE_OFF);
        open_speculating(&on, model, ENGINE_SPECULATE_ON);
        for (int i = 0; i < 6; i++) {
            int32_t stop = 3 + i % DISTINCT;
            size_t n = repetitive(ids, (size_t)(30 + 9 * i), (unsigned)i);
            struct engine_request r = chatty(ids, n, ANSWER);
            r.gen.temperature = 1; /* proposals fail up to the end */
            r.gen.seed = (uint64_t)i;
            end_at(&r, &stop, 3 * i + 3);
            int depth = persisted_slot(&on, &r, path, got);
            assert_true(depth > (int)n);
            r = chatty(path, (size_t)depth, 1);
            persisted_slot(&off, &r, same, want); /* a hit is likely from now on */
            assert_int_equal(persisted_slot(&off, &r, same, want), depth);
            assert_memory_equal(same, path, (size_t)depth * sizeof *path);
            if (memcmp(want, got, engine_info(on.hot.e)->slot_bytes) != 0)
                fail_msg("%s: request %d leaves another checkpoint", on.name, i);
        }
        expect_both(&on);
        warm_close(&off);
        warm_close(&on);
    }
}

/* The most rows that a step of an answer has. */
static int most_rows(struct warm *w, uint64_t id)
{
    int most = 0;
    while (drive_count(&w->hot, id, EVENT_TOKEN) == 0)
        drive_step(&w->hot);
    for (int rows; (rows = drive_step(&w->hot)) > 0;)
        most = rows > most ? rows : most;
    return most;
}

/* Proposals fail step after step, and steps have room for more rows than a ring can take
 * back: recurrent states fall as far behind as that, and no further. */
static void no_more_rows_are_run_than_a_ring_can_take_back(void **state)
{
    int32_t ids[MOST];
    int most = 0;
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct engine_options o = warm_options(model);
        struct warm w;
        o.speculate = ENGINE_SPECULATE_ON;
        o.step_rows = 3 * RING_SPARE;
        warm_open(&w, model, &o);
        for (int i = 0; i < 3; i++) {
            size_t n = repetitive(ids, MOST, (unsigned)i);
            struct engine_request r = chatty(ids, n, 3 * ANSWER);
            r.gen.temperature = 1;
            r.gen.seed = (uint64_t)i;
            uint64_t id = warm_submit(&w, &r);
            int rows = most_rows(&w, id);
            most = rows > most ? rows : most;
            warm_expect(&w, id, &r, "far behind");
            drive_clear(&w.hot);
        }
        warm_close(&w);
    }
    assert_int_equal(most, RING_SPARE);
}

/* A sequence is cancelled with proposals just rejected: prompts that end at any of its
 * tokens, the depth of its checkpoint among them, have the bits of a cold start. */
static void a_cancelled_state_is_sound(void **state)
{
    int32_t ids[MOST];
    (void)state;
    for (int model = 0; model < WARM_MODELS; model++) {
        struct warm w;
        open_speculating(&w, model, ENGINE_SPECULATE_ON);
        for (int i = 0; i < 4; i++) {
            size_t n = repetitive(ids, 30, (unsigned)i);
            struct engine_request r = chatty(ids, n, ANSWER);
            r.gen.temperature = 1;
            r.gen.seed = (uint64_t)i;
            drive_clear(&w.hot);
            uint64_t id = warm_submit(&w, &r);
            for (int step = 0; step < 5 + i; step++)
                drive_step(&w.hot);
            engine_cancel(w.hot.e, id, FINISH_ABORT);
            drive_run(&w.hot);
            size_t more = drive_tokens(&w.hot, id, 0, ids + n, MOST - n);
            for (size_t len = n + 1; len <= n + more; len++) {
                struct engine_request next = chatty(ids, len, 1);
                warm_ask(&w, &next);
            }
        }
        warm_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_same),
        cmocka_unit_test(other_requests_change_nothing),
        cmocka_unit_test(an_answer_ends_at_the_same_token),
        cmocka_unit_test(what_was_accepted_is_counted),
        cmocka_unit_test(a_state_that_is_saved_is_whole),
        cmocka_unit_test(a_state_far_behind_is_saved_whole),
        cmocka_unit_test(a_cancelled_state_is_sound),
        cmocka_unit_test(saved_slots_are_the_same_without_speculation),
        cmocka_unit_test(persisted_slots_are_the_same_without_speculation),
        cmocka_unit_test(no_more_rows_are_run_than_a_ring_can_take_back),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
