/* The codec between api/responses_* and a generation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_responses.h"

#include "api/responses_response.h"
#include "engine/base/mem.h"
#include "server/routes/chat_generation.h"

struct response {
    struct chat_generation chat; /* first: conn.priv is both */
    struct responses_request request;
    struct responses_response *answer; /* owns */
};

static struct response *response_of(struct generation *g)
{
    return (struct response *)(void *)g;
}

static int parse(struct generation *g, const struct api_limits *limits, const char *body,
                 size_t len, struct err *err)
{
    struct response *r = response_of(g);
    int rc = responses_request_parse(&r->request, limits, body, len, err);
    if (rc == 0)
        chat_generation_begin(&r->chat, &r->request.chat, "input");
    return rc;
}

static int open_answer(struct generation *g, const struct server *server, struct err *err)
{
    struct response *r = response_of(g);
    struct chat_answer_head head;
    int rc = chat_generation_head(&r->chat, server, "resp_", &head, err);
    if (rc == 0)
        rc = responses_response_open(&r->answer, &r->request, &head, err);
    if (rc == 0)
        responses_response_prompt(r->answer, g->jobs[0].ids, g->jobs[0].n_ids);
    return rc;
}

static void put_event(struct generation *g, const struct event *ev, struct buf *out)
{
    responses_response_event(response_of(g)->answer, ev, out);
}

static void close_answer(struct generation *g, struct buf *out)
{
    responses_response_close(response_of(g)->answer, out);
}

static void put_error(struct generation *g, const struct err *err, struct buf *out)
{
    responses_response_error(response_of(g)->answer, err, out);
}

static void count(const struct generation *g, struct metrics *m)
{
    const struct response *r = (const struct response *)(const void *)g;
    const struct chat_answer *a = responses_response_answer(r->answer);
    chat_generation_count(&r->chat, m, a->n_reasoning, chat_answer_failures(a));
}

static const struct generation_codec codec = {.parse = parse,
                                              .render = chat_generation_render,
                                              .open = open_answer,
                                              .event = put_event,
                                              .close = close_answer,
                                              .error = put_error,
                                              .count = count};

static int accept_request(struct conn *c, struct err *err)
{
    return chat_generation_new(c, sizeof(struct response), &codec, err);
}

static void free_response(struct conn *c)
{
    struct response *r = c->priv;
    generation_free(c);
    responses_response_free(r->answer);
    responses_request_free(&r->request);
    mem_free(r);
}

const struct route_ops route_responses = {.steps = generation_steps,
                                          .body = BODY_JSON,
                                          .accept = accept_request,
                                          .read = generation_read,
                                          .event = generation_event,
                                          .refused = generation_refused,
                                          .fail = generation_fail,
                                          .cancel = generation_cancel,
                                          .tick = generation_tick,
                                          .free = free_response};
