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
#include "engine/types.h"

struct generation_config {
    struct token_ids ids;
};

/* Reads dir/generation_config.json over the ids of config.json: what it names wins.
 * ERR_IO, ERR_FORMAT or ERR_MEMORY; there is nothing to free. */
int generation_config_open(struct generation_config *g, const char *dir,
                           const struct token_ids *ids, int vocab_size, struct err *err);

extern const struct gen_defaults generation_config_no_defaults; /* none of any field */

/* Reads the sampling values of the same file, which may be absent, and logs one line
 * "model_defaults" with them and with the keys that are not honoured. do_sample false is
 * temperature 0, whatever else is said. ERR_FORMAT for a value outside what the API
 * accepts. */
int generation_config_defaults(struct gen_defaults *out, const char *dir,
                               struct err *err);

#endif
