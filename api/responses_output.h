/*
 * One item of a response's output: reasoning, a message or a call, while its text comes.
 * The functions append its JSON. One owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_RESPONSES_OUTPUT_H
#define API_RESPONSES_OUTPUT_H

#include "api/chat_answer.h"
#include "engine/base/buf.h"

enum responses_output_kind {
    RESPONSES_NONE, /* there is no item */
    RESPONSES_REASONING,
    RESPONSES_MESSAGE,
    RESPONSES_CALL
};

struct responses_output {
    enum responses_output_kind kind;
    const char *hex; /* borrows: the response's part of its items' ids */
    size_t index;    /* in the response */
    struct buf text; /* owns: so far; arguments, of a call */
    struct buf name; /* owns: of a call */
    char call_id[CHAT_ANSWER_ID];
    bool summary;   /* reasoning has its text as a summary, too */
    bool encrypted; /* and as encrypted_content */
};

void responses_output_free(struct responses_output *o); /* accepts a zeroed struct */

/* What its events are about: "response.output_text" and the like; and the type of its one
 * part, NULL of a call. */
const char *responses_output_events(const struct responses_output *o);
const char *responses_output_part(const struct responses_output *o);

/* Whether the text also is a summary. */
bool responses_output_summed(const struct responses_output *o);

void responses_output_put_id(const struct responses_output *o, struct buf *out);

/* A part of that type with the text so far. */
void responses_output_put_part(const struct responses_output *o, const char *type,
                               struct buf *out);

/* The item; before it is done, without its content. */
void responses_output_put(const struct responses_output *o, const char *status, bool done,
                          struct buf *out);

#endif
