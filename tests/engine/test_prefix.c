/*
 * The prefix cache, one request after another: how many prompt tokens a hit saves, and
 * that a hit gives the bits of a miss, wherever prompts are split.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { MOST = WARM_CONTEXT, ANSWER = 5 };

static void open_plain(struct warm *w, int model, int interval)
{
    struct engine_options o = warm_options(model);
    o.checkpoint_interval = interval;
    o.checkpoint_bytes = 32 << 20; /* nothing is evicted */
    warm_open(w, model, &o);
}

static int ask(struct warm *w, const int32_t *ids, int n)
{
    struct engine_request r = warm_request(ids, (size_t)n, ANSWER);
    return warm_ask(w, &r);
}

/* Runs a request and appends its answer to the prompt. Returns the tokens of the hit. */
static int talk(struct warm *w, int32_t *ids, int *n)
{
    struct engine_request r = warm_request(ids, (size_t)*n, ANSWER);
    uint64_t id = warm_submit(w, &r);
    drive_run(&w->hot);
    warm_expect(w, id, &r, "a turn");
    int n_cached = drive_finish(&w->hot, id, 0)->n_cached;
    *n += (int)drive_tokens(&w->hot, id, 0, ids + *n, ANSWER);
    drive_clear(&w->hot);
    return n_cached;
}

/* Small matrices are held as q8 where q4 was asked for. */
static bool mostly_q4(const struct engine_info *info)
{
    size_t bytes = 0;
    for (int i = 0; i < info->n_formats; i++)
        bytes += strcmp(info->formats[i].name, "q4") == 0 ? info->formats[i].bytes : 0;
    return bytes > info->weights_bytes / 2;
}

/* ---- a hit is a miss -------------------------------------------------------- */

/* Tails around a step's rows and a page, behind prefixes around pages and blocks. */
static void a_hit_has_the_bits_of_a_miss_for_every_tail(void **state)
{
    static const int prefixes[] = {1, 2, 15, 16, 17, 22, 23, 24, 63, 64, 65, 130};
    static const int tails[] = {0, 1, 15, 16, 17, 22, 23, 24};
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
            struct warm w;
            int32_t ids[MOST];
            open_plain(&w, m, 0);
            warm_draw(ids, MOST);
            int n = prefixes[i];
            assert_int_equal(ask(&w, ids, n), 0);
            for (size_t t = 0; t < sizeof tails / sizeof *tails; t++) {
                warm_draw(ids + n, tails[t] + 1);
                int found = ask(&w, ids, n + tails[t]);
                assert_in_range(found, n, n + tails[t]);
            }
            warm_close(&w);
        }
}

static void a_repeated_prompt_is_a_hit_at_any_length(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        open_plain(&w, m, 0);
        for (int n = 1; n < 70; n++) {
            warm_draw(ids, n);
            ask(&w, ids, n);
            assert_int_equal(ask(&w, ids, n), n);
        }
        warm_close(&w);
    }
}

static void a_conversation_prefills_only_new_tokens(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        int n = 33, known = 0;
        open_plain(&w, m, 0);
        warm_draw(ids, MOST);
        for (int turn = 0; turn < 12; turn++) {
            assert_int_equal(talk(&w, ids, &n), known);
            known = n - 1; /* the last token of an answer was sampled, never run */
            n += turn * 3 % 20;
        }
        warm_close(&w);
    }
}

static void choices_use_a_cached_prompt(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (int n = 14; n < 19; n++) {
            struct warm w;
            int32_t ids[MOST];
            open_plain(&w, m, 0);
            warm_draw(ids, MOST);
            struct engine_request r = warm_request(ids, (size_t)n, 9);
            r.gen.n = 3;
            r.gen.temperature = 1.2f;
            r.gen.seed = 5;
            assert_int_equal(warm_ask(&w, &r), 0);
            assert_int_equal(warm_ask(&w, &r), n);
            r.n_ids += 3;
            assert_in_range(warm_ask(&w, &r), n, n + 3);
            r.gen.max_tokens = 0; /* nothing to sample at a known end */
            assert_in_range(warm_ask(&w, &r), n + 3, n + 3);
            warm_close(&w);
        }
}

