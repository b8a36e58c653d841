/*
 * A rendered text with its marks -> the prompt: ranges for the tokenizer, and the places
 * where checkpoints are worth their bytes. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_PROMPT_H
#define API_CHAT_PROMPT_H

#include "api/chat.h"
#include "api/template/template.h"
#include "engine/types.h"

/* A checkpoint at each message of a long conversation would cost more than it saves: of
 * the places where messages begin, and of the ends of marked ones, so many are kept, the
 * first and the last. */
enum { CHAT_PROMPT_MESSAGES = 16, CHAT_PROMPT_BREAKPOINTS = 16 };

/* A prompt, in the request's arena. Offsets are bytes of the text, ascending. */
struct chat_prompt {
    const char *text;
    size_t len;
    const struct text_mark *marks; /* [n_marks] */
    size_t n_marks;
    const size_t
        *turns; /* [n_turns]: where checkpoints are worth their bytes, 33 at most */
    size_t n_turns;
    bool in_reasoning; /* ends inside a reasoning mark */
};

/* Copies what it keeps into the arena. `common`: how much of the text does not depend on
 * the generation prompt; it is a turn, as are the first byte of each message's own text
 * and the end of those that are marked. ERR_MEMORY. */
int chat_prompt_make(struct arena *arena, const struct chat *chat,
                     const struct template_text *text, size_t common,
                     struct chat_prompt *out, struct err *err);

#endif
