/*
 * Memory may run out at any allocation of opening and submitting: the error names it and
 * nothing leaks. Inside a step nothing is allocated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEQS = 4, N_IDS = 128 };

static struct maker model;
static int32_t ids[N_IDS];

static int make_model(void **state)
{
    static const struct maker_sizes sizes = {50, 24, 2, 2, 1, 16, 512};
    (void)state;
    maker_open(&model);
    maker_transxssm(&model, &sizes);
    for (int i = 0; i < N_IDS; i++)
        ids[i] = i * 7 % 50;
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    maker_close(&model);
    return 0;
}

static struct engine_options options(void)
{
    return (struct engine_options){.model_dir = model.dir,
                                   .n_threads = 1,
                                   .max_seqs = SEQS,
                                   .step_rows = SEQS + 16,
                                   .no_tokenizer = true};
}

static void expect_idle(const struct drive *d)
{
    struct engine_stats l;
    engine_stats(d->e, &l);
    assert_int_equal(l.running + l.waiting + l.slots_used + l.pages_used, 0);
}

static int failures_until_open(const struct engine_options *o)
{
    for (long n = 1;; n++) {
        struct engine *e = NULL;
        struct err err = {0};
        mem_fail_after(n);
        int rc = engine_open(&e, o, &err);
        mem_fail_after(0);
        if (rc == 0) {
            engine_close(e);
            return (int)n - 1;
        }
        if (rc != -ERR_MEMORY || err.code != ERR_MEMORY)
            fail_msg("allocation %ld: %d, %d: %s", n, rc, (int)err.code, err.text);
        assert_true(err.text[0] != '\0');
        assert_null(e);
    }
}

/* Every architecture, and a context whose tables take a block of their own. */
static void opening_fails_cleanly_wherever_memory_runs_out(void **state)
{
    static const struct maker_sizes sizes = {50, 24, 9, 2, 1, 16, 64};
    (void)state;
    for (int arch = 0; arch < 4; arch++) {
        struct engine_options o = options();
        struct maker m;
        maker_open(&m);
        if (arch == 0)
            maker_transxssm(&m, &sizes);
        else if (arch == 1)
            maker_llama(&m, &sizes);
        else
            maker_pha(&m, &sizes, arch == 2 ? "dss" : "gated");
        o.model_dir = m.dir;
        o.context_tokens = 20000;
        assert_true(failures_until_open(&o) > 15);
        o.math = ENGINE_MATH_BLAS;
        assert_true(failures_until_open(&o) > 15);
        int plain = failures_until_open(&o);
        o.prefix_cache = true;
        assert_int_equal(failures_until_open(&o), plain + 6);
        maker_close(&m);
    }
}

static void submitting_fails_cleanly_wherever_memory_runs_out(void **state)
{
    struct engine_options o = options();
    struct logit_bias bias = {1, 1};
    int32_t stop = 2;
    struct gen_params g = drive_greedy(400);
    struct drive d;
    int failures = 0;
    (void)state;
    g.n = 3;
    g.logprobs = 5;
    g.bias = &bias;
    g.stop_ids = &stop;
    g.n_bias = g.n_stop_ids = 1;
    struct engine_request r = {.id = 1, .ids = ids, .n_ids = 100, .gen = g};
    drive_open(&d, &o);
    for (long n = 1;; n++) {
        struct err err = {0};
        mem_fail_after(n);
        int rc = engine_submit(d.e, &r, &err);
        mem_fail_after(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_MEMORY);
        assert_int_equal(err.code, ERR_MEMORY);
        expect_idle(&d);
        failures++;
    }
    assert_true(failures >= 2);
    engine_cancel(d.e, 1, FINISH_ABORT);
    expect_idle(&d);
    drive_close(&d);
}

/* Were anything allocated inside, the first allocation would fail and the step with it;
 * the guard that engine_step sets would end the process. */
static void a_step_allocates_nothing(void **state)
{
    struct engine_options o = options();
    struct gen_params g = drive_greedy(20);
    struct drive d;
    (void)state;
    g.n = 2;
    g.logprobs = 20;
    g.prompt_logprobs = true;
    g.temperature = 1;
    g.top_p = 0.9f;
    g.typical_p = 0.9f;
    g.frequency_penalty = 0.1f;
    g.repetition_penalty = 1.1f;
    o.n_threads = 3;
    drive_open(&d, &o);
    for (uint64_t id = 1; id < 5; id++)
        drive_submit(&d, id, ids, 20 * id, &g);
    mem_fail_after(1);
    drive_run(&d);
    assert_null(mem_alloc(1)); /* it was still this one's turn */
    mem_fail_after(0);
    expect_idle(&d);
    drive_close(&d);
}

/* The same with the prefix cache: looked up, stored, adopted, evicted. */
static void a_step_that_stores_prefixes_allocates_nothing(void **state)
{
    struct engine_options o = options();
    struct gen_params g = drive_greedy(20);
    struct engine_stats l;
    struct drive d;
    (void)state;
    g.n = 2;
    o.prefix_cache = true;
    o.checkpoint_interval = 8;
    drive_open(&d, &o);
    for (int round = 0; round < 3; round++) {
        for (uint64_t id = 1; id < 5; id++)
            drive_submit(&d, id, ids, 20 * id, &g);
        mem_fail_after(1);
        drive_run(&d);
        assert_null(mem_alloc(1));
        mem_fail_after(0);
        expect_idle(&d);
    }
    engine_stats(d.e, &l);
    assert_true(l.checkpoints_hit > 0 && l.checkpoints_evicted > 0);
    drive_close(&d);
}

static void allocating_emit(void *arg, const struct event *ev)
{
    (void)arg;
    (void)ev;
    mem_free(mem_alloc(1));
}

/* The guard holds inside a step for every allocation. */
static void an_allocation_inside_a_step_ends_the_process(void **state)
{
    struct engine_options o = options();
    struct gen_params g = drive_greedy(1);
    struct engine_request r = {.id = 1, .ids = ids, .n_ids = 1, .gen = g};
    struct engine *e = NULL;
    struct err err = {0};
    int status;
    (void)state;
    o.emit = allocating_emit;
    assert_int_equal(engine_open(&e, &o, &err), 0);
    assert_int_equal(engine_submit(e, &r, &err), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(2); /* the message belongs to nobody */
        engine_step(e, 1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    engine_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_fails_cleanly_wherever_memory_runs_out),
        cmocka_unit_test(submitting_fails_cleanly_wherever_memory_runs_out),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(a_step_that_stores_prefixes_allocates_nothing),
        cmocka_unit_test(an_allocation_inside_a_step_ends_the_process),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
