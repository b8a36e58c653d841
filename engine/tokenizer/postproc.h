/* Reads post_processor (ids put around a text) and decoder (how a token becomes bytes) of
 * tokenizer.json.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_POSTPROC_H
#define ENGINE_TOKENIZER_POSTPROC_H

#include "engine/tokenizer/component.h"

/* Fills decode, prefix and suffix of r->p. ERR_FORMAT names the path, ERR_MEMORY. */
int postproc_read(struct component_reader *r, const struct json *root);

#endif
