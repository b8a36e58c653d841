/*
 * Whether a prompt continues a conversation that a state holds. Pure; any thread.
 *
 * Tokens are compared as a detok shows them: what is not UTF-8 is U+FFFD. What clients
 * were not shown, the prompt may contain or leave out: a special token, as it is written;
 * the unseen end of an answer (base/history.h), whole or up to the stop string; the bytes
 * of a character that an answer did not complete, as U+FFFD. Where the tokenizer has a
 * normal form or lower case, the prompt's characters are also compared in that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TOKENIZER_MATCH_H
#define ENGINE_TOKENIZER_MATCH_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/history.h"
#include "engine/tokenizer/vocab.h"

#include <stddef.h>
#include <stdint.h>

/* 0: the first *at bytes of text are the conversation. ERR_CONFLICT: they part at byte
 * *at, which is len when the text ends too early. ERR_MEMORY. Linear time. */
int match_text(const struct vocab *v, const struct history *h, const char *text,
               size_t len, size_t *at, struct err *err);

/* The same of ids, which leave out the whole tokens of an unseen end, or none. */
int match_ids(const struct history *h, const int32_t *ids, size_t n, size_t *at,
              struct err *err);

/* Appends what clients were not shown of the conversation's end, but for an incomplete
 * character. text->failed: out of memory. */
void match_unseen(const struct vocab *v, const struct history *h, struct buf *text);

#endif
