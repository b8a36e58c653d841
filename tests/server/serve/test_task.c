/* Tasks of a disk that hangs: so many at once, in their order, and never all workers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/task.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORKERS = 4, N = 6 };

static uv_loop_t loop;
static sem_t disk; /* a task of the disk waits for it */
static struct task tasks[N];
static struct task_limit limit;
static int order[N], n_done, n_begun, n_at_once, n_most;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

static int hang(struct task *w) /* worker */
{
    (void)w;
    pthread_mutex_lock(&counting);
    n_begun++;
    n_at_once++;
    n_most = n_at_once > n_most ? n_at_once : n_most;
    pthread_mutex_unlock(&counting);
    sem_wait(&disk);
    pthread_mutex_lock(&counting);
    n_at_once--;
    pthread_mutex_unlock(&counting);
    return 0;
}

static int nothing(struct task *w) /* worker */
{
    (void)w;
    return 0;
}

static void done(struct task *w)
{
    if (w >= tasks && w < tasks + N)
        order[n_done++] = (int)(w - tasks);
}

static int set_up(void **state)
{
    (void)state;
    n_done = n_begun = n_at_once = n_most = 0;
    sem_init(&disk, 0, 0);
    task_limit_init(&limit, 0);
    for (int i = 0; i < N; i++)
        tasks[i] = (struct task){.done = done, .limit = &limit};
    alarm(30); /* who waits for ever has failed */
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    alarm(0);
    sem_destroy(&disk);
    return uv_loop_close(&loop);
}

static void a_disk_that_hangs_leaves_workers(void **state)
{
    (void)state;
    struct task other = {.done = done};
    for (int i = 0; i < N; i++)
        assert_int_equal(task_start(&tasks[i], hang, &loop, NULL), 0);
    assert_int_equal(task_start(&other, nothing, &loop, NULL), 0);
    while (other.active)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(n_done, 0);
    for (int i = 0; i < N; i++) {
        assert_true(tasks[i].active);
        sem_post(&disk);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, N);
    assert_int_equal(n_most, WORKERS - 2);
    assert_int_equal(limit.running, 0);
}

static void tasks_pass_in_their_order(void **state)
{
    (void)state;
    limit.most = 1;
    for (int i = 0; i < N; i++) {
        assert_int_equal(task_start(&tasks[i], hang, &loop, NULL), 0);
        sem_post(&disk);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < N; i++)
        assert_int_equal(order[i], i);
    assert_int_equal(n_most, 1);
}

static void what_is_cancelled_while_it_waits_is_never_begun(void **state)
{
    (void)state;
    limit.most = 1;
    for (int i = 0; i < 3; i++)
        assert_int_equal(task_start(&tasks[i], hang, &loop, NULL), 0);
    task_cancel(&tasks[1]);
    assert_true(tasks[1].active); /* until done has run */
    sem_post(&disk);
    sem_post(&disk);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_begun, 2);
    assert_int_equal(n_done, 3);
    assert_int_equal(tasks[1].rc, -ERR_INTERNAL);
    assert_int_equal(tasks[2].rc, 0);
    assert_int_equal(limit.running, 0);
}

static void a_limit_leaves_two_workers_if_there_are_more(void **state)
{
    (void)state;
    static const struct {
        const char *size;
        int most;
    } cases[] = {{"0", 1}, {"1", 1}, {"2", 1}, {"3", 1}, {"4", 2}, {"8", 6}, {"x", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("UV_THREADPOOL_SIZE", cases[i].size, 1);
        task_limit_init(&limit, 0);
        assert_int_equal(limit.most, cases[i].most);
    }
    unsetenv("UV_THREADPOOL_SIZE");
    task_limit_init(&limit, 0);
    assert_int_equal(limit.most, 2);
}

int main(void)
{
    setenv("UV_THREADPOOL_SIZE", "4", 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_disk_that_hangs_leaves_workers),
        TEST(tasks_pass_in_their_order),
        TEST(what_is_cancelled_while_it_waits_is_never_begun),
        TEST(a_limit_leaves_two_workers_if_there_are_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
