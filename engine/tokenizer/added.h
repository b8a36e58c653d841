/* The added tokens of tokenizer.json: their entries in the vocab, and the tries that find
 * them in a text.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_ADDED_H
#define ENGINE_TOKENIZER_ADDED_H

#include "engine/base/json.h"
#include "engine/tokenizer/vocab.h"

/* Sets *max to the largest id of `list` (-1 when absent or empty) and checks each entry's
 * keys. ERR_FORMAT names the entry. */
int added_max_id(const struct json *list, int32_t *max, struct err *err);

/* Adds the tokens to v, whose model tokens are already entered. ERR_FORMAT names the
 * entry, ERR_MEMORY. */
int added_read(struct vocab *v, const struct json *list, struct err *err);

/* Builds v's tries `raw` and `normalized`; the pipeline must be read before.
 * ERR_MEMORY. */
int added_index(struct vocab *v, struct err *err);

#endif
