/*
 * The chat template of the served model: where it comes from, what keeps it from working,
 * what time it tells. Opened before the engine, on the loop thread; constant after
 * served_template_loaded, any thread.
 *
 * A file named by `chat_template` must work, or the server does not start. The model
 * folder's own may be absent or broken: then chats are refused with the reason, and
 * everything else is served.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_SERVED_TEMPLATE_H
#define SERVER_SERVE_SERVED_TEMPLATE_H

#include "api/chat_template.h"
#include "engine/engine.h"
#include "server/config/config.h"

struct served_template {
    const char *source;         /* borrows the configuration's path, or a constant */
    struct chat_template *chat; /* owns; NULL: none, `fault` says why */
    struct err fault;
    int32_t end_id; /* ends an assistant's turn; -1: not known, or an end token anyway */
    bool frozen;
    int64_t frozen_s;
};

/* ERR_ARGUMENT for options, ERR_IO, ERR_TEMPLATE_FILE for a file that they name,
 * ERR_MEMORY. */
int served_template_open(struct served_template *t, const struct config *cfg,
                         struct err *err);
void served_template_close(struct served_template *t); /* accepts a zeroed struct */

/* Finds end_id, once the engine is there. */
void served_template_loaded(struct served_template *t, const struct engine *e);

/* 0, or why there is no chat: ERR_NO_TEMPLATE, ERR_TEMPLATE_FILE. */
int served_template_check(const struct served_template *t, struct err *err);

/* Where it comes from, how calls are written and what ends an answer, or why there is no
 * chat; in words. */
void served_template_describe(const struct served_template *t, const struct engine *e,
                              struct buf *out);

/* What a template's strftime_now tells: seconds of Unix time. */
int64_t served_template_now(const struct served_template *t);

#endif
