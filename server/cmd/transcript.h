/*
 * The messages of a conversation, as JSON text that requests and files take as it is: the
 * instructions (a system message), then what users and the assistant said in turns. One
 * owner; a failed growth shows at transcript_put.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_TRANSCRIPT_H
#define SERVER_CMD_TRANSCRIPT_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* A zeroed struct is a conversation without messages. */
struct transcript {
    struct buf system; /* owns; the message, or empty */
    struct buf turns;  /* owns; messages, each with a comma before it */
    size_t n_turns;
    size_t last; /* where the last of them begins */
};

void transcript_free(struct transcript *t); /* frees and zeroes */

/* Replaces the instructions; len 0 takes them away. */
void transcript_instruct(struct transcript *t, const char *text, size_t len);

void transcript_add(struct transcript *t, const char *role, const char *text, size_t len);

/* Takes the last message back; once after a transcript_add. */
void transcript_take_back(struct transcript *t);

/* All messages but the instructions are gone. */
void transcript_reset(struct transcript *t);

/* Appends the array of all messages, and of one by a user behind them when `more` is not
 * NULL. */
void transcript_put(const struct transcript *t, const char *more, struct buf *out);

/* Writes {"messages": [...]} to a new file that takes the path's place. ERR_IO. */
int transcript_write(const struct transcript *t, const char *path, struct err *err);

/* Reads such a file into *t, in the place of what was there. ERR_IO, ERR_FORMAT: *t is as
 * it was. */
int transcript_read(struct transcript *t, const char *path, struct err *err);

#endif
