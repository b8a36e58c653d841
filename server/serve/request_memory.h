/*
 * How much memory requests may take before they are admitted, and what the engine's plan
 * must leave free for that. Sized once, at start, on the main thread.
 *
 * request_bytes is what the budget (server/http/budget.h) counts against. A part of it is
 * kept for the tree of the one large body that is being parsed at a time. Tokenising a
 * text takes more than a budget of that size could hold, so it comes on top: also one
 * large text at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_REQUEST_MEMORY_H
#define SERVER_SERVE_REQUEST_MEMORY_H

#include "server/config/config.h"

struct request_memory {
    size_t limit_bytes; /* request_bytes in force */
    size_t tree_bytes;  /* of these, not in the budget */
    size_t work_bytes;  /* beside these */
};

/* An eighth of the process's limit, but 64 to 512 MiB. */
size_t request_memory_default(size_t process_bytes);

/* ERR_ARGUMENT, naming request_bytes, when it holds no body of max_body_bytes. */
int request_memory_plan(struct request_memory *m, const struct config *cfg,
                        struct err *err);

/* What the engine must leave free. */
size_t request_memory_reserved(const struct request_memory *m);

#endif
