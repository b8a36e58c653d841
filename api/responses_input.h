/*
 * The `input` of /v1/responses -> messages of a conversation. Everything is copied into
 * the arena. Any thread.
 *
 * What an assistant wrote and what stands side by side is one message, as a chat's client
 * would send it: the reasoning, the texts, the calls. An item whose type is not known is
 * skipped; one that refers to something stored is refused, for nothing is stored.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_RESPONSES_INPUT_H
#define API_RESPONSES_INPUT_H

#include "api/body_path.h"
#include "api/chat.h"

/* A text, or a list of items. Fills out->messages, which may stay empty, and adds what was
 * skipped to *n_skipped. ERR_ARGUMENT, ERR_UNSUPPORTED, ERR_MEMORY. */
int responses_input_read(struct arena *arena, const struct body_path *at,
                         const struct value *input, struct chat *out, size_t *n_skipped,
                         struct err *err);

#endif
