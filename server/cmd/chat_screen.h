/*
 * An answer on standard output, as it comes. On a terminal reasoning is shown dimmed, and
 * control characters of a model, which a terminal would obey, are shown as U+FFFD. In a
 * pipe reasoning is left out and the text is written as it is. Main thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_CHAT_SCREEN_H
#define SERVER_CMD_CHAT_SCREEN_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct chat_screen {
    bool terminal;
    bool dim; /* reasoning stands before the cursor */
};

void chat_screen_open(struct chat_screen *s);

/* Whole characters of content and of reasoning. ERR_IO when they cannot be written. */
int chat_screen_text(struct chat_screen *s, const char *text, size_t len,
                     struct err *err);
int chat_screen_reasoning(struct chat_screen *s, const char *text, size_t len,
                          struct err *err);

/* Ends the answer's line and what is dim. */
int chat_screen_end(struct chat_screen *s, struct err *err);

#endif
