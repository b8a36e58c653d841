/*
 * Writes an open model's weights as one safetensors file, in their formats in memory.
 * Opening thread; reads the files' mapping and the model's panels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_EXPORT_H
#define ENGINE_MODEL_EXPORT_H

#include "engine/model/model.h"

/* Writes matrices in their types in memory, all else as in the model's files; a head that
 * repeats its embedding is omitted. *bytes: the file's size. The file must not exist; on
 * failure there is none. ERR_IO, ERR_MEMORY. */
int export_model(const struct model *m, const char *path, size_t *bytes, struct err *err);

#endif
