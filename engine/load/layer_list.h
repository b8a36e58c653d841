/*
 * The kind of every layer, in the ways that configurations write it: a list of words, a
 * string of letters, a list of indices, a period. The architecture says what its words
 * mean. Runs at open.
 *
 * kinds is [n_layers]; where a key is absent or null it stays as it is. Errors (ERR_FORMAT)
 * name config.json, the key, the layer, what was expected and what was found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_LAYER_LIST_H
#define ENGINE_LOAD_LAYER_LIST_H

#include "engine/load/hparams.h"

struct layer_word {
    const char *word;
    uint8_t kind;
};

/* A list of words, one a layer; words ended by a NULL word. */
int layer_list_words(const struct hparams *h, const char *key,
                     const struct layer_word *words, uint8_t *kinds, struct err *err);

/* A string with one letter a layer. */
int layer_list_letters(const struct hparams *h, const char *key,
                       const struct layer_word *words, uint8_t *kinds, struct err *err);

/* A list of layers that are of this kind, each from 0 on and at most once. */
int layer_list_indices(const struct hparams *h, const char *key, uint8_t kind,
                       uint8_t *kinds, struct err *err);

/* A list of 0 and 1, one a layer: layers with 0 are of kind zero, others of kind one. */
int layer_list_flags(const struct hparams *h, const char *key, uint8_t zero, uint8_t one,
                     uint8_t *kinds, struct err *err);

/* Layers i with (i + 1) mod period = 0 are of this kind. */
void layer_list_every(int n_layers, int period, uint8_t kind, uint8_t *kinds);

/* Whether the configuration has a value under the key. */
bool layer_list_has(const struct hparams *h, const char *key);

/* ERR_FORMAT where it has none. */
int layer_list_require(const struct hparams *h, const char *key, struct err *err);

#endif
