/*
 * What a template takes and how it writes answers, found by rendering small conversations
 * and looking at what became of their words. A probe that fails is an answer. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_PROBE_H
#define API_CHAT_PROBE_H

#include "api/chat_variables.h"
#include "api/template/template.h"

/* ERR_MEMORY. */
int chat_probe_run(struct chat_traits *out, const struct template *t,
                   const struct chat_tokens *tokens, struct err *err);

#endif
