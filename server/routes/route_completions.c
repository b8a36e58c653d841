/* The codec between api/completion_* and a generation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_completions.h"

#include "api/completion_response.h"
#include "engine/base/mem.h"
#include "server/routes/answer_head.h"
#include "server/routes/generation.h"

#include <time.h>

struct completion {
    struct generation g; /* first: conn.priv is both */
    struct completion_request request;
    struct completion_response *response; /* owns */
};

static struct completion *completion_of(struct generation *g)
{
    return (struct completion *)(void *)g;
}

static int parse(struct generation *g, const struct api_limits *limits, const char *body,
                 size_t len, struct err *err)
{
    struct completion_request *r = &completion_of(g)->request;
    int rc = completion_request_parse(r, limits, body, len, err);
    g->request = (struct generation_request){.field = "prompt",
                                             .prompts = &r->prompts,
                                             .gen = &r->gen,
                                             .encode = ENCODE_BOS,
                                             .breakpoints = r->breakpoints,
                                             .prompt_cache_key = r->prompt_cache_key,
                                             .cache_salt = r->cache_salt,
                                             .state = r->state,
                                             .n_unknown_fields = r->n_unknown_fields,
                                             .bytes = r->arena.used_bytes,
                                             .has_seed = r->has_seed,
                                             .stream = r->stream};
    return rc;
}

static int open_answer(struct generation *g, const struct server *server, struct err *err)
{
    struct completion *c = completion_of(g);
    const struct engine *engine = bridge_engine(server->model.bridge);
    char id[ANSWER_HEAD_ID];
    const char *asked = c->request.model;
    struct completion_response_head head = {
        .id = id,
        .created = time(NULL),
        .model = asked ? asked : server->model.limits.served_name,
        .piece = answer_head_piece,
        .piece_arg = (void *)(uintptr_t)engine};
    int rc = answer_head_id("cmpl-", id, err);
    if (rc == 0)
        rc = completion_response_open(&c->response, &c->request, &head, err);
    for (size_t i = 0; !rc && i < g->n_jobs; i++)
        completion_response_prompt(c->response, i, g->jobs[i].ids, g->jobs[i].n_ids);
    return rc;
}

static void put_event(struct generation *g, const struct event *ev, struct buf *out)
{
    completion_response_event(completion_of(g)->response, ev, out);
}

static void put_pending(struct generation *g, const struct buf *text, const int32_t *ids,
                        size_t n)
{
    completion_response_pending(completion_of(g)->response, text, ids, n);
}

static void close_answer(struct generation *g, struct buf *out)
{
    struct completion *c = completion_of(g);
    completion_response_states(c->response, &g->states);
    completion_response_close(c->response, out);
}

static void put_error(struct generation *g, const struct err *err, struct buf *out)
{
    completion_response_error(completion_of(g)->response, err, out);
}

static const struct generation_codec codec = {.parse = parse,
                                              .open = open_answer,
                                              .event = put_event,
                                              .pending = put_pending,
                                              .close = close_answer,
                                              .error = put_error};

static int accept_request(struct conn *c, struct err *err)
{
    return generation_new(c, sizeof(struct completion), &codec, err);
}

static void free_completion(struct conn *c)
{
    struct completion *p = c->priv;
    generation_free(c);
    completion_response_free(p->response);
    completion_request_free(&p->request);
    mem_free(p);
}

const struct route_ops route_completions = {.steps = generation_steps,
                                            .body = BODY_JSON,
                                            .accept = accept_request,
                                            .read = generation_read,
                                            .event = generation_event,
                                            .refused = generation_refused,
                                            .fail = generation_fail,
                                            .cancel = generation_cancel,
                                            .tick = generation_tick,
                                            .free = free_completion};
