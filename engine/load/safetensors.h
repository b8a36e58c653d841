/*
 * Weights from the safetensors files of a model folder, memory-mapped: model.safetensors,
 * or the shards that model.safetensors.index.json names.
 *
 * Strict: every offset is checked against the file, no two tensors overlap, no byte is
 * left over, the index and the shards agree. Format: the safetensors README (8-byte
 * little-endian header length, JSON header, data). Opening thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_SAFETENSORS_H
#define ENGINE_LOAD_SAFETENSORS_H

#include "engine/load/weights.h"

/* Fills *w; weights_close ends it. On failure nothing is kept; errors name the file, the
 * tensor, expected and found. ERR_IO, ERR_FORMAT, ERR_MEMORY. */
int safetensors_open(struct weights *w, const char *dir, struct err *err);

#endif
