/*
 * A generation whose prompt is a conversation: what the three endpoints of chat share
 * between their parser and their writer. Loop thread, but for chat_generation_render.
 *
 * An endpoint's struct begins with a struct chat_generation; its parse ends with
 * chat_generation_begin, its row of generation_codec names chat_generation_render, and
 * its open takes from chat_generation_head what its writer is opened with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_CHAT_GENERATION_H
#define SERVER_ROUTES_CHAT_GENERATION_H

#include "api/chat_answer.h"
#include "api/chat_request.h"
#include "api/chat_template.h"
#include "server/routes/answer_head.h"
#include "server/routes/generation.h"

struct chat_generation {
    struct generation g;          /* first: conn.priv is both */
    struct chat_request *request; /* the endpoint's; NULL until it is parsed */
    struct chat_prompt rendered;  /* in the request's arena */
    struct prompt prompt;         /* borrows from it */
    struct prompts prompts;       /* that one */
    char id[ANSWER_HEAD_ID];      /* of the answer */
    enum tool_format format;      /* in which calls are looked for */
};

/* As generation_new; also refuses while the model has no chat template: ERR_NO_TEMPLATE,
 * ERR_TEMPLATE_FILE. */
int chat_generation_new(struct conn *c, size_t bytes,
                        const struct generation_codec *codec, struct err *err);

/* The end of an endpoint's parse: `request` is parsed, and the generation borrows it.
 * field: the conversation's, "messages" or "input". Any thread. */
void chat_generation_begin(struct chat_generation *c, struct chat_request *request,
                           const char *field);

/* A member of generation_codec. Worker. */
int chat_generation_render(struct generation *g, const struct server *server,
                           struct err *err);

/* For an endpoint's open: what its writer is opened with, for an id that begins with
 * `prefix`. `head` borrows the id from c. ERR_INTERNAL. */
int chat_generation_head(struct chat_generation *c, const struct server *server,
                         const char *prefix, struct chat_answer_head *head,
                         struct err *err);

/* For an endpoint's count: tokens of reasoning, and calls that were broken or cut. */
void chat_generation_count(const struct chat_generation *c, struct metrics *m,
                           size_t reasoning, size_t failures);

#endif
