/*
 * Quantised tensors in safetensors: taking them out of a file, and writing a file.
 * The format is described in quant.h. Opening thread.
 *
 * Refuses whatever does not follow it to the letter: a version it does not know, a
 * missing half, another shape, codes and scales that no quantiser makes, of absent
 * outputs and inputs too. Arrays that lie at multiples of 64 bytes are borrowed from the
 * mapping, which is why a written file has them there.
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

/* Writes a safetensors file that did not exist, and syncs it. On failure it is removed
 * again: ERR_IO naming the path, ERR_MEMORY. *bytes: its size. */
int quant_file_save(const char *path, const struct quant_file_item *items, size_t n,
                    size_t *bytes, struct err *err);

#endif
