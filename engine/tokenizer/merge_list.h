/* Reads the merges of a byte-pair model from tokenizer.json into a vocab.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_MERGE_LIST_H
#define ENGINE_TOKENIZER_MERGE_LIST_H

#include "engine/tokenizer/json_reader.h"
#include "engine/tokenizer/vocab.h"

/* Fills v's merges, merged and n_merges; the model's tokens must be entered before.
 * ERR_FORMAT names the merge at fault, ERR_MEMORY. */
int merge_list_read(struct vocab *v, const struct json_reader *model, struct err *err);

#endif
