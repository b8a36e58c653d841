/*
 * Messages as clients send them -> struct chat_message: the list of /v1/chat/completions
 * whole, and the pieces that other endpoints build theirs of. Everything is copied into
 * the arena. Any thread.
 *
 * Content is text: parts of another kind are refused by their place. Members that are
 * not named here (audio, annotations, … of an answer that is sent back) are ignored where
 * they are null, and where they hold nothing that a template could show.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_MESSAGES_H
#define API_CHAT_MESSAGES_H

#include "api/body_path.h"
#include "api/chat.h"

/* Fills out->messages. ERR_ARGUMENT, ERR_UNSUPPORTED, ERR_MEMORY. */
int chat_messages_read(struct arena *arena, const struct body_path *at,
                       const struct value *list, struct chat *out, struct err *err);

/* Content: null, absent, a string or a list of text parts. Fills parts, n_parts and
 * is_list; a mark of a part sets breakpoint. */
int chat_messages_content(struct arena *arena, const struct body_path *at,
                          const struct value *v, struct chat_message *m, struct err *err);

/* One part of a list: {"type": "text" | "input_text" | "output_text" | "refusal", …}.
 * Its `cache_control` sets *breakpoint, which else stays as it is. */
int chat_messages_part(struct arena *arena, const struct body_path *at,
                       const struct value *part, struct chat_text *out, bool *breakpoint,
                       struct err *err);

/* The `cache_control` of a message or part: an object marks, null and absent do not. */
int chat_messages_mark(const struct body_path *at, const struct value *object,
                       bool *breakpoint, struct err *err);

/* Arguments of a call: a string as it is, an object as JSON, null and absent as "". */
int chat_messages_arguments(struct arena *arena, const struct body_path *at,
                            const struct value *v, struct chat_text *out,
                            struct err *err);

/* The first tool result whose id no call before it has; n when there is none. A call
 * without an id may be the one of any result. ERR_MEMORY. */
int chat_messages_stray(const struct chat_message *messages, size_t n, size_t *index,
                        struct err *err);

#endif
