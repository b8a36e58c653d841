/*
 * The engine thread and its mailboxes, over a golden model: every message is answered,
 * events come in order, a full outbox holds the engine up but loses nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/serve/bridge.h"

#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MODEL "tests/golden/transxssm-default"

struct heard {
    int taken, refused, started, tokens, finished;
    int ended[FINISH_N];
    uint64_t last_id;
    int32_t ids[4096];
};

static atomic_int notified;

static void notify(void *arg)
{
    (void)arg;
    atomic_fetch_add(&notified, 1);
}

static void on_taken(void *arg, uint64_t id, const struct err *err)
{
    struct heard *h = arg;
    h->last_id = id;
    if (err)
        h->refused++;
    else
        h->taken++;
}

static void on_event(void *arg, const struct event *ev)
{
    struct heard *h = arg;
    h->last_id = ev->request;
    if (ev->kind == EVENT_START)
        h->started++;
    if (ev->kind == EVENT_TOKEN) {
        if (h->tokens < 4096)
            h->ids[h->tokens] = ev->id;
        h->tokens++;
    }
    if (ev->kind == EVENT_FINISH) {
        h->finished++;
        h->ended[ev->reason]++;
    }
}

static void rest(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static struct bridge *open_model(const char *dir, enum bridge_state want)
{
    struct bridge_options o = {.notify = notify, .max_text_bytes = 1};
    o.engine.model_dir = dir;
    o.engine.no_tokenizer = true;
    o.engine.n_threads = 1;
    o.engine.max_seqs = 2;
    o.engine.speculate = ENGINE_SPECULATE_ON;
    struct bridge *b;
    assert_int_equal(bridge_open(&b, &o, NULL), 0);
    while (bridge_state(b, NULL) == BRIDGE_LOADING)
        rest();
    assert_int_equal(bridge_state(b, NULL), want);
    return b;
}

static void drain_until(struct bridge *b, struct heard *h, const int *what, int n)
{
    struct bridge_reader r = {.taken = on_taken, .event = on_event, .arg = h};
    while (*what < n) {
        bridge_drain(b, &r);
        rest();
    }
    bridge_drain(b, &r);
}

static struct engine_request request(uint64_t id, const int32_t *ids, size_t n,
                                     int max_tokens)
{
    struct engine_request r = {.id = id, .ids = ids, .n_ids = n};
    r.gen = (struct gen_params){.max_tokens = max_tokens,
                                .top_p = 1,
                                .typical_p = 1,
                                .repetition_penalty = 1,
                                .n = 1,
                                .logprobs = -1,
                                .ignore_eos = true};
    return r;
}

static const int32_t prompt[] = {1, 2, 3};

static void answers_and_refuses(void **state)
{
    (void)state;
    struct bridge *b = open_model(MODEL, BRIDGE_READY);
    struct heard h = {0};
    struct engine_request r = request(7, prompt, 3, 8);
    assert_non_null(bridge_engine(b));
    assert_int_equal(bridge_submit(b, &r, NULL), 0);
    drain_until(b, &h, &h.finished, 1);
    assert_int_equal(h.taken, 1);
    assert_int_equal(h.started, 1);
    assert_int_equal(h.tokens, 8);
    assert_int_equal(h.ended[FINISH_LENGTH], 1);
    assert_int_equal(h.last_id, 7);

    static const int32_t outside[] = {1 << 30};
    r = request(8, outside, 1, 8);
    assert_int_equal(bridge_submit(b, &r, NULL), 0);
    drain_until(b, &h, &h.refused, 1);
    assert_int_equal(h.last_id, 8);

    struct bridge_stats now;
    do
        bridge_stats(b, &now);
    while (now.engine.slots_used || now.engine.running);
    while (!bridge_idle(b))
        rest();
    r = request(9, prompt, 3, 8);
    assert_int_equal(bridge_submit(b, &r, NULL), 0);
    while (!bridge_idle(b)) /* not before all was taken and ran */
        rest();
    bridge_stats(b, &now);
    assert_int_equal(now.engine.running + now.engine.waiting, 0);
    drain_until(b, &h, &h.finished, 2);
    assert_false(bridge_stuck(b, 60000000000u));
    assert_true(atomic_load(&notified) > 0);
    bridge_close(b);
}

