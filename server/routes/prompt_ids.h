/*
 * A prompt as token ids, and the depths at which a checkpoint of it is worth its bytes.
 * Filled by one worker, then read by the loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_PROMPT_IDS_H
#define SERVER_ROUTES_PROMPT_IDS_H

#include "api/prompt.h"
#include "engine/engine.h"

struct prompt_ids {  /* zeroed: the prompt's own ids are taken */
    struct ids ids;  /* owns */
    int32_t *depths; /* owns, [n_depths]: ascending, 1 to ids.n */
    size_t n_depths;
};

/* Appends the ids of a text from byte `at` on, and finds the depths of its turns. flags
 * are ENCODE_BOS, ENCODE_MORE or 0. ERR_MEMORY; as
 * engine_encode. */
int prompt_ids_encode(struct prompt_ids *p, const struct engine *e,
                      const struct prompt *prompt, size_t at, unsigned flags,
                      struct err *err);

void prompt_ids_free(struct prompt_ids *p);

#endif
