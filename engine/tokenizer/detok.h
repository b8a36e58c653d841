/*
 * Streaming detokenisation of one sequence: token ids in, whole UTF-8 text out, cut at
 * stop strings. Owned and used by one thread. It allocates in detok_init only: the other
 * calls may run inside an engine step.
 *
 * The text is the concatenation of the tokens' bytes, made UTF-8: an incomplete character
 * is held back until it is complete; bytes that can never complete one become U+FFFD at
 * once. A character belongs to the token that completes it. Special tokens give no text.
 *
 * A token is released, with all its text, when no stop string can still match any of it.
 * When a stop string matches, the text is cut before it (behind it with `keep`): tokens
 * that begin at or behind the cut are dropped, the one in which the cut falls is released
 * with the text before it. Of several matches the one that ends first wins, then the
 * longest, then the first listed. With `keep` nothing is held back but incomplete
 * characters.
 *
 * Between pushes at most detok_max_pending() tokens wait. Tokens without text inside a
 * partial match could exceed that; then the partial match is abandoned and all of it is
 * released.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TOKENIZER_DETOK_H
#define ENGINE_TOKENIZER_DETOK_H

#include "engine/base/err.h"
#include "engine/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DETOK_MAX_STOP_BYTES = 1 << 16 };

struct detok_stops { /* borrowed until detok_init returns */
    const char *const *text;
    const size_t *len; /* each 1 .. DETOK_MAX_STOP_BYTES, valid UTF-8 */
    size_t n;          /* <= ENGINE_MAX_STOPS; 0 = none */
    bool keep;         /* leave the matched string in the text */
};

struct detok_token {
    int32_t id;
    uint32_t slot;    /* the caller's, as pushed */
    const char *text; /* borrows the detok until the next push or flush; valid UTF-8 */
    size_t text_len;
    size_t begin, end; /* private: place in the detok's text */
};

struct detok_out {
    const struct detok_token *tokens; /* released now, in order; until the next call */
    size_t n;
    const char *rest; /* flush: text behind the last token, U+FFFD of a broken tail */
    size_t rest_len;
    int stop;         /* index of the stop string that matched, or -1 */
    size_t n_dropped; /* tokens that begin at or behind the cut; they are not released */
    size_t shown;     /* bytes released of the text of a token that is cut; 0: none is */
    size_t stop_end;  /* bytes of the last token's text up to the stop string's end */
};

struct detok_matcher; /* one stop string and its automaton */

struct detok {
    const struct vocab *vocab; /* shared; outlives the detok */
    void *memory;              /* owns: everything below */
    struct detok_matcher *stops;
    size_t n_stops, longest_stop;
    bool keep_stop, done; /* done: a stop string matched, or flushed */
    char *text;           /* [text_cap] whole characters not yet dropped */
    size_t text_len, text_cap;
    char tail[4]; /* an incomplete character */
    size_t tail_len;
    struct detok_token *tokens; /* [token_cap] the first n_out were just released */
    size_t n_tokens, n_out, token_cap;
};

/* ERR_ARGUMENT (param "stop") for stop strings outside these bounds; ERR_MEMORY. A failed
 * or zeroed detok may be freed. Its size is a sum over the stop strings and the longest
 * token. */
int detok_init(struct detok *d, const struct vocab *v, const struct detok_stops *stops,
               struct err *err);
void detok_free(struct detok *d);

/* Most tokens that wait inside d between two calls: the length of a caller's ring. */
size_t detok_max_pending(const struct detok *d);

/* Adds a token; slot is handed back with it. An id without a token gives no text. After a
 * stop matched or a flush nothing is released any more. */
void detok_push(struct detok *d, int32_t id, uint32_t slot, struct detok_out *out);

/* The end of the sequence: releases all that was held back; may itself match a stop
 * string, when that holds U+FFFD. */
void detok_flush(struct detok *d, struct detok_out *out);

/* The end of a sequence that may be continued: releases all that was held back, but an
 * incomplete character stays in d->tail and is not shown. */
void detok_suspend(struct detok *d, struct detok_out *out);

/* Before the first push: the text continues one that ends with these ids. A character
 * that they leave incomplete is completed, or broken, by the tokens to come. */
void detok_resume(struct detok *d, const int32_t *ids, size_t n);

#endif