static void any_interval_and_row_budget_gives_the_same_bits(void **state)
{
    static const int intervals[] = {1, 7, 16, 32, 50};
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
            struct engine_options o = warm_options(m);
            struct warm w;
            int32_t ids[MOST];
            o.checkpoint_interval = intervals[i];
            o.step_rows = 20 + 37 * (int)i;
            o.n_threads = 1 + (int)i % 2;
            warm_open(&w, m, &o);
            warm_draw(ids, MOST);
            ask(&w, ids, 150);
            for (int at = 0; at < 150; at += 13) {
                int32_t was = ids[at];
                ids[at] = (was + 1) % WARM_VOCAB;
                assert_true(ask(&w, ids, 150) <= at);
                ids[at] = was;
            }
            warm_close(&w);
        }
}

/* The copy of a page in the middle, and the state behind it: a conversation, and a branch
 * of it. */
static void converse(int model, enum engine_weights weights, enum engine_kv kv)
{
    struct engine_options o = warm_options(model);
    struct warm w;
    int32_t ids[MOST];
    int n = 37, known = 0;
    o.weights = weights;
    o.kv = kv;
    o.checkpoint_interval = 9;
    o.checkpoint_bytes = 32 << 20;
    warm_open(&w, model, &o);
    if (weights == ENGINE_WEIGHTS_Q4)
        assert_true(mostly_q4(engine_info(w.hot.e)));
    warm_draw(ids, MOST);
    for (int turn = 0; turn < 4; turn++, n += 11) {
        assert_int_equal(talk(&w, ids, &n), known);
        known = n - 1;
    }
    ids[21] = (ids[21] + 1) % WARM_VOCAB;
    assert_in_range(ask(&w, ids, n), 18, 21);
    warm_close(&w);
}

static void every_format_of_weights_and_pages_gives_the_bits_of_a_miss(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        converse(m, ENGINE_WEIGHTS_BF16, ENGINE_KV_F32);
        converse(m, ENGINE_WEIGHTS_OWN, ENGINE_KV_F16);
        converse(m, ENGINE_WEIGHTS_Q8, ENGINE_KV_F16);
        converse(m, ENGINE_WEIGHTS_Q8, ENGINE_KV_Q8);
    }
    for (int m = WARM_WIDE; m < WARM_ALL; m++) {
        converse(m, ENGINE_WEIGHTS_Q4, ENGINE_KV_F16);
        converse(m, ENGINE_WEIGHTS_Q4, ENGINE_KV_Q8);
    }
}

/* ---- how much is found ------------------------------------------------------ */

struct figures {
    int branch1, branch2, cut, cut2;
};

/* Another text from there on: no first token of two is the same. */
static void part(int32_t *ids, int at)
{
    int32_t was = ids[at];
    warm_draw(ids + at, 20);
    ids[at] = (was + 1) % WARM_VOCAB;
}

/* The next turn, the same 1,000 tokens with another question, the first 400 of them. */
static struct figures branches(int model, int interval)
{
    struct warm w;
    struct figures f;
    int32_t ids[MOST], other[MOST];
    int n = 1020;
    open_plain(&w, model, interval);
    warm_draw(ids, MOST);
    memcpy(other, ids, sizeof ids);
    ask(&w, ids, 1000);
    assert_int_equal(ask(&w, ids, n), 1000);
    assert_int_equal(talk(&w, ids, &n), 1020);
    int known = n - 1;
    n += 21;
    assert_int_equal(talk(&w, ids, &n), known); /* all of it / only what is new */
    warm_close(&w);

    open_plain(&w, model, interval);
    ask(&w, other, 1020);
    part(other, 1000);
    f.branch1 = ask(&w, other, 1020);
    part(other, 1000);
    f.branch2 = ask(&w, other, 1020);
    part(other, 400);
    f.cut = ask(&w, other, 420);
    part(other, 400);
    f.cut2 = ask(&w, other, 420);
    warm_close(&w);
    return f;
}

