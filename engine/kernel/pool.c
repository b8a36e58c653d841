/*
 * The pool of worker threads. One caller at a time runs jobs; workers only ever wait for
 * one.
 *
 * All claiming goes through one word: the job's generation above, the tasks still
 * unclaimed below. A thread claims by taking one off with compare-and-swap, so a claimed
 * task pins its job: the fields fn, arg and n_tasks stay until `done` has counted it. A
 * worker that wakes late finds nothing to claim, or a task of the newer job, and either
 * is right; therefore the caller never waits for a worker to wake, only for tasks that
 * were claimed. A core taken away by another process costs at most the task that ran on
 * it.
 *
 * Sleeping: who goes to sleep first says so (sleepers, caller_sleeps), then looks once
 * more; who has news first publishes it, then looks for sleepers. Both orders are
 * sequentially consistent, so one of the two sees the other. The mutex is never held
 * while a task runs.
 */
#include "engine/kernel/pool.h"

#include "engine/base/mem.h"
#include "engine/kernel/cpu.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* Rounds of spinning before sleep: 10 to 50 µs by the processor's pause. The gaps between
 * the jobs of a step are shorter, those between steps of an idle server are not. */
enum { SPIN_ROUNDS = 1000, CACHE_LINE = 64, MAX_THREADS = 1024 };

struct worker {
    struct pool *pool; /* borrows: the pool outlives its workers */
    pthread_t thread;
    int index;
};

struct pool {
    _Alignas(CACHE_LINE)
        atomic_uint_least64_t word;       /* generation << 32 | unclaimed tasks */
    _Alignas(CACHE_LINE) atomic_int done; /* finished tasks of this job */
    pool_fn *fn;
    void *arg;
    int n_tasks;

    _Alignas(CACHE_LINE) atomic_int sleepers; /* workers in work_ready */
    atomic_bool caller_sleeps, closing;
    pthread_mutex_t mutex; /* guards nothing but the two waits */
    pthread_cond_t work_ready, all_done;

    int n_threads, n_started, spin_rounds;
    struct worker *workers; /* owns [n_threads - 1] */
};

static void pause_once(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The number of the claimed task, or -1 when none is left. */
static int claim(struct pool *p)
{
    uint64_t w = atomic_load(&p->word);
    while ((uint32_t)w != 0)
        if (atomic_compare_exchange_weak(&p->word, &w, w - 1))
            return p->n_tasks - (int)(uint32_t)w;
    return -1;
}

static void report_done(struct pool *p, int n_tasks)
{
    if (atomic_fetch_add(&p->done, 1) + 1 != n_tasks || !atomic_load(&p->caller_sleeps))
        return;
    pthread_mutex_lock(&p->mutex);
    pthread_cond_signal(&p->all_done);
    pthread_mutex_unlock(&p->mutex);
}

static void work(struct pool *p, int thread)
{
    for (int task; (task = claim(p)) >= 0;) {
        int n_tasks = p->n_tasks; /* the job may be gone once this task is reported */
        p->fn(p->arg, task, thread);
        report_done(p, n_tasks);
    }
}

static bool has_work(struct pool *p)
{
    return (uint32_t)atomic_load(&p->word) != 0;
}

static void sleep_until_work(struct pool *p)
{
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->sleepers, 1);
    while (!has_work(p) && !atomic_load(&p->closing))
        pthread_cond_wait(&p->work_ready, &p->mutex);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->mutex);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    while (!atomic_load(&p->closing)) {
        work(p, w->index);
        int spins = p->spin_rounds;
        while (spins > 0 && !has_work(p)) {
            pause_once();
            spins--;
        }
        if (!has_work(p))
            sleep_until_work(p);
    }
    return NULL;
}

/* Signals are the process's business: workers take none. */
static int start_workers(struct pool *p)
{
    sigset_t all, before;
    int rc = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < p->n_threads && rc == 0; i++) {
        struct worker *w = &p->workers[i - 1];
        w->pool = p;
        w->index = i;
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        p->n_started += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int pool_open(struct pool **out, int n_threads, struct err *err)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > MAX_THREADS)
        return err_param(err, ERR_ARGUMENT, "threads",
                         "threads: expected 1 to %d, found %d", MAX_THREADS, n_threads);
    struct pool *p = mem_zalloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_MEMORY, "out of memory for the worker pool");
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work_ready, NULL);
    pthread_cond_init(&p->all_done, NULL);
    p->n_threads = n_threads;
    p->spin_rounds = n_threads <= cpu_count() ? SPIN_ROUNDS : 0;
    p->workers = mem_zalloc((size_t)n_threads, sizeof *p->workers);
    if (!p->workers) {
        pool_close(p);
        return err_set(err, ERR_MEMORY, "out of memory for %d worker threads", n_threads);
    }
    int rc = start_workers(p);
    if (rc != 0) {
        pool_close(p);
        return err_set(err, ERR_IO, "cannot start %d worker threads: %s", n_threads - 1,
                       strerror(rc));
    }
    *out = p;
    return 0;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->closing, true);
    pthread_cond_broadcast(&p->work_ready);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->all_done);
    pthread_cond_destroy(&p->work_ready);
    pthread_mutex_destroy(&p->mutex);
    mem_free(p->workers);
    mem_free(p);
}

int pool_threads(const struct pool *p)
{
    return p->n_threads;
}

static void wake_workers(struct pool *p, int n_tasks)
{
    int sleepers = atomic_load(&p->sleepers);
    if (sleepers == 0)
        return;
    pthread_mutex_lock(&p->mutex);
    if (n_tasks - 1 >= sleepers)
        pthread_cond_broadcast(&p->work_ready);
    else
        for (int i = 1; i < n_tasks; i++)
            pthread_cond_signal(&p->work_ready);
    pthread_mutex_unlock(&p->mutex);
}

static void wait_until_done(struct pool *p, int n_tasks)
{
    for (int i = 0; i < p->spin_rounds; i++) {
        if (atomic_load(&p->done) == n_tasks)
            return;
        pause_once();
    }
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->done) != n_tasks)
        pthread_cond_wait(&p->all_done, &p->mutex);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->mutex);
}

void pool_run(struct pool *p, pool_fn *fn, void *arg, int n_tasks)
{
    if (p->n_threads == 1 || n_tasks <= 1) {
        for (int t = 0; t < n_tasks; t++)
            fn(arg, t, 0);
        return;
    }
    uint64_t generation = (atomic_load(&p->word) >> 32) + 1;
    p->fn = fn;
    p->arg = arg;
    p->n_tasks = n_tasks;
    atomic_store(&p->done, 0);
    atomic_store(&p->word, generation << 32 | (uint32_t)n_tasks);
    wake_workers(p, n_tasks);
    work(p, 0);
    wait_until_done(p, n_tasks);
}
