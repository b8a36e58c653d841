/*
 * Writing an open model's weights as one safetensors file, in the formats it is held in.
 * Opening thread; reads the files' mapping and the model's panels.
 */
#ifndef ENGINE_MODEL_EXPORT_H
#define ENGINE_MODEL_EXPORT_H

#include "engine/model/model.h"

/* Matrices as the model holds them, everything else as its files have it; a head that
 * repeats its embedding is left out. The file must not exist; on failure there is none.
 * ERR_IO, ERR_MEMORY. *bytes: its size. */
int export_model(const struct model *m, const char *path, size_t *bytes, struct err *err);

#endif
