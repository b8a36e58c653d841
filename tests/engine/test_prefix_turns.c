/*
 * Checkpoints where a request asks for them, at the turns of a conversation: which are
 * taken, which are there already, that they are kept within the same budget, and that a
 * prompt that leaves the conversation at one has the bits of a miss.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { MOST = 400, TURNS = 12, TURN = 25, SSD_ALONE = WARM_MODELS - 1 };

static void open_warm(struct warm *w, int model, size_t checkpoint_bytes)
{
    struct engine_options o = warm_options(model);
    o.checkpoint_bytes = checkpoint_bytes ? checkpoint_bytes : 32 << 20;
    warm_open(w, model, &o);
}

/* Of one token, so that the end of the prompt is that of the answer. */
static struct engine_request request_of(const int32_t *ids, int n, const int32_t *turns,
                                        size_t n_turns)
{
    struct engine_request r = warm_request(ids, (size_t)n, 1);
    r.turns = turns;
    r.n_turns = n_turns;
    return r;
}

/* Checkpoints that it leaves, of which one is the end of the prompt. */
static int left_by(struct warm *w, const struct engine_request *r, int n_cached)
{
    uint64_t before = warm_load(w).checkpoints_created;
    int found = warm_ask(w, r);
    if (found != n_cached)
        fail_msg("%s: %d tokens found, not %d", w->name, found, n_cached);
    return (int)(warm_load(w).checkpoints_created - before);
}

/* A prompt that parts from ids at a depth finds so many tokens. */
static void check_found(struct warm *w, const int32_t *ids, int depth, int n_cached)
{
    int32_t other[MOST];
    memcpy(other, ids, sizeof other);
    other[depth] = (ids[depth] + 1) % WARM_VOCAB;
    struct engine_request r = warm_request(other, (size_t)depth + 7, 3);
    int found = warm_ask(w, &r);
    if (found != n_cached)
        fail_msg("%s: parting at %d, %d tokens found, not %d", w->name, depth, found,
                 n_cached);
}

static void turns_in_a_cached_prefix_are_not_made_again(void **state)
{
    static const int32_t turns[] = {10, 33, 64, 70, 90};
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        open_warm(&w, m, 0);
        warm_draw(ids, MOST);
        struct engine_request r = request_of(ids, 60, turns, 2);
        assert_int_equal(left_by(&w, &r, 0), 3);
        assert_int_equal(left_by(&w, &r, 60), 0);
        r = request_of(ids, 100, turns, 5); /* the conversation goes on */
        assert_int_equal(left_by(&w, &r, 60), 4);
        for (size_t i = 0; i < 5; i++)
            check_found(&w, ids, turns[i], turns[i]);
        warm_close(&w);
    }
}

static void a_short_prompt_has_turns(void **state)
{
    static const int32_t turns[] = {1, 2, 3};
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        open_warm(&w, m, 0);
        warm_draw(ids, MOST);
        struct engine_request r = request_of(ids, 3, turns, 3);
        assert_int_equal(left_by(&w, &r, 0), 3);
        check_found(&w, ids, 1, 1);
        check_found(&w, ids, 2, 2);
        check_found(&w, ids, 3, 3);
        warm_close(&w);
    }
}

/* The last turn may be all of the prompt; of a request for one token or none. */
static void a_turn_at_the_end_of_the_prompt(void **state)
{
    static const int32_t turn = 40;
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (int max_tokens = 0; max_tokens < 2; max_tokens++) {
            struct warm w;
            int32_t ids[MOST];
            open_warm(&w, m, 0);
            warm_draw(ids, MOST);
            struct engine_request r = request_of(ids, 40, &turn, 1);
            r.gen.max_tokens = max_tokens;
            assert_int_equal(left_by(&w, &r, 0), 1);
            check_found(&w, ids, 40, 40);
            warm_close(&w);
        }
}

/* What a client asks for is kept longer than what happens to be a prompt's end. */
static void a_turn_at_the_end_is_kept_as_a_turn(void **state)
{
    static const int32_t turn = 40;
    struct warm w;
    int32_t ids[4][MOST];
    (void)state;
    open_warm(&w, SSD_ALONE, 0);
    size_t slot_bytes = engine_info(w.hot.e)->slot_bytes;
    warm_close(&w);
    open_warm(&w, SSD_ALONE, 3 * slot_bytes);
    for (int i = 0; i < 4; i++) {
        warm_draw(ids[i], MOST);
        ids[i][0] = i;
        struct engine_request r = request_of(ids[i], 40, &turn, i == 0);
        assert_int_equal(left_by(&w, &r, 0), 1);
    }
    assert_int_equal(warm_load(&w).checkpoints_evicted, 1);
    struct engine_request first = request_of(ids[0], 40, NULL, 0);
    assert_int_equal(warm_ask(&w, &first), 40);
    struct engine_request second = request_of(ids[1], 40, NULL, 0);
    assert_int_equal(warm_ask(&w, &second), 0);
    warm_close(&w);
}

/* More turns than the budget holds: it is kept at every step, and what is left serves. */
static void turns_are_within_the_budget(void **state)
{
    int32_t turns[TURNS];
    (void)state;
    for (int i = 0; i < TURNS; i++)
        turns[i] = TURN * (i + 1);
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        open_warm(&w, m, 0);
        const struct engine_info *info = engine_info(w.hot.e);
        size_t cap = 4 * info->slot_bytes + 24 * info->page_bytes;
        warm_close(&w);
        open_warm(&w, m, cap);
        warm_draw(ids, MOST);
        struct engine_request r = request_of(ids, TURN * TURNS + 9, turns, TURNS);
        uint64_t id = warm_submit(&w, &r);
        while (drive_step(&w.hot) > 0)
            assert_true(warm_load(&w).checkpoint_bytes <= cap);
        warm_expect(&w, id, &r, "many turns");
        if (m != WARM_LLAMA)
            assert_true(warm_load(&w).checkpoints_evicted > 0);
        drive_clear(&w.hot);
        for (int i = TURNS - 1; i >= 0; i--) {
            r = request_of(ids, turns[i] + 3, turns, (size_t)i + 1);
            warm_ask(&w, &r);
            assert_true(warm_load(&w).checkpoint_bytes <= cap);
        }
        warm_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_in_a_cached_prefix_are_not_made_again),
        cmocka_unit_test(a_short_prompt_has_turns),
        cmocka_unit_test(a_turn_at_the_end_of_the_prompt),
        cmocka_unit_test(a_turn_at_the_end_is_kept_as_a_turn),
        cmocka_unit_test(turns_are_within_the_budget),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
