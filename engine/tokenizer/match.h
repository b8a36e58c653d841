/*
 * Whether a text begins with what a sequence of tokens says. Pure; any thread.
 *
 * Tokens are shown as a detok shows them: what is not UTF-8 is U+FFFD, a character in the
 * making at the end too. A special token may stand in the text as it is written, or be
 * left out: the begin token that nobody wrote, the end token that nobody was shown.
 */
#ifndef ENGINE_TOKENIZER_MATCH_H
#define ENGINE_TOKENIZER_MATCH_H

#include "engine/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True: the first *at bytes of text are the tokens'. False: they part at byte *at, which
 * is len when the text ends too early. */
bool match_text(const struct vocab *v, const int32_t *ids, size_t n, const char *text,
                size_t len, size_t *at);

#endif
