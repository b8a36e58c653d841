/* The worker's side and its two ends on the loop thread. */
#include "server/encode.h"

#include "engine/base/mem.h"

int encode_alloc(struct encode *w, size_t n, struct err *err)
{
    w->items = mem_zalloc(n, sizeof *w->items);
    w->n = w->items ? n : 0;
    return w->items ? 0 : err_set(err, ERR_MEMORY, "out of memory");
}

void encode_free(struct encode *w)
{
    for (size_t i = 0; i < w->n; i++)
        engine_ids_free(&w->items[i].ids);
    mem_free(w->items);
    w->items = NULL;
    w->n = 0;
    buf_free(&w->decoded);
}

static void work(uv_work_t *req) /* worker */
{
    struct encode *w = req->data;
    if (w->from) {
        w->rc = engine_decode(w->e, w->from, w->n_from, false, &w->decoded, &w->err);
        return;
    }
    for (size_t i = 0; i < w->n && !w->rc; i++)
        if (w->items[i].text)
            w->rc = engine_encode(w->e, w->items[i].text, w->items[i].len, w->flags,
                                  &w->items[i].ids, &w->err);
}

static void after(uv_work_t *req, int status) /* loop */
{
    struct encode *w = req->data;
    w->active = false;
    if (status && !w->rc)
        w->rc = err_set(&w->err, ERR_INTERNAL, "tokenising was cancelled");
    w->done(w);
}

int encode_start(struct encode *w, uv_loop_t *loop, struct err *err)
{
    w->work.data = w;
    if (uv_queue_work(loop, &w->work, work, after))
        return err_set(err, ERR_INTERNAL, "no worker for tokenising");
    w->active = true;
    return 0;
}
