/*
 * A conversation as the variables of a template, in the form that the template takes.
 * Any thread.
 *
 * Every byte of a message gets the mark of that message (jinja_value.h), also where
 * several become one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_VARIABLES_H
#define API_CHAT_VARIABLES_H

#include "api/chat.h"
#include "api/tools/answer_parser.h"
#include "engine/base/err.h"

enum { CHAT_ROLES = CHAT_TOOL + 1, CHAT_END_BYTES = 96 };

/* What a template takes and how it writes answers: chat_probe.h finds out. */
struct chat_traits {
    bool parts[CHAT_ROLES];    /* shows all parts of a list, by the message's role */
    bool one_part[CHAT_ROLES]; /* takes no text, but a list of one part */
    bool developer;            /* knows the role, of the first message */
    bool late_developer;       /* and of others */
    bool late_system;          /* shows a system message that is not the first */
    bool objects;              /* takes arguments of calls as objects */
    bool calls, tools;         /* shows calls of messages; the tools */
    const char *reasoning;     /* the member of messages it reads; constant */
    enum tool_format format;
    char end[CHAT_END_BYTES]; /* [end_len]: the text that ends an assistant's turn, from
                               * its first byte that is not blank */
    size_t end_len;
};

struct chat_tokens {
    struct chat_text bos, eos; /* NULL: the variable is not defined */
};

/* A dict, borrowing from the chat; but for `add_generation_prompt`. ERR_MEMORY. */
int chat_variables_make(struct arena *arena, const struct chat *chat,
                        const struct chat_traits *traits,
                        const struct chat_tokens *tokens, struct jinja_value *out,
                        struct err *err);

#endif
