/* The one served model, as a list and by its id.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_models.h"

#include "api/models.h"
#include "server/serve/reply.h"

static int step_list(struct conn *c, struct err *err)
{
    const struct served_model *model = &c->server->model;
    struct buf out = {0};
    (void)err;
    models_list(&model->limits, model->created, &out);
    reply_json(c, &out);
    return CONN_DONE;
}

static int step_one(struct conn *c, struct err *err)
{
    const struct served_model *model = &c->server->model;
    struct buf out = {0};
    int rc = models_one(&model->limits, model->created, c->route.arg, c->route.arg_len,
                        &out, err);
    if (rc) {
        buf_free(&out);
        return rc;
    }
    reply_json(c, &out);
    return CONN_DONE;
}

const struct route_ops route_models_list = {.steps =
                                                (conn_step_fn *const[]){step_list, NULL}};
const struct route_ops route_models_one = {.steps =
                                               (conn_step_fn *const[]){step_one, NULL}};
