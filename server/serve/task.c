/* The worker's side, the limit, and a task's two ends on the loop thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/task.h"

#include <stdlib.h>

void task_free(struct task *task)
{
    buf_free(&task->out);
}

static void work(uv_work_t *req) /* worker */
{
    struct task *task = req->data;
    task->rc = task->run(task);
}

/* ---- the limit --------------------------------------------------------------- */

enum { UV_WORKERS = 4 }; /* without UV_THREADPOOL_SIZE */

void task_limit_init(struct task_limit *limit, int most)
{
    const char *size = getenv("UV_THREADPOOL_SIZE");
    int n = size ? atoi(size) : UV_WORKERS;
    *limit = (struct task_limit){.most = most ? most : n > 2 ? n - 2 : 1};
    list_init(&limit->waiting);
}

static void after(uv_work_t *req, int status);

/* A task has ended: the next one may start. */
static void start_next(struct task_limit *limit, uv_loop_t *loop)
{
    limit->running--;
    struct list *next = list_pop(&limit->waiting);
    if (!next)
        return;
    struct task *task = LIST_OF(next, struct task, at);
    task->waiting = false;
    limit->running++;
    uv_queue_work(loop, &task->work, work, after); /* fails without a function only */
}

/* ---- the loop's side --------------------------------------------------------- */

static int cancelled(struct task *task)
{
    return err_set(&task->err, ERR_INTERNAL, "the work was cancelled");
}

static void after(uv_work_t *req, int status)
{
    struct task *task = req->data;
    task->active = false;
    if (status && !task->rc)
        task->rc = cancelled(task);
    if (task->limit)
        start_next(task->limit, req->loop);
    task->done(task);
}

int task_start(struct task *task, task_fn *run, uv_loop_t *loop, struct err *err)
{
    task->work.data = task;
    task->run = run;
    task->rc = 0;
    if (task->limit && task->limit->running == task->limit->most) {
        list_push(&task->limit->waiting, &task->at);
        task->active = task->waiting = true;
        return 0;
    }
    if (uv_queue_work(loop, &task->work, work, after))
        return err_set(err, ERR_INTERNAL, "no worker for the request");
    task->active = true;
    if (task->limit)
        task->limit->running++;
    return 0;
}

void task_cancel(struct task *task)
{
    if (task->waiting)
        task->run = cancelled;
    else if (task->active)
        uv_cancel((uv_req_t *)&task->work); /* refused when a worker is at it */
}
