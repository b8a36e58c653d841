/* Saved and loaded states: an answer after save and load has the bits of an uninterrupted
 * one, for every kind of model and format of pages; a leased state is neither freed nor
 * changed, whatever happens to its request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/temp_file.h"
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_IDS = 600 };

static struct err err;

static struct engine_request asks(const int32_t *ids, size_t n, int max_tokens)
{
    struct engine_request r = warm_request(ids, n, max_tokens);
    r.gen.logprobs = 3;
    r.gen.temperature = 0.9f;
    r.gen.seed = 17;
    r.gen.ignore_eos = true;
    return r;
}

static void submit(struct drive *d, uint64_t id, struct engine_request r)
{
    r.id = id;
    if (engine_submit(d->e, &r, &err))
        fail_msg("%s", err.text);
}

/* What a request says that is read from its beginning. */
static char *told_cold(struct drive *d, struct engine_request r, int choice, size_t *len)
{
    drive_clear(d);
    r.no_cache = true;
    submit(d, 999, r);
    drive_run(d);
    char *returned = drive_transcript(d, 999, choice, len);
    drive_clear(d);
    return returned;
}

static void save(struct drive *d, uint64_t id, int fd)
{
    struct engine_lease *s = drive_state(d, id, EVENT_FINISH);
    struct engine_object o;
    struct stat st;
    assert_non_null(s);
    engine_object_of(d->e, s, &o);
    assert_int_equal(engine_object_save(d->e, s, fd, "t", &err), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, o.bytes);
    engine_lease_release(d->e, s, true);
}

/* Reads a prompt, answers, saves; all tokens are in ids then. How many there are. */
static size_t tell_and_save(struct drive *d, int32_t *ids, size_t n, int max_tokens,
                            int fd)
{
    struct engine_request r = asks(ids, n, max_tokens);
    r.save_state = true;
    drive_clear(d);
    submit(d, 1, r);
    drive_run(d);
    size_t more = drive_tokens(d, 1, 0, ids + n, MAX_IDS - n);
    save(d, 1, fd);
    return n + more;
}

/* Resumes from a file with all of ids; a step must lease the state out. */
static void begin_from(struct drive *d, uint64_t id, struct engine_request r, int fd)
{
    struct engine_object o;
    struct history found;
    assert_int_equal(engine_object_open(d->e, fd, "t", &o, &found, &err), 0);
    assert_true(found.n_ids <= r.n_ids);
    assert_memory_equal(found.ids, r.ids, found.n_ids * sizeof *found.ids);
    assert_int_equal(found.n_ids, o.n_tokens);
    r.state_tokens = o.depth;
    r.state_bytes = o.bytes;
    history_free(&found);
    submit(d, id, r);
    drive_step(d);
    assert_int_equal(drive_count(d, id, EVENT_START), 0);
    struct engine_lease *s = drive_state(d, id, EVENT_LOAD);
    assert_non_null(s);
    assert_int_equal(engine_object_load(d->e, s, fd, "t", &err), 0);
    engine_lease_release(d->e, s, true);
    assert_int_equal(drive_count(d, id, EVENT_START), 1);
}

static struct engine_stats load_of(const struct drive *d)
{
    struct engine_stats l;
    engine_stats(d->e, &l);
    return l;
}

/* Everything the pools leased has come back; drive_close asserts the rest. */
static void expect_idle(const struct drive *d)
{
    struct engine_stats l = load_of(d);
    assert_int_equal(l.running + l.waiting + l.slots_used + l.pages_used, 0);
}

/* ---- the same bits ---------------------------------------------------------- */

static void go_on_elsewhere(struct drive *a, struct drive *b, size_t n_prompt,
                            int max_tokens, size_t n_more, int n_choices)
{
    int32_t ids[MAX_IDS];
    int fd = temp_file();
    warm_fill(ids, n_prompt, (unsigned)(n_prompt * 31 + n_more));
    size_t n = tell_and_save(a, ids, n_prompt, max_tokens, fd);
    assert_int_equal(n, n_prompt + (size_t)max_tokens);
    warm_fill(ids + n, n_more, 5);
    struct engine_request r = asks(ids, n + n_more, 9);
    r.gen.n = n_choices;
    for (int again = 0; again < 2; again++) {
        drive_clear(b);
        begin_from(b, 2, r, fd);
        drive_run(b);
        int depth = (int)n - (max_tokens > 0);
        assert_int_equal(drive_finish(b, 2, 0)->n_cached, depth);
        for (int c = 0; c < n_choices; c++) {
            size_t len, expected_len;
            char *returned = drive_transcript(b, 2, c, &len);
            char *expected = told_cold(a, r, c, &expected_len);
            if (len != expected_len || memcmp(returned, expected, len) != 0)
                fail_msg("%zu + %d tokens, %zu more, choice %d", n_prompt, max_tokens,
                         n_more, c);
            free(returned);
            free(expected);
        }
    }
    expect_idle(b);
    close(fd);
}

