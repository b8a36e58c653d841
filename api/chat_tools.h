/*
 * Tools as clients send them -> what templates take and what the parser of answers knows.
 * Everything is copied into the arena. Any thread.
 *
 * A name is [A-Za-z0-9_.:/-]{1,128}; no two tools have the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_TOOLS_H
#define API_CHAT_TOOLS_H

#include "api/body_path.h"
#include "api/chat.h"

enum { CHAT_TOOLS_MOST = 1024, CHAT_TOOLS_NAME_BYTES = 128 };

/* The list of /v1/chat/completions: {"type": "function", "function": {…}} each, which
 * templates get as sent. Fills out->tools and out->specs; an empty list is none.
 * ERR_ARGUMENT, ERR_UNSUPPORTED, ERR_MEMORY. */
int chat_tools_read(struct arena *arena, const struct body_path *at,
                    const struct value *list, struct chat *out, struct err *err);

/* A function, by the object that holds its `name`, `description` and schema. */
struct chat_tool {
    const struct value *object;
    const struct body_path *at; /* of the object */
    const char *schema;         /* the member's name: "parameters", "input_schema" */
};

/* For endpoints of other shapes: open, a put for each function, close. */
struct chat_tools {
    struct arena *arena; /* borrows */
    struct jinja_value list;
    struct tool_spec *specs; /* [most], in the arena */
    size_t n, most;
};

/* ERR_ARGUMENT when `most` is above CHAT_TOOLS_MOST, ERR_MEMORY. */
int chat_tools_open(struct chat_tools *t, struct arena *arena, const struct body_path *at,
                    size_t most, struct err *err);

/* Templates get {"type": "function", "function": {"name", "description", "parameters"}}
 * of what is there. */
int chat_tools_put(struct chat_tools *t, const struct chat_tool *tool, struct err *err);
void chat_tools_close(const struct chat_tools *t, struct chat *out);

/* What a tool_choice of OpenAI's may be, for errors. */
#define CHAT_TOOLS_CHOICES "\"none\", \"auto\", \"required\" or an object"

/* The refusal of a tool_choice that demands a call, of the tool of that name or (NULL) of
 * any: ERR_ARGUMENT when no tool has the name, else ERR_UNSUPPORTED, since answers are
 * not constrained yet. `field` is where it was asked. */
int chat_tools_force(const struct chat *chat, const char *field, const char *name,
                     struct err *err);

#endif
