/* The codec between api/messages_* and a generation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/route_messages.h"

#include "api/messages_response.h"
#include "engine/base/mem.h"
#include "server/routes/chat_generation.h"

struct message {
    struct chat_generation chat; /* first: conn.priv is both */
    struct messages_request request;
    struct messages_response *answer; /* owns */
};

static struct message *message_of(struct generation *g)
{
    return (struct message *)(void *)g;
}

static int parse(struct generation *g, const struct api_limits *limits, const char *body,
                 size_t len, struct err *err)
{
    struct message *m = message_of(g);
    int rc = messages_request_parse(&m->request, limits, body, len, err);
    if (rc == 0)
        chat_generation_begin(&m->chat, &m->request.chat, "messages");
    return rc;
}

static int open_answer(struct generation *g, const struct server *server, struct err *err)
{
    struct message *m = message_of(g);
    struct chat_answer_head head;
    int rc = chat_generation_head(&m->chat, server, "msg_", &head, err);
    if (rc == 0)
        rc = messages_response_open(&m->answer, &m->request, &head, err);
    if (rc == 0)
        messages_response_prompt(m->answer, g->jobs[0].ids, g->jobs[0].n_ids);
    return rc;
}

static void put_event(struct generation *g, const struct event *ev, struct buf *out)
{
    messages_response_event(message_of(g)->answer, ev, out);
}

static void close_answer(struct generation *g, struct buf *out)
{
    messages_response_close(message_of(g)->answer, out);
}

static void put_error(struct generation *g, const struct err *err, struct buf *out)
{
    messages_response_error(message_of(g)->answer, err, out);
}

static void count(const struct generation *g, struct metrics *metrics)
{
    const struct message *m = (const struct message *)(const void *)g;
    const struct chat_answer *a = messages_response_answer(m->answer);
    chat_generation_count(&m->chat, metrics, a->n_reasoning, chat_answer_failures(a));
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
    return chat_generation_new(c, sizeof(struct message), &codec, err);
}

static void free_message(struct conn *c)
{
    struct message *m = c->priv;
    generation_free(c);
    messages_response_free(m->answer);
    messages_request_free(&m->request);
    mem_free(m);
}

const struct route_ops route_messages = {.steps = generation_steps,
                                         .body = BODY_JSON,
                                         .errors = PROBLEM_ANTHROPIC,
                                         .accept = accept_request,
                                         .read = generation_read,
                                         .event = generation_event,
                                         .refused = generation_refused,
                                         .fail = generation_fail,
                                         .cancel = generation_cancel,
                                         .tick = generation_tick,
                                         .free = free_message};
