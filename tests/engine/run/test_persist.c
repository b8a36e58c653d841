/* Checkpoints persisted by one engine and offered to a later one: each is persisted once,
 * those with hits first. A request that resumes from one has the bits of a miss, and so
 * has one that was offered a damaged checkpoint or one no deeper than a cached one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/temp_file.h"
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_BASE = 70, N_ALL = 95, ANSWER = 9 };

static struct err err;

static struct engine_request asks(uint64_t id, const int32_t *ids, size_t n)
{
    struct engine_request r = warm_request(ids, n, ANSWER);
    r.id = id;
    r.gen.logprobs = 3;
    r.gen.temperature = 0.9f;
    r.gen.seed = 17;
    r.gen.ignore_eos = true;
    return r;
}

static void run(struct drive *d, struct engine_request r)
{
    drive_clear(d);
    assert_int_equal(engine_submit(d->e, &r, &err), 0);
    drive_run(d);
}

static void same_as_cold(const struct engine_options *o, const struct drive *d,
                         struct engine_request r)
{
    struct drive cold;
    size_t len, cold_len;
    r.no_cache = true;
    r.persisted_tokens = 0;
    drive_open(&cold, o);
    run(&cold, r);
    for (int c = 0; c < r.gen.n; c++) {
        char *returned = drive_transcript(d, r.id, c, &len);
        char *expected = drive_transcript(&cold, r.id, c, &cold_len);
        assert_int_equal(len, cold_len);
        assert_memory_equal(returned, expected, len);
        free(returned);
        free(expected);
    }
    drive_close(&cold);
}

static void expect_idle(const struct drive *d)
{
    struct engine_stats l;
    engine_stats(d->e, &l);
    assert_int_equal(l.running + l.waiting + l.slots_used + l.pages_used, 0);
}

/* Spills one state into a file; the number of its tokens, 0: there is none. */
static int persist(struct drive *d, bool all, int fd, int32_t *tokens)
{
    struct engine_lease *s = engine_persist_next(d->e, all);
    struct engine_lease_path kept;
    if (!s)
        return 0;
    engine_lease_path_of(s, &kept);
    assert_string_equal(kept.tenant, "t");
    assert_string_equal(kept.cache_salt, "salt");
    memcpy(tokens, kept.tokens, (size_t)kept.n_tokens * sizeof *tokens);
    assert_int_equal(engine_object_save(d->e, s, fd, "t", &err), 0);
    engine_lease_release(d->e, s, true);
    return kept.n_tokens;
}

/* Runs a conversation whose first turn is persisted into fd. Sets the ids of both turns;
 * returns the depth of the file. */
static int keep_a_turn(const struct engine_options *o, int fd, int32_t *ids, size_t *n)
{
    struct drive d;
    int32_t tokens[N_ALL];
    drive_open(&d, o);
    warm_fill(ids, N_BASE, 1);
    struct engine_request r = asks(1, ids, N_BASE);
    r.tenant = "t";
    r.cache_salt = "salt";
    run(&d, r);
    assert_null(engine_persist_next(d.e, false)); /* nobody has come back to it */
    *n = N_BASE + drive_tokens(&d, 1, 0, ids + N_BASE, ANSWER);
    warm_fill(ids + *n, 5, 2);
    *n += 5;
    r = asks(2, ids, *n);
    r.tenant = "t";
    r.cache_salt = "salt";
    run(&d, r);
    int depth = persist(&d, false, fd, tokens);
    assert_int_equal(depth, N_BASE + ANSWER - 1);
    assert_memory_equal(tokens, ids, (size_t)depth * sizeof *ids);
    struct engine_stats now;
    engine_stats(d.e, &now);
    for (int left = now.checkpoints - 1; persist(&d, true, fd, tokens); left--)
        assert_true(left > 0); /* each once; the file holds the last one */
    assert_null(engine_persist_next(d.e, true));
    expect_idle(&d);
    drive_close(&d);
    return depth;
}

/* The same, with the hit one alone in the file. */
static int keep_one(const struct engine_options *o, int fd, int32_t *ids, size_t *n)
{
    struct drive d;
    int32_t tokens[N_ALL];
    int other = temp_file(), depth = keep_a_turn(o, other, ids, n);
    close(other);
    drive_open(&d, o);
    for (int i = 0; i < 2; i++) {
        struct engine_request r = asks(1, ids, (size_t)depth);
        r.tenant = "t";
        r.cache_salt = "salt";
        r.gen.max_tokens = 1;
        run(&d, r);
    }
    assert_int_equal(persist(&d, true, fd, tokens), depth);
    drive_close(&d);
    return depth;
}

