/* bos_token_id and eos_token_id, of config.json or generation_config.json. Pure; any
 * thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LOAD_TOKEN_IDS_H
#define ENGINE_LOAD_TOKEN_IDS_H

#include "engine/base/err.h"
#include "engine/base/json.h"

#include <stdint.h>

enum { TOKEN_IDS_MAX_EOS = 16 };

struct token_ids {
    int32_t bos; /* -1 = none */
    int32_t eos[TOKEN_IDS_MAX_EOS];
    int n_eos;
};

/* Replaces what the object names; an absent or null member leaves t as it is. ERR_FORMAT
 * for ids outside 0 .. vocab_size - 1. */
int token_ids_read(struct token_ids *t, const struct json *doc, int vocab_size,
                   struct err *err);

#endif
