/*
 * What the stand-in engine answers to which prompt, from a file: a list of
 *
 *     {"when": "text of the prompt", "say": "text"}
 *     {"when": "text of the prompt", "say": ["text", {"special": "<|call|>"}, "text"]}
 *
 * Of the entries whose `when` is in the prompt the one whose last occurrence ends last
 * holds, so that the newest message decides in a conversation; of equals the later one.
 * An entry without `when` is for all other prompts. An answer is a token a byte, its end
 * token behind it. Special pieces are tokens whose ids follow the end token's, in the
 * order in which the file first has them. Constant once open; any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FAKE_SCRIPT_H
#define TESTS_FAKE_SCRIPT_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/ids.h"

struct script_special {
    char *text; /* owns */
    size_t len;
};

struct script_answer {
    struct buf when, text; /* own; text: without special pieces */
    struct ids ids;        /* owns; the last is the end token */
    struct ids at;         /* owns: where in the text a token ends */
};

struct script {
    int32_t end;                   /* the end token; special ones follow */
    struct script_answer *answers; /* owns, [n_answers] */
    size_t n_answers;
    struct script_special *specials; /* owns, [n_specials] */
    size_t n_specials;
};

/* ERR_FORMAT names the entry. s must be closed then, too. */
int script_open(struct script *s, const char *path, int32_t end, struct err *err);
void script_close(struct script *s); /* accepts a zeroed one */

/* NULL: no entry holds. */
const struct script_answer *script_find(const struct script *s, const int32_t *prompt,
                                        size_t n);

/* The text that token i of an answer releases: whole characters, so that all but the last
 * token of one release none. */
const char *script_text(const struct script_answer *a, size_t i, size_t *len);

#endif
