/*
 * Calls of a message as the text of the answer that made them, for templates that show no
 * calls (LFM2's, Granite 3's): there, calls belong into the content. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_CALLS_H
#define API_CHAT_CALLS_H

#include "api/chat.h"
#include "api/tools/answer_parser.h"

/* Whether the calls of that form can be written. */
bool chat_calls_known(enum tool_format format);

/* `content` with the message's calls behind it; names and arguments have the mark, what
 * stands around them has none, so that the form's special tokens are recognised. UNDEFINED:
 * out of memory. */
struct jinja_value chat_calls_write(struct arena *arena, enum tool_format format,
                                    const struct jinja_string *content,
                                    const struct chat_message *m, uint16_t mark);

#endif
