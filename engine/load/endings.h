/* The two ends of tokenizer.json: post_processor (ids put around a text) and decoder (how
 * a token becomes bytes). */
#ifndef ENGINE_LOAD_ENDINGS_H
#define ENGINE_LOAD_ENDINGS_H

#include "engine/load/sequence.h"

/* Fills r->p's decode, prefix and suffix. */
int endings_read(struct sequence_reader *r, const struct json *root);

#endif
