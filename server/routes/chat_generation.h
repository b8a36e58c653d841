/*
 * A generation whose prompt is a conversation: what the three endpoints of chat share
 * between their parser and their writer. Loop thread, but for chat_generation_render.
 *
 * An endpoint's struct begins with a struct chat_generation; its parse ends with
 * chat_generation_begin, its row of generation_codec names chat_generation_render, and
 * its open asks chat_generation_answer how the answer is to be split.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_CHAT_GENERATION_H
#define SERVER_ROUTES_CHAT_GENERATION_H

#include "api/chat_request.h"
#include "api/chat_template.h"
#include "server/routes/generation.h"

struct chat_generation {
    struct generation g;          /* first: conn.priv is both */
    struct chat_request *request; /* the endpoint's; NULL until it is parsed */
    struct chat_prompt rendered;  /* in the request's arena */
    struct prompt prompt;         /* borrows from it */
    struct prompts prompts;       /* that one */
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

/* How an answer is split into parts; o->sink stays the caller's. */
void chat_generation_answer(const struct chat_generation *c, const struct server *server,
                            struct answer_options *o);

/* An id for an answer: prefix and 24 random hexadecimal digits. ERR_INTERNAL. */
enum { CHAT_GENERATION_ID = 48 };
int chat_generation_id(const char *prefix, char out[CHAT_GENERATION_ID], struct err *err);

/* The bytes of an id, for the writers: an api_piece_fn whose arg is a const engine. */
const char *chat_generation_piece(void *engine, int32_t id, size_t *len);

#endif
