/* The bytes of each token of a vocab: its text after the decoder's steps.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_TOKEN_BYTES_H
#define ENGINE_TOKENIZER_TOKEN_BYTES_H

#include "engine/tokenizer/vocab.h"

/* Sets longest_bytes of v, and bytes and bytes_len of every token. The bytes of an added
 * token are its text. ERR_MEMORY. */
int token_bytes_fill(struct vocab *v, struct err *err);

#endif
