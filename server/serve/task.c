/* The worker's side and its two ends on the loop thread. */
#include "server/serve/task.h"

#include "engine/base/mem.h"

#include <stdlib.h>

int task_alloc(struct task *w, size_t n, struct err *err)
{
    w->items = mem_zalloc(n, sizeof *w->items);
    w->n = w->items ? n : 0;
    return w->items ? 0 : err_set(err, ERR_MEMORY, "out of memory");
}

void task_free(struct task *w)
{
    for (size_t i = 0; i < w->n; i++)
        ids_free(&w->items[i].ids);
    mem_free(w->items);
    w->items = NULL;
    w->n = 0;
    buf_free(&w->out);
}

int task_encode(struct task *w) /* worker */
{
    int rc = 0;
    for (size_t i = 0; i < w->n && !rc; i++)
        if (w->items[i].text)
            rc = engine_encode(w->e, w->items[i].text, w->items[i].len, w->flags,
                               &w->items[i].ids, &w->err);
    return rc;
}

static void work(uv_work_t *req) /* worker */
{
    struct task *w = req->data;
    w->rc = w->run(w);
}

/* ---- the gate ---------------------------------------------------------------- */

enum { UV_WORKERS = 4 }; /* without UV_THREADPOOL_SIZE */

void task_limit_init(struct task_limit *g)
{
    const char *size = getenv("UV_THREADPOOL_SIZE");
    int n = size ? atoi(size) : UV_WORKERS;
    *g = (struct task_limit){.most = n > 2 ? n - 2 : 1};
    list_init(&g->waiting);
}

static void after(uv_work_t *req, int status);

/* One has left the gate: the next may pass. */
static void let_pass(struct task_limit *g, uv_loop_t *loop)
{
    g->running--;
    struct list *next = list_pop(&g->waiting);
    if (!next)
        return;
    struct task *w = LIST_OF(next, struct task, at);
    w->waiting = false;
    g->running++;
    uv_queue_work(loop, &w->work, work, after); /* it fails without a function only */
}

/* ---- the loop's side --------------------------------------------------------- */

static void after(uv_work_t *req, int status)
{
    struct task *w = req->data;
    w->active = false;
    if (status && !w->rc)
        w->rc = err_set(&w->err, ERR_INTERNAL, "the work was cancelled");
    if (w->gate)
        let_pass(w->gate, req->loop);
    w->done(w);
}

int task_start(struct task *w, task_fn *run, uv_loop_t *loop, struct err *err)
{
    w->work.data = w;
    w->run = run;
    w->rc = 0;
    if (w->gate && w->gate->running == w->gate->most) {
        list_push(&w->gate->waiting, &w->at);
        w->active = w->waiting = true;
        return 0;
    }
    if (uv_queue_work(loop, &w->work, work, after))
        return err_set(err, ERR_INTERNAL, "no worker for the request");
    w->active = true;
    if (w->gate)
        w->gate->running++;
    return 0;
}

static int not_begun(struct task *w)
{
    return err_set(&w->err, ERR_INTERNAL, "the work was cancelled");
}

void task_cancel(struct task *w)
{
    if (w->waiting)
        w->run = not_begun;
    else if (w->active)
        uv_cancel((uv_req_t *)&w->work); /* refused when a worker is at it */
}
