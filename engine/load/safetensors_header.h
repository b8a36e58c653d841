/*
 * The header of a safetensors file, as JSON. Opening thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_SAFETENSORS_HEADER_H
#define ENGINE_LOAD_SAFETENSORS_HEADER_H

#include "engine/load/weights.h"

/* Adds its tensors to w in the order of the file, checked against a data section of
 * data_bytes. ERR_FORMAT with tensor, expected and found; ERR_MEMORY. */
int safetensors_header(struct weights *w, const char *json, size_t len, size_t data_bytes,
                       struct err *err);

#endif
