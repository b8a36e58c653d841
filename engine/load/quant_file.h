/*
 * Quantised tensors in safetensors: taking them out of a file, and writing a file.
 * The format is described in quant.h. Opening thread.
 *
 * Refuses every deviation from the format: an unknown version, codes without scales,
 * another shape, codes and scales that no quantiser writes, those of padding included.
 * Arrays at multiples of 64 bytes are borrowed from the mapping; a written file aligns
 * them so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_QUANT_FILE_H
#define ENGINE_LOAD_QUANT_FILE_H

#include "engine/load/quant.h"
#include "engine/load/weights.h"

/* Whether the file has this tensor ("….weight") quantised instead of as floats. */
bool quant_file_has(const struct weights *w, const char *name);

/* Takes both parts of a matrix whose n_out and n_in are set: its type, panels and scales.
 * They borrow from the mapping (and are kept) or, where misaligned, from the arena.
 * ERR_FORMAT, ERR_MEMORY. */
int quant_file_take(struct matrix *m, struct weights *w, struct arena *a,
                    const char *name, struct err *err);

/* One tensor to write; everything borrows until quant_file_save returns. */
struct quant_file_item {
    const char *name;
    enum dtype type;          /* what it becomes */
    const struct matrix *m;   /* of a quantised type; else NULL */
    const struct tensor *raw; /* otherwise: the tensor to copy or to convert */
};

/* Writes a new safetensors file and syncs it; *bytes: its size. ERR_IO naming the path
 * (also when it exists), ERR_MEMORY; on failure the file is removed. */
int quant_file_save(const char *path, const struct quant_file_item *items, size_t n,
                    size_t *bytes, struct err *err);

#endif
