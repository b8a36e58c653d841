/*
 * The pool: every task once, on a thread that exists, done when pool_run returns; also
 * with more threads than processors, with workers asleep or made to rest, and with an
 * allocation guard on the caller. Bound threads run where they are bound.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/kernel/cpu.h"
#include "engine/kernel/pool.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { MAX_TASKS = 1000 };

struct job {
    int runs[MAX_TASKS]; /* plain: each task belongs to one thread, the caller reads after
                          */
    int offset, n_threads;
    atomic_int bad_threads, total;
};

static void count(void *arg, int task, int thread)
{
    struct job *j = arg;
    j->runs[task] += j->offset;
    if (thread < 0 || thread >= j->n_threads)
        atomic_fetch_add(&j->bad_threads, 1);
    atomic_fetch_add(&j->total, 1);
}

static void run_and_check(struct pool *p, int n_tasks, int offset)
{
    static struct job j;
    memset(&j, 0, sizeof j);
    j.offset = offset;
    j.n_threads = pool_threads(p);
    pool_run(p, count, &j, n_tasks);
    assert_int_equal(atomic_load(&j.total), n_tasks);
    assert_int_equal(atomic_load(&j.bad_threads), 0);
    for (int t = 0; t < MAX_TASKS; t++)
        assert_int_equal(j.runs[t], t < n_tasks ? offset : 0);
}

static struct pool *opened(int n_threads)
{
    struct pool *p;
    struct err err = {0};
    assert_int_equal(pool_open(&p, n_threads, &err), 0);
    assert_int_equal(pool_threads(p), n_threads);
    return p;
}

static void nap(long us)
{
    nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

static void test_every_task_once(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8, 16};
    static const int tasks[] = {0, 1, 2, 3, 7, 64, MAX_TASKS};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        struct pool *p = opened(threads[i]);
        for (int round = 0; round < 40; round++)
            for (size_t t = 0; t < sizeof tasks / sizeof *tasks; t++)
                run_and_check(p, tasks[t], round + 1);
        pool_close(p);
    }
}

/* Short jobs one after the other: a late worker must not run an old job's task, nor lose
 * a new one. The job's memory changes its meaning with every run. */
static void test_many_short_jobs(void **state)
{
    (void)state;
    struct pool *p = opened(4);
    for (int round = 0; round < 3000; round++)
        run_and_check(p, 1 + round % 5, round);
    pool_close(p);
}

static void test_workers_asleep(void **state)
{
    (void)state;
    struct pool *p = opened(3);
    for (int round = 0; round < 20; round++) {
        nap(round % 2 ? 2000 : 100);
        run_and_check(p, 12, round);
    }
    pool_close(p);
}

static void dawdle(void *arg, int task, int thread)
{
    if (thread != 0) /* the caller runs dry first and has to sleep */
        nap(3000);
    count(arg, task, thread);
}

static void test_caller_waits_for_slow_worker(void **state)
{
    (void)state;
    static struct job j;
    struct pool *p = opened(2);
    for (int round = 0; round < 10; round++) {
        memset(&j, 0, sizeof j);
        j.offset = 1;
        j.n_threads = 2;
        pool_run(p, dawdle, &j, 200);
        assert_int_equal(atomic_load(&j.total), 200);
    }
    pool_close(p);
}

static void toil(void *arg, int task, int thread)
{
    struct timespec began, t;
    clock_gettime(CLOCK_MONOTONIC, &began);
    do
        clock_gettime(CLOCK_MONOTONIC, &t);
    while ((t.tv_sec - began.tv_sec) * 1000000000 + t.tv_nsec - began.tv_nsec < 200000);
    count(arg, task, thread);
}

/* Four threads a processor, none of which ever waits: each loses its processor in the
 * middle of tasks, and the number of active threads changes while jobs run. */
static void test_oversubscribed(void **state)
{
    (void)state;
    static struct job j;
    struct pool *p = opened(4 * cpu_count());
    for (int round = 0; round < 30; round++) {
        memset(&j, 0, sizeof j);
        j.offset = 1;
        j.n_threads = pool_threads(p);
        pool_run(p, toil, &j, 60);
        assert_int_equal(atomic_load(&j.total), 60);
        assert_int_equal(atomic_load(&j.bad_threads), 0);
        for (int t = 0; t < 60; t++)
            assert_int_equal(j.runs[t], 1);
    }
    pool_close(p);
}

