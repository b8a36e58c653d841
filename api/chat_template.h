/*
 * The served model's chat template: which one it is, what it takes and drops, and a
 * conversation's way through it to a marked prompt. Constant once open; any thread.
 *
 * Templates differ in what they do with a late system message, `developer`, parts,
 * arguments as objects, and they fail in as many ways; open renders probes and remembers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_TEMPLATE_H
#define API_CHAT_TEMPLATE_H

#include "api/chat.h"
#include "api/chat_prompt.h"
#include "api/chat_variables.h"
#include "api/tools/answer_parser.h"
#include "engine/base/err.h"

struct chat_template;

/* Everything is borrowed until chat_template_open returns; text NULL: none. */
struct chat_template_options {
    struct chat_text source; /* Jinja, or the built-in "chatml" by chat_template_chatml */
    struct chat_text tool_use; /* of a named list: serves requests with tools */
    struct chat_text bos_token, eos_token;
    enum tool_format tool_format; /* TOOL_FORMAT_N: the probe decides */
};

extern const struct chat_text chat_template_chatml;

/* ERR_TEMPLATE with the line: the source is broken; ERR_MEMORY. */
int chat_template_open(struct chat_template **out, const struct chat_template_options *o,
                       struct err *err);
void chat_template_free(struct chat_template *t); /* accepts NULL */

enum tool_format chat_template_tools(const struct chat_template *t);

/* The text that ends an assistant's turn, as in "<|im_end|>\n", from its first byte that
 * is not blank; len 0: not known. It may be plain text: only a first token that is special
 * ends answers. */
struct chat_text chat_template_end(const struct chat_template *t);

/* What the probes found, with or without tools in the request. */
const struct chat_traits *chat_template_traits(const struct chat_template *t, bool tools);

/* ERR_ARGUMENT, param "messages", with the template's text: it refuses the conversation;
 * ERR_TEMPLATE with line and expression: it fails on it; ERR_MEMORY. What the render
 * takes is freed; the prompt is in the arena. now_s: what templates see as the date. */
int chat_template_render(const struct chat_template *t, const struct chat *chat,
                         int64_t now_s, struct arena *arena, struct chat_prompt *out,
                         struct err *err);

#endif
