/*
 * What a response repeats of its request: its settings as they hold, which is less than
 * what was asked for where a field has no effect here. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_RESPONSES_SETTINGS_H
#define API_RESPONSES_SETTINGS_H

#include "api/chat_request.h"

/* Borrowed; NULL: not given. */
struct responses_settings {
    struct chat_text instructions;
    const char *tools, *metadata; /* JSON */
    const char *summary;          /* of reasoning, if one is asked for */
    const char *verbosity;
    const char *safety_identifier;
    int max_output_tokens; /* -1: not given */
};

/* The members of an object, without its braces, in the request's arena; NULL: out of
 * memory. */
const char *responses_settings_json(const struct responses_settings *s,
                                    struct chat_request *req,
                                    const struct gen_params *gen);

#endif
