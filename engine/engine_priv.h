/* The engine itself, for the files behind its three doors: engine.c, objects.c and
 * measure.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_PRIV_H
#define ENGINE_ENGINE_PRIV_H

#include "engine/engine.h"
#include "engine/kernel/peak.h"
#include "engine/run/runner.h"
#include "engine/run/score.h"
#include "engine/state/object.h"

struct engine {
    struct model model;
    struct vocab *vocab;    /* owns; NULL with no_tokenizer */
    struct buf vocab_words; /* owns; what it is made of */
    size_t vocab_bytes;
    struct pool *pool; /* owns */
    struct runner runner;
    struct score score;
    struct peak peak;
    struct engine_info info;
    struct object_kind kind; /* of its state objects */
    char hash[17];
};

#endif