/* Two run at a time, so the last of many still waits when its cancel comes. */
static void the_cancelled_one_ends(void **state)
{
    (void)state;
    enum { N = 40, LAST = N - 1 };
    struct bridge *b = open_model(MODEL, BRIDGE_READY);
    static struct heard h;
    int n = engine_info(bridge_engine(b))->context_tokens - 3;
    for (int i = 0; i < N; i++) {
        struct engine_request r = request((uint64_t)i + 1, prompt, 3, n);
        assert_int_equal(bridge_submit(b, &r, NULL), 0);
    }
    assert_int_equal(bridge_pause(b, LAST + 1, true), 0);
    assert_int_equal(bridge_cancel(b, LAST + 1, FINISH_TIMEOUT), 0);
    for (int i = 0; i < LAST; i++)
        assert_int_equal(bridge_cancel(b, (uint64_t)i + 1, FINISH_ABORT), 0);
    drain_until(b, &h, &h.finished, N);
    assert_int_equal(h.taken, N);
    assert_int_equal(h.ended[FINISH_TIMEOUT], 1);
    assert_int_equal(
        h.ended[FINISH_TIMEOUT] + h.ended[FINISH_ABORT] + h.ended[FINISH_LENGTH], N);
    assert_int_equal(bridge_cancel(b, LAST + 1, FINISH_ABORT), 0); /* gone: ignored */
    bridge_close(b);
}

/* Events of two long answers pile up beyond the outbox while nobody drains. */
static void full_outbox_loses_nothing(void **state)
{
    (void)state;
    struct bridge *b = open_model(MODEL, BRIDGE_READY);
    static struct heard h;
    int n = engine_info(bridge_engine(b))->context_tokens - 3;
    if (n > 2000)
        n = 2000;
    for (int i = 0; i < 10; i++) {
        struct engine_request r = request((uint64_t)i + 1, prompt, 3, n);
        assert_int_equal(bridge_submit(b, &r, NULL), 0);
    }
    struct bridge_stats now;
    uint64_t steps = 0;
    for (int same = 0; same < 100; rest()) { /* until it stands still */
        bridge_stats(b, &now);
        same = now.engine.steps == steps ? same + 1 : 0;
        steps = now.engine.steps;
    }
    drain_until(b, &h, &h.finished, 10);
    assert_int_equal(h.tokens, 10 * n);
    bridge_close(b);
}

/* Fails unless these are of one same step. */
static void expect_whole(const struct bridge_stats *s)
{
    uint64_t steps = 0, more = 0;
    for (int i = 0; i < BRIDGE_STEP_BUCKETS; i++)
        steps += s->steps.seconds[i];
    for (int i = 0; i < BRIDGE_ROW_BUCKETS; i++)
        more += s->steps.rows[i];
    assert_int_equal(steps, s->engine.steps);
    assert_int_equal(more, s->engine.steps);
    assert_true(s->engine.tokens_accepted <= s->engine.tokens_proposed);
}

/* A model that counts in a circle, so that all proposals but an answer's last ones are
 * accepted: one value of the next step among the others shows. */
static void statistics_are_of_one_step(void **state)
{
    enum { VOCAB = 16, N = 20, ANSWER = 1000 };
    int32_t next[VOCAB];
    struct maker model;
    static struct heard h;
    struct bridge_stats now = {0};
    struct bridge_reader r = {.taken = on_taken, .event = on_event, .arg = &h};
    (void)state;
    for (int i = 0; i < VOCAB; i++)
        next[i] = (i + 1) % VOCAB;
    maker_open(&model);
    maker_chain(&model, next, VOCAB, ANSWER + 3, -1);
    struct bridge *b = open_model(model.dir, BRIDGE_READY);
    for (int i = 0; i < N; i++) {
        struct engine_request q = request((uint64_t)i + 1, prompt, 3, ANSWER);
        assert_int_equal(bridge_submit(b, &q, NULL), 0);
    }
    for (unsigned i = 0; h.finished < N; i++) {
        bridge_stats(b, &now);
        expect_whole(&now);
        if (i % 64 == 0)
            bridge_drain(b, &r);
    }
    assert_true(now.engine.tokens_accepted > N * ANSWER / 2);
    bridge_close(b);
    maker_close(&model);
}

static void closing_does_not_wait_for_a_reader(void **state)
{
    (void)state;
    struct bridge *b = open_model(MODEL, BRIDGE_READY);
    int n = engine_info(bridge_engine(b))->context_tokens - 3;
    for (int i = 0; i < 50; i++) {
        struct engine_request r = request((uint64_t)i + 1, prompt, 3, n);
        assert_int_equal(bridge_submit(b, &r, NULL), 0);
    }
    bridge_close(b);
}

static void a_model_that_is_not_there(void **state)
{
    (void)state;
    struct err err = {0};
    struct bridge *b = open_model("tests/golden/nonexistent", BRIDGE_FAILED);
    assert_int_equal(bridge_state(b, &err), BRIDGE_FAILED);
    assert_non_null(strstr(err.text, "nonexistent"));
    assert_null(bridge_engine(b));
    bridge_close(b);
    bridge_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_refuses),
        cmocka_unit_test(the_cancelled_one_ends),
        cmocka_unit_test(full_outbox_loses_nothing),
        cmocka_unit_test(statistics_are_of_one_step),
        cmocka_unit_test(closing_does_not_wait_for_a_reader),
        cmocka_unit_test(a_model_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
