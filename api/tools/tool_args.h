/*
 * The arguments of a call whose form is not JSON, as they are written one by one: an
 * object in their order, each name once, with its last value, as Python's dict has it.
 * Private to this room; one owner. A zeroed struct is empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_TOOL_ARGS_H
#define API_TOOLS_TOOL_ARGS_H

#include "api/tools/tool_literal.h"

struct tool_arg {
    struct tool_span name, value; /* of the text */
};

struct tool_args {
    struct buf text;      /* owns: names, and JSON values behind them */
    struct tool_arg *all; /* owns, [n] */
    size_t n, cap;
};

void tool_args_free(struct tool_args *a);
void tool_args_begin(struct tool_args *a); /* empties it */

/* A further argument: its value is what is appended to the answered buf until the next
 * call of these. */
struct buf *tool_args_add(struct tool_args *a, const char *name, size_t len);

/* Appends the object; false: out of memory, now or before. */
bool tool_args_write(struct tool_args *a, struct buf *out);

#endif
