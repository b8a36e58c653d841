/* The merges of a byte-pair model, from tokenizer.json into a vocab. */
#ifndef ENGINE_TOKENIZER_MERGES_H
#define ENGINE_TOKENIZER_MERGES_H

#include "engine/tokenizer/members.h"
#include "engine/tokenizer/vocab.h"

/* Fills merges, merged and n_merges; the model's tokens are in place. ERR_FORMAT names
 * the merge at fault, ERR_MEMORY. */
int merges_read(struct vocab *v, const struct members *model, struct err *err);

#endif
