/* What each token of a vocab stands for, in bytes: the decoder run over the token's text.
 */
#ifndef ENGINE_TOKENIZER_TOKEN_BYTES_H
#define ENGINE_TOKENIZER_TOKEN_BYTES_H

#include "engine/tokenizer/vocab.h"

/* Sets bytes and bytes_len of every token, and longest_bytes, from the texts and the
 * decoder. Added tokens stand for their text as it is. ERR_MEMORY. */
int token_bytes_fill(struct vocab *v, struct err *err);

#endif