/* Offers the file's state; how many tokens were not read. */
static int offered(struct drive *d, struct engine_request r, int depth, int fd)
{
    r.persisted_tokens = depth;
    r.persisted_bytes = 1000;
    drive_clear(d);
    assert_int_equal(engine_submit(d->e, &r, &err), 0);
    drive_step(d);
    struct engine_lease *s = drive_state(d, r.id, EVENT_LOAD);
    if (s)
        engine_lease_release(d->e, s, engine_object_load(d->e, s, fd, "t", &err) == 0);
    drive_run(d);
    return drive_finish(d, r.id, 0)->n_cached;
}

static void a_later_engine_resumes(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive d;
        int32_t ids[N_ALL + ANSWER];
        size_t n;
        int fd = temp_file(), depth = keep_one(&o, fd, ids, &n);
        drive_open(&d, &o);
        struct engine_request r = asks(3, ids, n);
        r.tenant = "t";
        r.cache_salt = "salt";
        r.gen.n = 1 + m % 2;
        assert_int_equal(offered(&d, r, depth, fd), depth);
        same_as_cold(&o, &d, r);
        assert_int_equal(offered(&d, r, depth, fd), n); /* memory knows more */
        assert_null(drive_state(&d, 3, EVENT_LOAD));
        same_as_cold(&o, &d, r);
        assert_int_equal(offered(&d, asks(4, ids, (size_t)depth), depth, fd), depth);
        expect_idle(&d);
        r = asks(5, ids, (size_t)depth + 1); /* what was loaded is known from now on */
        r.tenant = "t";
        r.cache_salt = "salt";
        run(&d, r);
        assert_int_equal(drive_finish(&d, 5, 0)->n_cached, depth);
        close(fd);
        drive_close(&d);
    }
}

static void a_damaged_checkpoint_is_recomputed(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct drive d;
        int32_t ids[N_ALL + ANSWER];
        size_t n;
        char byte;
        int fd = temp_file(), depth = keep_one(&o, fd, ids, &n);
        off_t last = lseek(fd, 0, SEEK_END) - 1;
        assert_int_equal(pread(fd, &byte, 1, last), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, last), 1);
        drive_open(&d, &o);
        struct engine_request r = asks(3, ids, n);
        assert_int_equal(offered(&d, r, depth, fd), 0);
        assert_non_null(drive_state(&d, 3, EVENT_LOAD));
        same_as_cold(&o, &d, r);
        expect_idle(&d);
        run(&d, r);
        assert_int_equal(drive_finish(&d, 3, 0)->n_cached, n); /* as after any reading */
        same_as_cold(&o, &d, r);
        close(fd);
        drive_close(&d);
    }
}

static void a_request_may_end_during_an_offer(void **state)
{
    (void)state;
    for (int good = 0; good < 2; good++) {
        struct engine_options o = warm_options(0);
        struct drive d;
        int32_t ids[N_ALL + ANSWER];
        size_t n;
        int fd = temp_file(), depth = keep_one(&o, fd, ids, &n);
        drive_open(&d, &o);
        struct engine_request r = asks(3, ids, n);
        r.persisted_tokens = depth;
        drive_clear(&d);
        assert_int_equal(engine_submit(d.e, &r, &err), 0);
        drive_step(&d);
        struct engine_lease *s = drive_state(&d, 3, EVENT_LOAD);
        engine_cancel(d.e, 3, FINISH_ABORT);
        engine_lease_release(d.e, s, good);
        assert_int_equal(drive_count(&d, 3, EVENT_START), 0);
        expect_idle(&d);
        close(fd);
        drive_close(&d);
    }
}

/* A full pool gives a place to the copy by evicting something else. */
static void the_pool_may_be_full(void **state)
{
    (void)state;
    struct engine_options o = warm_options(0);
    struct drive d;
    int32_t ids[N_ALL];
    int32_t tokens[N_ALL + ANSWER];
    struct engine_stats l;
    o.max_seqs = 1;
    o.memory_bytes = warm_bytes(&o, 4, 60);
    drive_open(&d, &o);
    for (unsigned i = 0; i < 40; i++) {
        warm_fill(ids, 60, i / 2);
        struct engine_request r = asks(i + 1, ids, 60);
        r.tenant = "t";
        r.cache_salt = "salt";
        run(&d, r);
        int fd = temp_file();
        while (persist(&d, i % 3 == 0, fd, tokens))
            ;
        close(fd);
        expect_idle(&d);
    }
    engine_stats(d.e, &l);
    assert_true(l.checkpoints_evicted > 0);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_engine_resumes),
        cmocka_unit_test(a_damaged_checkpoint_is_recomputed),
        cmocka_unit_test(a_request_may_end_during_an_offer),
        cmocka_unit_test(the_pool_may_be_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
