/*
 * The pool: every task once, on a thread that exists, done when pool_run returns; also
 * with more threads than processors, with workers asleep, and with an allocation guard on
 * the caller.
 */
#include "engine/base/mem.h"
#include "engine/kernel/cpu.h"
#include "engine/kernel/pool.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
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
        cmocka_unit_test(test_idle_costs_nothing),
        cmocka_unit_test(test_run_allocates_nothing),
        cmocka_unit_test(test_open_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
