/* Buffers, then PUT, then GET. Functions of workers are marked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_transfer.h"

#include "api/states.h"
#include "engine/base/mem.h"
#include "engine/objects.h"
#include "server/routes/route_states.h"
#include "server/serve/reply.h"
#include "server/storage/object_writer.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct buffer {
    char *data;        /* owns; [ROUTE_TRANSFER_BUFFER_BYTES] */
    size_t len, taken; /* bytes in it; of these, sent */
};

struct route_transfer {
    struct buffer buffers[2];
    int mine; /* the loop's buffer; the other is the worker's while it is active */
    uint64_t at, bytes;          /* done by the worker; of the object */
    struct engine_upload *in;    /* owns: PUT */
    struct object_writer writer; /* PUT */
    int fd;                      /* owns: GET; -1 */
    int depth;
    bool replaced, failed, has_buffers;
};

/* ---- life ------------------------------------------------------------------- */

static int make(struct conn *c, struct err *err)
{
    struct route_transfer *t = mem_zalloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_MEMORY, "out of memory for a transfer");
    t->fd = -1;
    c->priv = t;
    c->task.limit = &c->server->disk_limit;
    return 0;
}

static bool has_buffers(const struct conn *c)
{
    bool moves = c->ops == &route_transfer_get || c->ops == &route_transfer_put;
    return moves && c->priv && ((struct route_transfer *)c->priv)->has_buffers;
}

static int check_room(const struct conn *c, struct err *err)
{
    const struct list *all = &c->server->conns;
    int n = 0, own = 0;
    for (const struct list *at = all->next; at != all; at = at->next) {
        const struct conn *other = LIST_OF(at, struct conn, at);
        if (!has_buffers(other))
            continue;
        n++;
        own += other->tenant == c->tenant;
    }
    if (n < ROUTE_TRANSFER_MAX && own < ROUTE_TRANSFER_MAX_OF_TENANT)
        return 0;
    return err_set(err, ERR_BUSY, "too many state objects are under way; retry later");
}

static int take_buffers(struct conn *c, struct err *err)
{
    struct route_transfer *t = c->priv;
    int rc = check_room(c, err);
    if (rc == 0)
        rc = conn_charge(c, 2 * ROUTE_TRANSFER_BUFFER_BYTES, err);
    if (rc)
        return rc;
    t->has_buffers = true;
    t->buffers[0].data = mem_alloc(ROUTE_TRANSFER_BUFFER_BYTES);
    t->buffers[1].data = mem_alloc(ROUTE_TRANSFER_BUFFER_BYTES);
    return t->buffers[0].data && t->buffers[1].data
               ? 0
               : err_set(err, ERR_MEMORY, "out of memory for a transfer");
}

static int give_up(struct task *task) /* worker, or loop when there is none */
{
    struct route_transfer *t = conn_of_task(task)->priv;
    object_writer_abandon(&t->writer);
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    return 0;
}

static void given_up(struct task *task)
{
    conn_release(conn_of_task(task));
}

/* What is held on the disk is given up by a task. */
static bool release(struct conn *c)
{
    const struct route_transfer *t = c->priv;
    if (!t->writer.open && t->fd < 0)
        return false;
    c->task.done = given_up;
    if (task_start(&c->task, give_up, c->server->uv, NULL) == 0)
        return true;
    give_up(&c->task);
    return false;
}

static void free_transfer(struct conn *c)
{
    struct route_transfer *t = c->priv;
    engine_upload_close(t->in);
    mem_free(t->buffers[0].data);
    mem_free(t->buffers[1].data);
    mem_free(t);
}

/* ---- PUT: the body into a file ---------------------------------------------- */

