/* The two ends of tokenizer.json: post_processor (ids put around a text) and decoder (how
 * a token becomes bytes). */
#ifndef ENGINE_TOKENIZER_POSTPROC_H
#define ENGINE_TOKENIZER_POSTPROC_H

#include "engine/tokenizer/component.h"

/* Fills r->p's decode, prefix and suffix. */
int postproc_read(struct component_reader *r, const struct json *root);

#endif
