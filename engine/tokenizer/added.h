/* The added tokens of tokenizer.json: entries of the vocab, and the tries that find them
 * in a text. */
#ifndef ENGINE_TOKENIZER_ADDED_H
#define ENGINE_TOKENIZER_ADDED_H

#include "engine/base/json.h"
#include "engine/tokenizer/vocab.h"

/* The largest id of `list` (absent: -1) into *max, after checking each entry's form. */
int added_max_id(const struct json *list, int32_t *max, struct err *err);

/* Enters the tokens; those of the model are in place. */
int added_read(struct vocab *v, const struct json *list, struct err *err);

/* Builds raw and normalized once the pipeline is read. */
int added_index(struct vocab *v, struct err *err);

#endif