static void a_branch_is_a_hit_from_its_second_use(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct figures f = branches(m, 32);
        bool any = m == WARM_LLAMA;
        assert_int_equal(f.branch1, any ? 1000 : 992);
        assert_int_equal(f.branch2, 1000);
        assert_int_equal(f.cut, any ? 400 : 384);
        assert_int_equal(f.cut2, 400);
        f = branches(m, 256);
        assert_int_equal(f.branch1, any ? 1000 : 768);
        assert_int_equal(f.branch2, 1000);
        assert_int_equal(f.cut, any ? 400 : 256);
        assert_int_equal(f.cut2, 400);
    }
}

static void checkpoints_are_stored_where_the_request_asks(void **state)
{
    static const int32_t turns[] = {3, 16, 29, 44};
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        open_plain(&w, m, 0);
        warm_draw(ids, MOST);
        struct engine_request r = warm_request(ids, 60, ANSWER);
        r.turns = turns;
        r.n_turns = 4;
        assert_int_equal(warm_ask(&w, &r), 0);
        for (int i = 3; i >= 0; i--) {
            warm_draw(ids + turns[i], 30);
            r = warm_request(ids, (size_t)turns[i] + 20, ANSWER);
            assert_in_range(warm_ask(&w, &r), turns[i], turns[i] + 1);
        }
        warm_close(&w);
    }
}

static void checkpoint_positions_out_of_order_or_range_are_refused(void **state)
{
    static const int32_t bad[][2] = {{0, 3}, {3, 3}, {4, 2}, {5, 11}, {-1, 4}};
    struct warm w;
    int32_t ids[10] = {0};
    (void)state;
    open_plain(&w, 0, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct engine_request r = warm_request(ids, 10, 1);
        struct err err = {0};
        r.turns = bad[i];
        r.n_turns = 2;
        assert_int_equal(engine_submit(w.hot.e, &r, &err), -ERR_ARGUMENT);
        assert_non_null(strstr(err.text, "1 to 10"));
    }
    warm_close(&w);
}

/* ---- sharing ---------------------------------------------------------------- */

static void tenants_and_salts_share_nothing(void **state)
{
    static const struct {
        const char *tenant, *salt;
    } who[] = {{NULL, NULL}, {"a", NULL}, {"a", "x"},
               {"b", "x"},   {NULL, "a"}, {"ax", ""}};
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        open_plain(&w, m, 0);
        warm_draw(ids, MOST);
        struct engine_request r = warm_request(ids, 40, ANSWER);
        for (size_t i = 0; i < 2 * sizeof who / sizeof *who; i++) {
            size_t k = i % (sizeof who / sizeof *who);
            r.tenant = who[k].tenant;
            r.cache_salt = who[k].salt;
            assert_int_equal(warm_ask(&w, &r), i == k ? 0 : 40);
        }
        warm_close(&w);
    }
}

static void a_name_too_long_for_a_key_is_refused(void **state)
{
    struct warm w;
    int32_t ids[10] = {0};
    char salt[700];
    struct err err = {0};
    (void)state;
    open_plain(&w, 0, 0);
    struct engine_request r = warm_request(ids, 10, 1);
    memset(salt, 's', sizeof salt);
    salt[639] = '\0';
    r.cache_salt = salt;
    assert_int_equal(warm_ask(&w, &r), 0);
    assert_int_equal(warm_ask(&w, &r), 10);
    r.tenant = "t";
    assert_int_equal(engine_submit(w.hot.e, &r, &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "cache_salt");
    warm_close(&w);
}

static void a_request_can_bypass_the_cache(void **state)
{
    struct warm w;
    int32_t ids[MOST];
    (void)state;
    open_plain(&w, 0, 8);
    warm_draw(ids, MOST);
    struct engine_request r = warm_request(ids, 40, ANSWER);
    r.no_cache = true;
    assert_int_equal(warm_ask(&w, &r), 0);
    assert_int_equal(warm_load(&w).checkpoints, 0);
    r.no_cache = false;
    assert_int_equal(warm_ask(&w, &r), 0);
    r.no_cache = true;
    assert_int_equal(warm_ask(&w, &r), 0);
    warm_close(&w);
}

/* Every prompt token's log-probability needs its row; what was read is stored. */
static void log_probabilities_of_a_prompt_bypass_the_cache(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        int32_t ids[MOST];
        open_plain(&w, m, 16);
        warm_draw(ids, MOST);
        struct engine_request r = warm_request(ids, 70, ANSWER);
        r.gen.prompt_logprobs = true;
        assert_int_equal(warm_ask(&w, &r), 0);
        uint64_t id = warm_submit(&w, &r);
        drive_run(&w.hot);
        warm_expect(&w, id, &r, "again");
        assert_int_equal(w.hot.notes[0].ev.kind, EVENT_START);
        assert_int_equal(w.hot.notes[0].ev.n_cached, 0);
        assert_int_equal(w.hot.notes[0].ev.n_found, 70);
        assert_true(w.hot.notes[0].ev.found_bytes > 0);
        drive_clear(&w.hot);
        r.gen.prompt_logprobs = false;
        assert_int_equal(warm_ask(&w, &r), 70);
        warm_close(&w);
    }
}

