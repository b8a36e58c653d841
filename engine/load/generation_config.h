/*
 * generation_config.json: the ids that begin and end a text, and the model's sampling
 * values. The file is optional, and any key may be absent. Runs at open, on the opening
 * thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_GENERATION_CONFIG_H
#define ENGINE_LOAD_GENERATION_CONFIG_H

#include "engine/load/token_ids.h"

struct generation_config {
    struct token_ids ids;
};

/* Reads dir/generation_config.json over the ids of config.json: what it names wins.
 * ERR_IO, ERR_FORMAT or ERR_MEMORY; there is nothing to free. */
int generation_config_open(struct generation_config *g, const char *dir,
                           const struct token_ids *ids, int vocab_size, struct err *err);

#endif
