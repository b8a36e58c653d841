/*
 * What is given as a model: a folder with config.json and weights in safetensors, or one
 * of the things that people give instead of it. Looks at names and first bytes only, at
 * open, any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_MODEL_PATH_H
#define ENGINE_LOAD_MODEL_PATH_H

#include "engine/base/err.h"

/* 0: path is a folder, and no file in it is known to be of another kind. ERR_ARGUMENT
 * (param "model") names what was found instead: nothing, the name of a model hub, a GGUF
 * file, a Git LFS pointer, a lone .safetensors file, pickled weights. ERR_IO. */
int model_path_check(const char *path, struct err *err);

#endif
