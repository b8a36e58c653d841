/* The two ends of tokenizer.json: post_processor (ids put around a text) and decoder (how
 * a token becomes bytes). */
#ifndef ENGINE_TOKENIZER_ENDINGS_H
#define ENGINE_TOKENIZER_ENDINGS_H

#include "engine/tokenizer/sequence.h"

/* Fills r->p's decode, prefix and suffix. */
int endings_read(struct sequence_reader *r, const struct json *root);

#endif
