/* The codec between api/chat_* and a generation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_chat.h"

#include "api/chat_response.h"
#include "engine/base/mem.h"
#include "server/routes/chat_generation.h"

struct chat_completion {
    struct chat_generation chat; /* first: conn.priv is both */
    struct chat_request request;
    struct chat_response *response; /* owns */
};

static struct chat_completion *state_of(struct generation *g)
{
    return (struct chat_completion *)(void *)g;
}

static int parse(struct generation *g, const struct api_limits *limits, const char *body,
                 size_t len, struct err *err)
{
    struct chat_completion *c = state_of(g);
    int rc = chat_request_parse(&c->request, limits, body, len, err);
    if (rc == 0)
        chat_generation_begin(&c->chat, &c->request, "messages");
    return rc;
}

static int open_answer(struct generation *g, const struct server *server, struct err *err)
{
    struct chat_completion *c = state_of(g);
    struct chat_answer_head head;
    int rc = chat_generation_head(&c->chat, server, "chatcmpl-", &head, err);
    if (rc == 0)
        rc = chat_response_open(&c->response, &c->request, &head, err);
    if (rc == 0)
        chat_response_prompt(c->response, g->jobs[0].ids, g->jobs[0].n_ids);
    return rc;
}

static void put_event(struct generation *g, const struct event *ev, struct buf *out)
{
    chat_response_event(state_of(g)->response, ev, out);
}

static void put_pending(struct generation *g, const struct buf *text, const int32_t *ids,
                        size_t n)
{
    chat_response_pending(state_of(g)->response, text, ids, n);
}

static void close_answer(struct generation *g, struct buf *out)
{
    struct chat_completion *c = state_of(g);
    chat_response_states(c->response, &g->states);
    chat_response_close(c->response, out);
}

static void put_error(struct generation *g, const struct err *err, struct buf *out)
{
    chat_response_error(state_of(g)->response, err, out);
}

static void count(const struct generation *g, struct metrics *m)
{
    const struct chat_completion *c = (const struct chat_completion *)(const void *)g;
    chat_generation_count(&c->chat, m, chat_response_reasoning(c->response),
                          chat_response_failures(c->response));
}

static const struct generation_codec codec = {.parse = parse,
                                              .render = chat_generation_render,
                                              .open = open_answer,
                                              .event = put_event,
                                              .pending = put_pending,
                                              .close = close_answer,
                                              .error = put_error,
                                              .count = count};

static int accept_request(struct conn *c, struct err *err)
{
    return chat_generation_new(c, sizeof(struct chat_completion), &codec, err);
}

static void free_chat(struct conn *c)
{
    struct chat_completion *p = c->priv;
    generation_free(c);
    chat_response_free(p->response);
    chat_request_free(&p->request);
    mem_free(p);
}

const struct route_ops route_chat = {.steps = generation_steps,
                                     .body = BODY_JSON,
                                     .accept = accept_request,
                                     .read = generation_read,
                                     .event = generation_event,
                                     .refused = generation_refused,
                                     .fail = generation_fail,
                                     .cancel = generation_cancel,
                                     .tick = generation_tick,
                                     .free = free_chat};
