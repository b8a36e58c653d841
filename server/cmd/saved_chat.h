/*
 * Conversations by name: the daemon's state object, and beside it a file of the messages,
 * without which no prompt could begin with the state's text. Main thread.
 *
 * The subtle point: a state is saved at the depth that every next turn shares. It is found
 * by rendering the conversation with two different next messages; the tokens both begin
 * with are what any next turn begins with, whatever the template does with an answer that
 * is no longer the last (reasoning, generation prompts).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_SAVED_CHAT_H
#define SERVER_CMD_SAVED_CHAT_H

#include "server/cmd/client_daemon.h"
#include "server/cmd/transcript.h"

struct saved_chat {
    struct client_daemon *daemon; /* borrows */
    const char *dir;              /* borrows; where the files are */
};

/* Saves the state and the messages; *depth is the state's in tokens. ERR_ARGUMENT for a
 * bad name, else the daemon's or the file's error: then no file was written. */
int saved_chat_save(const struct saved_chat *s, const struct transcript *t,
                    const char *name, int64_t *depth, struct err *err);

/* Reads the messages; the state must be there, and is loaded by the next request that
 * names it. On failure *t is as it was. */
int saved_chat_load(const struct saved_chat *s, struct transcript *t, const char *name,
                    struct err *err);

#endif