static void save_and_load_change_no_bit(void **state)
{
    (void)state;
    static const struct {
        size_t n_prompt;
        int max_tokens;
        size_t n_more;
    } cases[] = {{1, 1, 0},   {1, 0, 1},    {1, 0, 0},   {15, 1, 3},
                 {16, 1, 0},  {17, 5, 1},   {31, 1, 16}, {23, 9, 23},
                 {40, 6, 90}, {100, 30, 0}, {64, 0, 0},  {48, 0, 17}};
    for (int m = 0; m < WARM_MODELS; m++)
        for (int kv = ENGINE_KV_F32; kv <= ENGINE_KV_Q8; kv++) {
            struct engine_options o = warm_options(m);
            struct drive a, b;
            o.kv = (enum engine_kv)kv;
            drive_open(&a, &o);
            o.n_threads = 2;
            o.step_rows = 57;
            o.cpu = "c";
            o.prefix_cache = kv != ENGINE_KV_F16;
            drive_open(&b, &o);
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                go_on_elsewhere(&a, &b, cases[i].n_prompt, cases[i].max_tokens,
                                cases[i].n_more, i % 3 == 2 ? 3 : 1);
            drive_close(&a);
            drive_close(&b);
        }
}

/* Three turns, each on another engine than the one before. */
static void a_conversation_is_saved_and_loaded_at_every_turn(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive d[2];
        int32_t ids[MAX_IDS];
        drive_open(&d[0], &o);
        drive_open(&d[1], &o);
        int fd = temp_file();
        warm_fill(ids, 30, 3);
        size_t n = tell_and_save(&d[0], ids, 30, 11, fd);
        for (int turn = 1; turn < 4; turn++) {
            struct drive *at = &d[turn % 2];
            size_t len, expected_len;
            warm_fill(ids + n, 20, (unsigned)turn);
            n += 20;
            struct engine_request r = asks(ids, n, 7);
            r.save_state = true;
            drive_clear(at);
            begin_from(at, 5, r, fd);
            drive_run(at);
            char *returned = drive_transcript(at, 5, 0, &len);
            size_t more = drive_tokens(at, 5, 0, ids + n, MAX_IDS - n);
            save(at, 5, fd);
            r.save_state = false;
            char *expected = told_cold(at, r, 0, &expected_len);
            assert_int_equal(len, expected_len);
            assert_memory_equal(returned, expected, len);
            free(returned);
            free(expected);
            n += more;
        }
        close(fd);
        drive_close(&d[0]);
        drive_close(&d[1]);
    }
}

static void other_requests_change_nothing(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive d;
        int32_t ids[MAX_IDS], other[MAX_IDS];
        size_t len, expected_len;
        drive_open(&d, &o);
        int fd = temp_file();
        warm_fill(ids, 50, 1);
        warm_fill(other, 200, 2);
        size_t n = tell_and_save(&d, ids, 50, 8, fd);
        warm_fill(ids + n, 9, 4);
        struct engine_request r = asks(ids, n + 9, 20), beside = asks(other, 200, 30);
        char *expected = told_cold(&d, r, 0, &expected_len);
        submit(&d, 7, beside);
        submit(&d, 8, beside);
        drive_step(&d);
        begin_from(&d, 2, r, fd);
        drive_run(&d);
        char *returned = drive_transcript(&d, 2, 0, &len);
        assert_int_equal(len, expected_len);
        assert_memory_equal(returned, expected, len);
        free(returned);
        free(expected);
        returned = drive_transcript(&d, 8, 0, &len);
        expected = told_cold(&d, beside, 0, &expected_len);
        assert_int_equal(len, expected_len);
        assert_memory_equal(returned, expected, len);
        free(returned);
        free(expected);
        expect_idle(&d);
        close(fd);
        drive_close(&d);
    }
}