static int write_all(int fd, const struct buffer *l, uint64_t at, struct err *err)
{
    for (size_t done = 0; done < l->len;) {
        ssize_t n = pwrite(fd, l->data + done, l->len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return object_store_io_error(err, "writing");
        done += (size_t)n;
    }
    return 0;
}

/* Checks a buffer's bytes and writes them; the object's size is known from its head on. */
static int write_buffer(struct conn *c, struct buffer *l, struct err *err) /* worker */
{
    struct route_transfer *t = c->priv;
    char name[OBJECT_STORE_NAME_BYTES];
    int rc = engine_upload_put(t->in, l->data, l->len, err);
    const struct engine_object *o = rc ? NULL : engine_upload_object(t->in);
    if (o && !t->writer.open) {
        route_states_name(c, name);
        t->bytes = o->bytes;
        t->depth = o->depth;
        rc = object_writer_begin(c->server->storage, &t->writer, c->tenant->name, name,
                                 o->bytes, err);
    }
    if (o && rc == 0)
        rc = write_all(t->writer.fd, l, t->at, err);
    t->at += l->len;
    l->len = 0;
    return rc;
}

static int write_other(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct route_transfer *t = c->priv;
    return write_buffer(c, &t->buffers[!t->mine], &task->err);
}

static void wrote(struct task *task);

/* The full buffer becomes the worker's. */
static int hand_over(struct conn *c, struct err *err)
{
    struct route_transfer *t = c->priv;
    t->mine ^= 1;
    c->task.done = wrote;
    return task_start(&c->task, write_other, c->server->uv, err);
}

static bool full(const struct route_transfer *t)
{
    return t->buffers[t->mine].len == ROUTE_TRANSFER_BUFFER_BYTES;
}

static void wrote(struct task *task)
{
    struct conn *c = conn_of_task(task);
    metrics_disk(&c->server->metrics, DISK_WRITE, task->rc);
    if (!c->call || c->replied) {
        conn_release(c);
        return;
    }
    if (c->whole) {
        conn_advance(c); /* step_finish sees what went wrong */
        return;
    }
    struct err err = task->err;
    int rc = task->rc;
    if (rc == 0 && full(c->priv))
        rc = hand_over(c, &err);
    if (rc)
        conn_fail(c, &err);
    http_wake(c->call);
}

static int accept_object(struct conn *c, struct err *err)
{
    int rc = make(c, err);
    if (rc == 0)
        rc = check_room(c, err);
    struct route_transfer *t = c->priv;
    return rc ? rc
              : engine_upload_open(&t->in, bridge_engine(c->server->model.bridge),
                                   c->tenant->name, err);
}

static ssize_t take(struct conn *c, const char *data, size_t len)
{
    struct route_transfer *t = c->priv;
    struct err err;
    size_t taken = 0;
    if (!t->has_buffers && take_buffers(c, &err)) {
        conn_fail(c, &err);
        return (ssize_t)len;
    }
    while (taken < len && !(full(t) && c->task.active)) {
        if (full(t) && hand_over(c, &err))
            return -1;
        struct buffer *l = &t->buffers[t->mine];
        size_t n = ROUTE_TRANSFER_BUFFER_BYTES - l->len;
        n = n < len - taken ? n : len - taken;
        memcpy(l->data + l->len, data + taken, n);
        l->len += n;
        taken += n;
    }
    return (ssize_t)taken;
}

static int step_settle(struct conn *c, struct err *err)
{
    (void)err;
    return c->task.active ? CONN_WAIT : CONN_NEXT;
}

static int finish_put(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct route_transfer *t = c->priv;
    int rc = write_buffer(c, &t->buffers[t->mine], &task->err);
    if (rc == 0)
        rc = engine_upload_end(t->in, &task->err);
    return rc ? rc : object_writer_commit(&t->writer, &t->replaced, &task->err);
}

static int step_finish(struct conn *c, struct err *err)
{
    int rc = conn_task_failed(c, err);
    return rc ? rc : conn_start_task(c, &c->server->disk_limit, finish_put, err);
}

static int step_stored(struct conn *c, struct err *err)
{
    const struct route_transfer *t = c->priv;
    char name[OBJECT_STORE_NAME_BYTES];
    int rc = conn_task_failed(c, err);
    metrics_disk(&c->server->metrics, DISK_WRITE, rc);
    if (rc)
        return rc;
    route_states_name(c, name);
    struct http_reply r = {.status = t->replaced ? 204 : 201};
    struct states_object o = {name, t->bytes, t->depth, time(NULL)};
    if (!t->replaced) {
        http_field(&r, "Content-Type", "application/json");
        states_put(&o, &r.body);
    }
    reply_send(c, &r);
    return CONN_DONE;
}

/* ---- GET: a file as the answer ---------------------------------------------- */

/* Fills the worker's buffer with what comes next. */
static int read_other(struct task *task) /* worker */
{
    struct route_transfer *t = conn_of_task(task)->priv;
    struct buffer *l = &t->buffers[!t->mine];
    uint64_t left = t->bytes - t->at;
    size_t want =
        left < ROUTE_TRANSFER_BUFFER_BYTES ? (size_t)left : ROUTE_TRANSFER_BUFFER_BYTES;
    l->len = l->taken = 0;
    while (l->len < want) {
        ssize_t n = pread(t->fd, l->data + l->len, want - l->len, (off_t)t->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(&task->err, ERR_IO, "state object: %s",
                           n ? strerror(errno) : "the file has become shorter");
        l->len += (size_t)n;
        t->at += (uint64_t)n;
    }
    return 0;
}

static int open_object(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct route_transfer *t = c->priv;
    char name[OBJECT_STORE_NAME_BYTES];
    route_states_name(c, name);
    t->fd = object_store_read(c->server->storage, c->tenant->name, name, &t->bytes,
                              &task->err);
    return t->fd < 0 ? t->fd : read_other(task);
}

static void was_read(struct task *task)
{
    struct conn *c = conn_of_task(task);
    struct route_transfer *t = c->priv;
    metrics_disk(&c->server->metrics, DISK_READ, task->rc);
    t->failed = t->failed || task->rc;
    if (c->call)
        http_wake(c->call);
    else
        conn_release(c);
}

static ssize_t read_object(struct conn *c, char *to, size_t max)
{
    struct route_transfer *t = c->priv;
    struct buffer *l = &t->buffers[t->mine];
    if (l->taken == l->len) {
        if (t->failed)
            return -2;
        if (c->task.active)
            return 0;
        t->mine ^= 1;
        l = &t->buffers[t->mine];
        c->task.done = was_read;
        if (t->at < t->bytes && task_start(&c->task, read_other, c->server->uv, NULL))
            return -2;
    }
    size_t n = l->len - l->taken;
    if (n == 0)
        return -1;
    n = n < max ? n : max;
    memcpy(to, l->data + l->taken, n);
    l->taken += n;
    c->answer_bytes += n;
    return (ssize_t)n;
}

static int step_open(struct conn *c, struct err *err)
{
    int rc = make(c, err);
    if (rc == 0)
        rc = take_buffers(c, err);
    return rc ? rc : conn_start_task(c, &c->server->disk_limit, open_object, err);
}

static int step_send(struct conn *c, struct err *err)
{
    int rc = conn_task_failed(c, err);
    metrics_disk(&c->server->metrics, DISK_READ, rc);
    if (rc)
        return rc;
    const struct route_transfer *t = c->priv;
    struct http_reply r = {
        .status = 200, .stream = true, .sized = true, .stream_bytes = t->bytes};
    http_field(&r, "Content-Type", "application/octet-stream");
    http_field(&r, "Cache-Control", "no-store");
    reply_send(c, &r);
    return CONN_DONE;
}

const struct route_ops route_transfer_get = {
    .steps = (conn_step_fn *const[]){step_open, step_send, NULL},
    .check = route_states_check,
    .read = read_object,
    .release = release,
    .free = free_transfer};
const struct route_ops route_transfer_put = {
    .steps = (conn_step_fn *const[]){step_settle, step_finish, step_stored, NULL},
    .body = BODY_OBJECT,
    .check = route_states_check,
    .accept = accept_object,
    .take = take,
    .release = release,
    .free = free_transfer};
