/*
 * The `system` and `messages` of /v1/messages -> struct chat_message, as a chat's client
 * would send them. Everything is copied into the arena. Any thread.
 *
 * Neighbours of one role are one turn, and a turn is one message: texts are its parts,
 * `tool_use` its calls, `thinking` its reasoning. But each `tool_result` of a user's turn
 * is a message of its own, and stands before the user's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_MESSAGES_INPUT_H
#define API_MESSAGES_INPUT_H

#include "api/body_path.h"
#include "api/chat.h"

/* Begins the `signature` of reasoning that this server wrote; where the text was left
 * out, it follows in base64. */
#define MESSAGES_INPUT_SIGNATURE "ssmd:"

/* Fills out->messages. Blocks of an assistant that no template could show (of another
 * server's own tools, encrypted reasoning) are skipped and added to *n_skipped.
 * ERR_ARGUMENT, ERR_UNSUPPORTED, ERR_MEMORY. */
int messages_input_read(struct arena *arena, const struct body_path *at,
                        const struct value *list, struct chat *out, size_t *n_skipped,
                        struct err *err);

/* A string or a list of text blocks: a system message. */
int messages_input_system(struct arena *arena, const struct body_path *at,
                          const struct value *v, struct chat_message *out,
                          struct err *err);

#endif
