/*
 * The pool of worker threads. One caller at a time runs jobs; between jobs workers wait.
 *
 * Tasks are claimed through one word: the job's generation in the upper half, the number
 * of unclaimed tasks in the lower. A thread claims a task by a compare-and-swap that
 * takes one off, so a claimed task pins its job: fn, arg and n_tasks do not change until
 * `done` has counted it. A worker that wakes late finds no task, or a task of a newer
 * job, and both are correct; so the caller waits for claimed tasks only, never for a
 * worker to wake. A processor taken away by another process costs at most the task that
 * ran on it; when that happens often, fewer threads take part: from time to time the
 * caller reads how long its threads had to wait for processors. This clock, and the one
 * that bounds spinning, are the only ones that the engine reads; no result depends on
 * them.
 *
 * Sleeping: a thread that goes to sleep first sets its flag (sleepers, caller_sleeps),
 * then checks once more; a thread that wakes others first publishes, then checks the
 * flags. All of it is sequentially consistent, so one of the two sees the other. The
 * mutex is never held while a task runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/pool.h"

#include "engine/base/mem.h"
#include "engine/kernel/active_threads.h"
#include "engine/kernel/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Before sleep: longer than the gaps within a step and from one step to the next,
     * shorter than those of an idle server. */
    SPIN_NS = 50000,
    PAUSES = 16,             /* between two readings of the clock */
    LOOK_NS = 20000000,      /* between two readings of how long threads had to wait */
    LOOK_THREAD_NS = 200000, /* at least this for each thread: 1 % of the time */
    CACHE_LINE = 64,
    MAX_THREADS = 1024,
    CPU_SETS = 16 /* room for 16,384 processors; Linux builds go to 8,192 */
};

struct worker {        /* thread 0, the caller, has one too */
    struct pool *pool; /* borrows: the pool outlives its workers */
    pthread_t thread;
    int index;
    atomic_int stat_fd; /* owns; the thread's schedstat, -1: none (yet) */
};

struct pool {
    _Alignas(CACHE_LINE)
        atomic_uint_least64_t word;       /* generation << 32 | unclaimed tasks */
    _Alignas(CACHE_LINE) atomic_int done; /* finished tasks of this job */
    pool_fn *fn;
    void *arg;
    int n_tasks;

    _Alignas(CACHE_LINE) atomic_int sleepers; /* workers in work_ready */
    atomic_int n_active; /* workers from this index on rest; the caller writes it */
    atomic_bool caller_sleeps, closing;
    pthread_mutex_t mutex; /* for the waits alone */
    pthread_cond_t work_ready, all_done, rest_over;

    int n_threads, n_started;
    uint64_t spin_ns, look_ns;
    struct worker *workers;       /* owns [n_threads] */
    struct active_threads active; /* the caller's */
    bool bound;
    cpu_set_t before[CPU_SETS]; /* bound: the caller's processors before */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pause_briefly(void)
{
    for (int i = 0; i < PAUSES; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }
}

/* ---- tasks ------------------------------------------------------------------ */

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
        int n_tasks = p->n_tasks; /* the job may end once this task is reported */
        p->fn(p->arg, task, thread);
        report_done(p, n_tasks);
    }
}

/* ---- workers ---------------------------------------------------------------- */

static bool has_work(struct pool *p)
{
    return (uint32_t)atomic_load(&p->word) != 0;
}

static bool rests(const struct worker *w)
{
    return w->index >= atomic_load(&w->pool->n_active);
}

/* A task to claim, or a reason to stop waiting. */
static bool has_news(const struct worker *w)
{
    return has_work(w->pool) || rests(w) || atomic_load(&w->pool->closing);
}

static void spin_until_news(const struct worker *w)
{
    uint64_t until = w->pool->spin_ns ? now_ns() + w->pool->spin_ns : 0;
    while (!has_news(w) && now_ns() < until)
        pause_briefly();
}

static void sleep_until_news(const struct worker *w)
{
    struct pool *p = w->pool;
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->sleepers, 1);
    while (!has_news(w))
        pthread_cond_wait(&p->work_ready, &p->mutex);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->mutex);
}