/* ---- objects ---------------------------------------------------------------- */

static char *bytes_of(int fd, size_t *len)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    *len = (size_t)st.st_size;
    char *p = malloc(*len);
    assert_int_equal(pread(fd, p, *len, 0), (ssize_t)*len);
    return p;
}

/* An object holds nothing of earlier owners of its slot and pages, and nothing that
 * happens during the lease. */
static void an_object_holds_its_sequence_and_nothing_else(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive fresh, used;
        int32_t ids[MAX_IDS], other[MAX_IDS];
        size_t len, used_len;
        drive_open(&fresh, &o);
        drive_open(&used, &o);
        int fd = temp_file(), used_fd = temp_file();
        warm_fill(other, 300, 8);
        warm_fill(ids, 41, 9);
        for (int i = 0; i < 4; i++) {
            struct engine_request r = asks(other + i, 290, 40);
            r.no_cache = true;
            r.tenant = "other";
            submit(&used, 50 + (uint64_t)i, r);
        }
        drive_run(&used);
        tell_and_save(&fresh, ids, 41, 12, fd);

        struct engine_request r = asks(ids, 41, 12);
        r.save_state = true;
        drive_clear(&used);
        submit(&used, 1, r);
        drive_run(&used);
        submit(&used, 2, asks(other, 200, 20));
        submit(&used, 3, asks(other + 7, 200, 20));
        drive_run(&used);
        save(&used, 1, used_fd);
        char *a = bytes_of(fd, &len), *b = bytes_of(used_fd, &used_len);
        assert_int_equal(len, used_len);
        assert_memory_equal(a, b, len);
        free(a);
        free(b);
        close(fd);
        close(used_fd);
        drive_close(&fresh);
        drive_close(&used);
    }
}

static enum err_code open_by(const struct engine_options *o, int fd, const char *tenant)
{
    struct drive d;
    struct engine_object object;
    struct history said = {0};
    drive_open(&d, o);
    int rc = engine_object_open(d.e, fd, tenant, &object, &said, &err);
    assert_int_equal(engine_object_peek(d.e, fd, tenant, &object, NULL), rc);
    assert_true(rc == 0 || said.n_ids == 0);
    history_free(&said);
    drive_close(&d);
    return (enum err_code) - rc;
}

static void a_state_of_another_arithmetic_is_refused(void **state)
{
    (void)state;
    struct engine_options o = warm_options(0), other;
    struct drive d;
    int32_t ids[MAX_IDS];
    int fd = temp_file();
    warm_fill(ids, 20, 1);
    drive_open(&d, &o);
    tell_and_save(&d, ids, 20, 4, fd);
    drive_close(&d);
    assert_int_equal(open_by(&o, fd, "t"), 0);
    assert_int_equal(open_by(&o, fd, "u"), ERR_CONFLICT);
    other = o;
    other.kv = ENGINE_KV_F16;
    assert_int_equal(open_by(&other, fd, "t"), ERR_CONFLICT);
    other = o;
    other.weights = ENGINE_WEIGHTS_Q8;
    assert_int_equal(open_by(&other, fd, "t"), ERR_CONFLICT);
    other = o;
    other.math = ENGINE_MATH_BLAS;
    assert_int_equal(open_by(&other, fd, "t"), ERR_CONFLICT);
    other = o;
    other.context_tokens = 23; /* 24 tokens do not fit */
    assert_int_equal(open_by(&other, fd, "t"), ERR_CONFLICT);
    other.context_tokens = 24;
    assert_int_equal(open_by(&other, fd, "t"), 0);
    for (int m = 1; m < WARM_MODELS; m++) {
        other = warm_options(m);
        assert_int_equal(open_by(&other, fd, "t"), ERR_CONFLICT);
        assert_non_null(strstr(err.text, "model"));
    }
    close(fd);
}

/* ---- leases ------------------------------------------------------------------ */

