/*
 * Layers that are alike, for people: which mixers a layer has, in words, and what of a
 * sequence's state lies in it. At open, any thread; reads a model, changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_LAYER_KINDS_H
#define ENGINE_MODEL_LAYER_KINDS_H

#include "engine/model/model.h"

/* The kinds of layers in the order of their first layer, at most max; a layer of a further
 * kind counts as one of the last. Returns how many there are. */
int layer_kinds(const struct model *m, struct engine_layer_kind *out, int max);

#endif
