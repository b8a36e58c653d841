/*
 * The bytes that requests may hold before they are admitted: sockets, heads, bodies, parse
 * trees, token ids, and answers that nobody has read yet. A count, not an allocator:
 * who holds the bytes takes and gives them. Loop thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_BUDGET_H
#define SERVER_HTTP_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t limit, used; /* bytes; used > limit after budget_add only */
};

/* Takes bytes; false, with nothing taken, when they do not fit. */
bool budget_take(struct budget *b, size_t bytes);

/* Counts bytes that are held already, whether they fit or not. */
void budget_add(struct budget *b, size_t bytes);

/* What was counted as *held bytes has become `bytes`, whether they fit or not. */
void budget_recount(struct budget *b, size_t *held, size_t bytes);

/* Gives back what was taken or added. */
void budget_give(struct budget *b, size_t bytes);

#endif