static void a_saved_state_is_released_as_a_checkpoint(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive d;
        int32_t ids[MAX_IDS];
        drive_open(&d, &o);
        int fd = temp_file();
        warm_fill(ids, 33, 1);
        size_t n = tell_and_save(&d, ids, 33, 10, fd);
        expect_idle(&d);
        drive_clear(&d);
        warm_fill(ids + n, 5, 2);
        submit(&d, 2, asks(ids, n + 5, 3));
        drive_run(&d);
        assert_int_equal(drive_finish(&d, 2, 0)->n_cached, n - 1);
        close(fd);
        drive_close(&d);
    }
}

/* A loaded state is not trusted: it is never shared with other requests. */
static void a_loaded_state_leaves_no_checkpoint(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive a, b;
        int32_t ids[MAX_IDS];
        drive_open(&a, &o);
        drive_open(&b, &o);
        int fd = temp_file();
        warm_fill(ids, 40, 1);
        size_t n = tell_and_save(&a, ids, 40, 10, fd);
        warm_fill(ids + n, 300, 2);
        struct engine_request r = asks(ids, n + 300, 10);
        r.save_state = true;
        begin_from(&b, 2, r, fd);
        drive_run(&b);
        save(&b, 2, fd);
        assert_int_equal(load_of(&b).checkpoints, 0);
        assert_int_equal(load_of(&b).checkpoint_bytes, 0);
        close(fd);
        drive_close(&a);
        drive_close(&b);
    }
}

static void a_leased_state_is_not_reused(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive d;
        int32_t ids[MAX_IDS];
        o.max_seqs = 1;
        o.prefix_cache = false;
        o.memory_bytes = warm_bytes(&o, 1, 12);
        drive_open(&d, &o);
        warm_fill(ids, 100, 1);
        struct engine_request r = asks(ids, 100, 5);
        r.save_state = true;
        submit(&d, 1, r);
        drive_run(&d);
        struct engine_lease *s = drive_state(&d, 1, EVENT_FINISH);
        assert_non_null(s);
        assert_int_equal(load_of(&d).slots_used, 1);
        submit(&d, 2, asks(ids, 100, 5));
        assert_int_equal(drive_step(&d), 0); /* there is no other slot */
        engine_lease_release(d.e, s, true);
        drive_run(&d);
        assert_non_null(drive_finish(&d, 2, 0));
        expect_idle(&d);
        drive_close(&d);
    }
}

static void only_the_end_of_an_answer_is_saved(void **state)
{
    (void)state;
    static const enum finish_reason whys[] = {FINISH_ABORT, FINISH_TIMEOUT, FINISH_DRAIN};
    struct engine_options o = warm_options(0);
    struct drive d;
    int32_t ids[MAX_IDS];
    drive_open(&d, &o);
    warm_fill(ids, 60, 1);
    for (int i = 0; i < 3; i++)
        for (int steps = 0; steps < 6; steps++) {
            struct engine_request r = asks(ids, 60, 20);
            r.save_state = true;
            drive_clear(&d);
            submit(&d, 1, r);
            for (int k = 0; k < steps; k++)
                drive_step(&d);
            engine_cancel(d.e, 1, whys[i]);
            assert_null(drive_state(&d, 1, EVENT_FINISH));
            expect_idle(&d);
        }
    drive_close(&d);
}

/* The lease stays valid until it is released, whatever happens to the request. */
static void a_request_may_end_while_its_state_is_being_loaded(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++)
        for (int good = 0; good < 2; good++) {
            struct engine_options o = warm_options(m);
            struct drive d;
            struct engine_object object;
            struct history found;
            int32_t ids[MAX_IDS];
            drive_open(&d, &o);
            int fd = temp_file();
            warm_fill(ids, 40, 1);
            size_t n = tell_and_save(&d, ids, 40, 10, fd);
            assert_int_equal(engine_object_open(d.e, fd, "t", &object, &found, &err), 0);
            history_free(&found);
            struct engine_request r = asks(ids, n, 10);
            r.gen.n = 2;
            r.state_tokens = object.depth;
            drive_clear(&d);
            submit(&d, 2, r);
            drive_step(&d);
            struct engine_lease *s = drive_state(&d, 2, EVENT_LOAD);
            engine_cancel(d.e, 2, FINISH_ABORT);
            assert_int_equal(drive_count(&d, 2, EVENT_FINISH), 2);
            assert_int_equal(load_of(&d).slots_used, 1);
            submit(&d, 3, asks(ids, 30, 10)); /* others run over what was freed */
            drive_run(&d);
            assert_int_equal(engine_object_load(d.e, s, fd, "t", &err), 0);
            engine_lease_release(d.e, s, good);
            assert_int_equal(drive_count(&d, 2, EVENT_START), 0);
            expect_idle(&d);
            close(fd);
            drive_close(&d);
        }
}