static void a_start_event_reports_the_hit(void **state)
{
    struct warm w;
    int32_t ids[MOST];
    (void)state;
    open_plain(&w, 0, 0);
    warm_draw(ids, MOST);
    ask(&w, ids, 40);
    const struct engine_info *info = engine_info(w.hot.e);
    struct engine_request r = warm_request(ids, 40, ANSWER);
    warm_submit(&w, &r);
    drive_run(&w.hot);
    const struct event *ev = &w.hot.notes[0].ev;
    assert_int_equal(ev->kind, EVENT_START);
    assert_int_equal(ev->n_cached, 40);
    assert_int_equal(ev->n_found, 40);
    assert_int_equal(ev->found_bytes, info->slot_bytes + 3 * info->page_bytes);
    warm_close(&w);
}

/* ---- what is counted -------------------------------------------------------- */

static void checkpoints_are_counted(void **state)
{
    struct warm w;
    int32_t ids[MOST];
    (void)state;
    open_plain(&w, 0, 0);
    const struct engine_info *info = engine_info(w.hot.e);
    warm_draw(ids, MOST);
    ask(&w, ids, 40); /* the prompt's end and the answer's: 44 tokens, 3 pages */
    struct engine_stats l = warm_load(&w);
    assert_int_equal(l.checkpoints, 2);
    assert_int_equal(l.checkpoints_created, 2);
    assert_int_equal(l.checkpoints_hit, 0);
    assert_int_equal(l.checkpoint_bytes, 2 * info->slot_bytes + 3 * info->page_bytes);
    ask(&w, ids, 40);
    l = warm_load(&w);
    assert_int_equal(l.checkpoints, 2);
    assert_int_equal(l.checkpoints_hit, 1);
    assert_int_equal(l.checkpoints_evicted, 0);
    warm_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_has_the_bits_of_a_miss_for_every_tail),
        cmocka_unit_test(a_repeated_prompt_is_a_hit_at_any_length),
        cmocka_unit_test(a_conversation_prefills_only_new_tokens),
        cmocka_unit_test(choices_use_a_cached_prompt),
        cmocka_unit_test(any_interval_and_row_budget_gives_the_same_bits),
        cmocka_unit_test(every_format_of_weights_and_pages_gives_the_bits_of_a_miss),
        cmocka_unit_test(a_branch_is_a_hit_from_its_second_use),
        cmocka_unit_test(checkpoints_are_stored_where_the_request_asks),
        cmocka_unit_test(checkpoint_positions_out_of_order_or_range_are_refused),
        cmocka_unit_test(tenants_and_salts_share_nothing),
        cmocka_unit_test(a_name_too_long_for_a_key_is_refused),
        cmocka_unit_test(a_request_can_bypass_the_cache),
        cmocka_unit_test(log_probabilities_of_a_prompt_bypass_the_cache),
        cmocka_unit_test(a_start_event_reports_the_hit),
        cmocka_unit_test(checkpoints_are_counted),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
