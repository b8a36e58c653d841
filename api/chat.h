/*
 * A conversation as every endpoint of chat understands it: plain data between their
 * parsers (chat_request.h, responses_request.h, messages_request.h) and the template
 * (chat_template.h). Everything borrows from the request's arena.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_H
#define API_CHAT_H

#include "api/template/jinja_value.h"
#include "api/tools/tool_spec.h"

struct chat_text {
    const char *text; /* NULL: absent */
    size_t len;
};

/* A function that an assistant's turn called. */
struct chat_call {
    struct chat_text id, name;
    struct chat_text arguments; /* as sent: JSON, or what was taken for it */
};

enum chat_role { CHAT_SYSTEM, CHAT_DEVELOPER, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };

struct chat_message {
    enum chat_role role;
    const struct chat_text *parts; /* [n_parts]: the content; none: null or absent */
    size_t n_parts;
    bool is_list; /* content was a list of parts, not a text */
    struct chat_text reasoning;
    struct chat_text name;
    struct chat_text tool_call_id;
    const struct chat_call *calls; /* [n_calls] */
    size_t n_calls;
    bool breakpoint; /* `cache_control`: a checkpoint is kept at its end */
};

enum chat_tool_choice { CHAT_TOOLS_AUTO, CHAT_TOOLS_NONE };

struct chat {
    const struct chat_message *messages; /* [n_messages], at least 1 */
    size_t n_messages;
    struct jinja_value tools;      /* a list as templates take it: {"type": "function",
                               * "function": {…}}; NONE: no tools */
    const struct tool_spec *specs; /* [n_specs]: the same for the answer's parser */
    size_t n_specs;
    enum chat_tool_choice tool_choice;
    bool parallel_tool_calls;
    struct jinja_value kwargs; /* a dict of more variables, or NONE */
    bool add_generation_prompt;
};

/* The mark of tools, variables and whatever is no message's (jinja_value.h). */
enum { CHAT_MARK_OTHER = JINJA_MARK_OTHER };

#endif