static void an_invalid_state_ends_its_request(void **state)
{
    (void)state;
    struct engine_options o = warm_options(0);
    struct drive d;
    int32_t ids[MAX_IDS];
    drive_open(&d, &o);
    int fd = temp_file();
    warm_fill(ids, 40, 1);
    size_t n = tell_and_save(&d, ids, 40, 10, fd);
    struct engine_request r = asks(ids, n, 10);
    r.gen.n = 3;
    r.state_tokens = (int)n - 1;
    drive_clear(&d);
    submit(&d, 2, r);
    submit(&d, 3, asks(ids, 20, 4));
    drive_step(&d);
    char byte;
    struct stat st;
    fstat(fd, &st);
    assert_int_equal(pread(fd, &byte, 1, st.st_size - 9), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 9), 1);
    struct engine_lease *s = drive_state(&d, 2, EVENT_LOAD);
    assert_int_equal(engine_object_load(d.e, s, fd, "t", &err), -ERR_CONFLICT);
    engine_lease_release(d.e, s, false);
    for (int c = 0; c < 3; c++)
        assert_int_equal(drive_finish(&d, 2, c)->reason, FINISH_ERROR);
    drive_run(&d);
    assert_int_equal(drive_finish(&d, 3, 0)->reason, FINISH_LENGTH);
    expect_idle(&d);
    close(fd);
    drive_close(&d);
}

/* The process ends: what is out is taken back as it is. */
static void an_engine_closes_with_open_leases(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive d;
        int32_t ids[MAX_IDS];
        drive_open(&d, &o);
        int fd = temp_file();
        warm_fill(ids, 40, 1);
        size_t n = tell_and_save(&d, ids, 40, 10, fd);
        struct engine_request r = asks(ids, n, 10);
        r.save_state = true;
        submit(&d, 2, r);
        drive_run(&d);
        r.state_tokens = (int)n - 1;
        submit(&d, 3, r);
        submit(&d, 4, r);
        drive_step(&d);
        engine_cancel(d.e, 4, FINISH_ABORT);
        close(fd);
        drive_close(&d);
    }
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    struct engine_options o = warm_options(0);
    struct drive d;
    int32_t ids[4] = {1, 2, 3, 4};
    drive_open(&d, &o);
    struct engine_request r = asks(ids, 4, 1);
    r.state_tokens = 5;
    assert_int_equal(engine_check(d.e, &r, &err), -ERR_ARGUMENT);
    r.state_tokens = -1;
    assert_int_equal(engine_check(d.e, &r, &err), -ERR_ARGUMENT);
    r.state_tokens = 4;
    assert_int_equal(engine_check(d.e, &r, &err), 0);
    r.gen.prompt_logprobs = true;
    assert_int_equal(engine_check(d.e, &r, &err), -ERR_ARGUMENT);
    r = asks(ids, 4, 1);
    r.save_state = true;
    assert_int_equal(engine_check(d.e, &r, &err), 0);
    r.gen.n = 2;
    assert_int_equal(engine_check(d.e, &r, &err), -ERR_ARGUMENT);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(save_and_load_change_no_bit),
        cmocka_unit_test(a_conversation_is_saved_and_loaded_at_every_turn),
        cmocka_unit_test(other_requests_change_nothing),
        cmocka_unit_test(an_object_holds_its_sequence_and_nothing_else),
        cmocka_unit_test(a_state_of_another_arithmetic_is_refused),
        cmocka_unit_test(a_saved_state_is_released_as_a_checkpoint),
        cmocka_unit_test(a_loaded_state_leaves_no_checkpoint),
        cmocka_unit_test(a_leased_state_is_not_reused),
        cmocka_unit_test(only_the_end_of_an_answer_is_saved),
        cmocka_unit_test(a_request_may_end_while_its_state_is_being_loaded),
        cmocka_unit_test(an_invalid_state_ends_its_request),
        cmocka_unit_test(an_engine_closes_with_open_leases),
        cmocka_unit_test(impossible_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