/* ---- binding ---------------------------------------------------------------- */

struct seats {
    cpu_set_t of[CPU_SETSIZE]; /* by thread */
    atomic_int seen[CPU_SETSIZE], left;
};

/* Waits for the other threads, so that every thread has a task. */
static void sit(void *arg, int task, int thread)
{
    (void)task;
    struct seats *s = arg;
    if (atomic_exchange(&s->seen[thread], 1) == 0) {
        sched_getaffinity(0, sizeof s->of[thread], &s->of[thread]);
        atomic_fetch_sub(&s->left, 1);
    }
    while (atomic_load(&s->left) > 0)
        sched_yield();
}

static void test_bound_threads(void **state)
{
    (void)state;
    static struct seats s;
    cpu_set_t before, taken, after;
    struct err err = {0};
    sched_getaffinity(0, sizeof before, &before);
    int n = CPU_COUNT(&before);
    struct pool *p = opened(n);
    assert_int_equal(pool_pin(p, &err), 0);
    atomic_store(&s.left, n);
    pool_run(p, sit, &s, n);
    CPU_ZERO(&taken);
    for (int i = 0; i < n; i++) {
        assert_int_equal(CPU_COUNT(&s.of[i]), 1);
        CPU_OR(&taken, &taken, &s.of[i]);
    }
    assert_true(CPU_EQUAL(&taken, &before)); /* a processor for each */
    run_and_check(p, 50, 1);
    pool_close(p);
    sched_getaffinity(0, sizeof after, &after);
    assert_true(CPU_EQUAL(&after, &before));
}

static void test_bind_refuses(void **state)
{
    (void)state;
    cpu_set_t before, after;
    struct err err = {0};
    sched_getaffinity(0, sizeof before, &before);
    struct pool *p = opened(CPU_COUNT(&before) + 1);
    assert_int_equal(pool_pin(p, &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "pin");
    sched_getaffinity(0, sizeof after, &after);
    assert_true(CPU_EQUAL(&after, &before));
    run_and_check(p, 50, 1);
    pool_close(p);
}

/* Processor time of an idle pool: its workers sleep. */
static void test_idle_costs_nothing(void **state)
{
    (void)state;
    struct timespec before, after;
    struct pool *p = opened(4);
    run_and_check(p, 100, 1);
    nap(20000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    nap(200000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double used = (double)(after.tv_sec - before.tv_sec) +
                  1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    assert_true(used < 0.1); /* one spinning worker alone would use 0.2 s */
    pool_close(p);
}

static void test_run_allocates_nothing(void **state)
{
    (void)state;
    struct pool *p = opened(2);
    mem_guard(true);
    run_and_check(p, 50, 3);
    mem_guard(false);
    pool_close(p);
}

static void test_open_refuses(void **state)
{
    (void)state;
    struct pool *p = (struct pool *)&p;
    struct err err;
    assert_int_equal(pool_open(&p, 0, &err), -ERR_ARGUMENT);
    assert_null(p);
    assert_non_null(strstr(err.text, "found 0"));
    assert_string_equal(err.param, "threads");
    assert_int_equal(pool_open(&p, 100000, &err), -ERR_ARGUMENT);
    for (long n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_int_equal(pool_open(&p, 4, &err), -ERR_MEMORY);
        assert_null(p);
    }
    mem_fail_after(0);
    pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once),
        cmocka_unit_test(test_many_short_jobs),
        cmocka_unit_test(test_workers_asleep),
        cmocka_unit_test(test_caller_waits_for_slow_worker),
        cmocka_unit_test(test_oversubscribed),
        cmocka_unit_test(test_bound_threads),
        cmocka_unit_test(test_bind_refuses),
        cmocka_unit_test(test_idle_costs_nothing),
        cmocka_unit_test(test_run_allocates_nothing),
        cmocka_unit_test(test_open_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
