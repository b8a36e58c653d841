/* tokenizer_config.json: whether begin and end tokens are put around a text.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_TOKENIZER_CONFIG_H
#define ENGINE_TOKENIZER_TOKENIZER_CONFIG_H

#include "engine/tokenizer/vocab.h"

/* Applies the file's text to v's pipeline, where it overrides the post-processor.
 * ERR_FORMAT names the member, ERR_MEMORY; v must then be freed. */
int tokenizer_config_apply(struct vocab *v, const char *text, size_t len,
                           struct err *err);

#endif