static void rest(const struct worker *w)
{
    struct pool *p = w->pool;
    pthread_mutex_lock(&p->mutex);
    while (rests(w) && !atomic_load(&p->closing))
        pthread_cond_wait(&p->rest_over, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

/* The kernel's statistics of the calling thread: nanoseconds on a processor, then
 * nanoseconds of waiting for one while ready to run. */
static void open_stat(struct worker *w)
{
    atomic_store(&w->stat_fd, open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    open_stat(w);
    while (!atomic_load(&p->closing)) {
        if (rests(w)) {
            rest(w);
            continue;
        }
        work(p, w->index);
        spin_until_news(w);
        if (!has_news(w))
            sleep_until_news(w);
    }
    return NULL;
}

/* ---- opening ---------------------------------------------------------------- */

/* Workers block all signals. */
static int start_workers(struct pool *p)
{
    sigset_t all, before;
    int rc = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < p->n_threads && rc == 0; i++) {
        rc = pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]);
        p->n_started += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static bool make_workers(struct pool *p)
{
    p->workers = mem_zalloc((size_t)p->n_threads, sizeof *p->workers);
    for (int i = 0; p->workers && i < p->n_threads; i++) {
        struct worker *w = &p->workers[i];
        w->pool = p;
        w->index = i;
        atomic_store(&w->stat_fd, -1);
    }
    return p->workers != NULL;
}

static void set_times(struct pool *p)
{
    uint64_t each = (uint64_t)p->n_threads * LOOK_THREAD_NS;
    p->look_ns = each > LOOK_NS ? each : LOOK_NS;
    p->spin_ns = p->n_threads <= cpu_count() ? SPIN_NS : 0;
    active_threads_init(&p->active, p->n_threads);
    atomic_store(&p->n_active, p->n_threads);
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
    pthread_cond_init(&p->rest_over, NULL);
    p->n_threads = n_threads;
    set_times(p);
    if (!make_workers(p)) {
        pool_close(p);
        return err_set(err, ERR_MEMORY, "out of memory for %d worker threads", n_threads);
    }
    if (n_threads > 1)
        open_stat(&p->workers[0]);
    int rc = start_workers(p);
    if (rc != 0) {
        pool_close(p);
        return err_set(err, ERR_IO, "cannot start %d worker threads: %s", n_threads - 1,
                       strerror(rc));
    }
    *out = p;
    return 0;
}

static void join_workers(struct pool *p)
{
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->closing, true);
    pthread_cond_broadcast(&p->work_ready);
    pthread_cond_broadcast(&p->rest_over);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 1; i <= p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    for (int i = 0; p->workers && i < p->n_threads; i++)
        if (atomic_load(&p->workers[i].stat_fd) >= 0)
            close(atomic_load(&p->workers[i].stat_fd));
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    join_workers(p);
    if (p->bound)
        sched_setaffinity(0, sizeof p->before, p->before);
    pthread_cond_destroy(&p->rest_over);
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

/* ---- processors ------------------------------------------------------------- */

/* The set with only the i-th processor of `all`. */
static void only(const cpu_set_t *all, int i, cpu_set_t *one)
{
    size_t bytes = CPU_SETS * sizeof *all, n = 8 * bytes;
    CPU_ZERO_S(bytes, one);
    for (size_t cpu = 0; cpu < n; cpu++)
        if (CPU_ISSET_S(cpu, bytes, all) && i-- == 0)
            CPU_SET_S(cpu, bytes, one);
}

static int bind_thread(pthread_t thread, const cpu_set_t *set)
{
    return pthread_setaffinity_np(thread, CPU_SETS * sizeof *set, set);
}

static void unbind(struct pool *p)
{
    bind_thread(pthread_self(), p->before);
    for (int i = 1; i < p->n_threads; i++)
        bind_thread(p->workers[i].thread, p->before);
}

int pool_pin(struct pool *p, struct err *err)
{
    cpu_set_t one[CPU_SETS];
    if (sched_getaffinity(0, sizeof p->before, p->before) != 0)
        return err_set(err, ERR_IO, "cannot read which processors there are: %s",
                       strerror(errno));
    int n = CPU_COUNT_S(sizeof p->before, p->before);
    if (p->n_threads > n)
        return err_param(err, ERR_ARGUMENT, "pin",
                         "pin: expected at most as many threads as the %d processors "
                         "that this process may use, found %d",
                         n, p->n_threads);
    for (int i = 0, rc; i < p->n_threads; i++) {
        only(p->before, i, one);
        rc = bind_thread(i ? p->workers[i].thread : pthread_self(), one);
        if (rc == 0)
            continue;
        unbind(p);
        return err_set(err, ERR_IO, "cannot bind thread %d to a processor: %s", i,
                       strerror(rc));
    }
    p->bound = true;
    return 0;
}

/* ---- the active threads ----------------------------------------------------- */

static uint64_t waited_ns(const struct worker *w)
{
    char text[128], *at = text;
    int fd = atomic_load(&w->stat_fd);
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = 0;
    strtoull(at, &at, 10);
    return strtoull(at, NULL, 10);
}

static void publish_active(struct pool *p, int n_active)
{
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->n_active, n_active);
    pthread_cond_broadcast(&p->rest_over);
    pthread_cond_broadcast(&p->work_ready); /* resting workers wait on rest_over */
    pthread_mutex_unlock(&p->mutex);
}

static void look(struct pool *p)
{
    uint64_t now = now_ns(), waited = 0;
    if (p->bound || now - p->active.looked_ns < p->look_ns)
        return;
    for (int i = 0; i < p->n_threads; i++)
        waited += waited_ns(&p->workers[i]);
    active_threads_observe(&p->active, now, waited);
    if (p->active.n_active != atomic_load(&p->n_active))
        publish_active(p, p->active.n_active);
}

/* ---- running ---------------------------------------------------------------- */

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

static bool is_done(struct pool *p, int n_tasks)
{
    return atomic_load(&p->done) == n_tasks;
}

static void wait_until_done(struct pool *p, int n_tasks)
{
    if (is_done(p, n_tasks))
        return;
    uint64_t until = p->spin_ns ? now_ns() + p->spin_ns : 0;
    while (!is_done(p, n_tasks) && now_ns() < until)
        pause_briefly();
    if (is_done(p, n_tasks))
        return;
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->caller_sleeps, true);
    while (!is_done(p, n_tasks))
        pthread_cond_wait(&p->all_done, &p->mutex);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->mutex);
}

void pool_run(struct pool *p, pool_fn *fn, void *arg, int n_tasks)
{
    bool alone = p->n_threads == 1 || n_tasks <= 1;
    if (!alone)
        look(p);
    if (alone || p->active.n_active == 1) {
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
