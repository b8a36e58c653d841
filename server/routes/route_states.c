/* The list of a tenant's objects and the removal of one: both run on a worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_states.h"

#include "api/states.h"
#include "engine/base/mem.h"
#include "engine/objects.h"
#include "server/serve/reply.h"

#include <string.h>
#include <unistd.h>

void route_states_name(const struct conn *c, char name[OBJECT_STORE_NAME_BYTES])
{
    memcpy(name, c->route.arg, c->route.arg_len);
    name[c->route.arg_len] = '\0';
}

int route_states_check(const struct conn *c, struct err *err)
{
    if (!c->server->storage)
        return err_set(err, ERR_NOT_FOUND, "this server keeps no states");
    return c->route.arg ? states_check_name("", c->route.arg, c->route.arg_len, err) : 0;
}

/* ---- the list --------------------------------------------------------------- */

/* The depth of an object that can be gone on from here, else 0. */
static int depth_of(struct conn *c, const char *name)
{
    struct engine_object o = {0};
    int fd = object_store_read(c->server->storage, c->tenant->name, name, NULL, NULL);
    if (fd < 0)
        return 0;
    int rc = engine_object_peek(c->task.e, fd, c->tenant->name, &o, NULL);
    close(fd);
    return rc ? 0 : o.depth;
}

static int list_objects(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    struct object_store_entry *list = NULL;
    size_t n = 0;
    int rc =
        object_store_list(c->server->storage, c->tenant->name, &list, &n, &task->err);
    states_list_begin(&task->out);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct states_object o = {list[i].name, list[i].bytes, depth_of(c, list[i].name),
                                  list[i].created};
        if (i)
            buf_putc(&task->out, ',');
        states_put(&o, &task->out);
    }
    states_list_end(&task->out);
    mem_free(list);
    return rc;
}

static int step_list(struct conn *c, struct err *err)
{
    return conn_start_task(c, &c->server->disk_limit, list_objects, err);
}

static int step_listed(struct conn *c, struct err *err)
{
    int rc = conn_task_failed(c, err);
    metrics_disk(&c->server->metrics, DISK_LIST, rc);
    if (rc)
        return rc;
    reply_json(c, &c->task.out);
    return CONN_DONE;
}

/* ---- DELETE ----------------------------------------------------------------- */

static int remove_object(struct task *task) /* worker */
{
    struct conn *c = conn_of_task(task);
    char name[OBJECT_STORE_NAME_BYTES];
    route_states_name(c, name);
    return object_store_remove(c->server->storage, c->tenant->name, name, &task->err);
}

static int step_remove(struct conn *c, struct err *err)
{
    return conn_start_task(c, &c->server->disk_limit, remove_object, err);
}

static int step_removed(struct conn *c, struct err *err)
{
    int rc = conn_task_failed(c, err);
    metrics_disk(&c->server->metrics, DISK_DELETE, rc);
    if (rc)
        return rc;
    struct http_reply r = {.status = 204};
    reply_send(c, &r);
    return CONN_DONE;
}

const struct route_ops route_states_list = {
    .steps = (conn_step_fn *const[]){step_list, step_listed, NULL},
    .check = route_states_check};
const struct route_ops route_states_delete = {
    .steps = (conn_step_fn *const[]){step_remove, step_removed, NULL},
    .check = route_states_check};
