/* A conversation as one line, for tests of parsers: a message is
 * role#id{reasoning}[part|part]name(id,arguments), with [[ ]] where its content is a list and
 * ! where it has a breakpoint. Roles are S, D, U, A and T.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SHOWN_MESSAGES_H
#define TESTS_LIB_SHOWN_MESSAGES_H

#include "api/chat.h"
#include "engine/base/buf.h"

/* Appends each message and a blank. */
void shown_messages_put(struct buf *out, const struct chat *chat);

#endif
