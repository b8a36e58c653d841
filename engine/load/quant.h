/*
 * Weight formats: the type that a matrix of a file gets in memory, and the conversion of
 * floats to q8 and q4. Opening thread; pure functions of their arguments, so that the
 * same checkpoint gives the same codes on every machine.
 *
 * A matrix is [n_out][n_in]. Quantised, its outputs lie in panels of 32 and its inputs in
 * groups of 32, both padded at the end; P panels, G groups:
 *
 *   q8 codes  uint8 [P][G][8][32][4]: byte (p, g, j, o, i) is 128 + q of output 32p + o
 *             at input 32g + 4j + i, q from -127 to 127: a byte is never 0
 *   q4 codes  uint8 [P][G][4][32][4]: byte (p, g, j, o, i) holds two codes of output
 *             32p + o: the low nibble that of input 32g + 4j + i, the high nibble that
 *             of input 32g + 16 + 4j + i; q = quant_levels[code]
 *   scales    f16 [P][G][32] for both: the weight is scale * q, rounded to f32
 *
 * quant_levels is -127 -100 -78 -62 -47 -33 -21 -9 2 13 24 36 50 65 82 106 (quant_c.c has
 * the derivation). Scales are finite. Padding of outputs has scales of 0; padding of
 * inputs has codes of 128 in q8 and 0 in q4, and meets no input.
 *
 * In a safetensors file a quantised tensor X (a name that ends in ".weight") is two
 * tensors: "X.q8" or "X.q4" of dtype U8 and "X.scale" of dtype F16, in the shapes above.
 * The file's __metadata__ has "ssmd.layout": "1", the version of all this, and for each
 * X "ssmd.shape.X": "[n_out,n_in]", which cannot be derived from the panels. X itself is
 * absent. The rest of the checkpoint is unchanged. Arrays that begin at a multiple of 64
 * bytes of the file are used in place; others are copied.
 *
 * The choice of codes is not part of the format. Here: q8 rounds w / scale to the
 * nearest, with scale = max |w| / 127 of the group, as f16. q4 takes codes for 18 scales,
 * max |w| / 127 times 0.76 to 1.38 of both signs (the levels are not symmetric), keeps
 * the one whose codes leave the least squared error under their scale of least squares,
 * takes that scale, and repeats it once with the codes it leads to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_QUANT_H
#define ENGINE_LOAD_QUANT_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/kernel/matrix.h"

/* A matrix by its use. A table (embedding, head) is q8 where others are q4. An exact one
 * computes steps or decays, where errors grow with the context; it is never rounded. */
enum quant_role { QUANT_MATRIX, QUANT_TABLE, QUANT_EXACT };

/* A matrix of fewer outputs is not quantised: most of its panel would be padding. One of
 * fewer weights is q8 where others are q4: it is little memory either way, and in a model
 * so narrow that its matrices are small, 4 bits cost most (tests/bench/NOTES.md). */
enum { QUANT_MIN_OUT = 32, QUANT_SMALL = 1 << 17 };

/* The type in memory of a float matrix whose type in the file is own. */
struct quant_use {
    enum quant_role role;
    enum dtype own;
    int n_out, n_in;
};
enum dtype quant_target(enum engine_weights ask, const struct quant_use *u);

/* "f32", "f16", "bf16", "q8", "q4". */
const char *quant_name(enum dtype type);

/* Converts n floats of one type to another, to the nearest, ties to even; from any
 * address. to: F32 or BF16. */
void quant_floats(enum dtype to, void *dst, enum dtype from, const void *src, size_t n);

/* Quantises rows ([n_out][n_in] of the float type from, at any address) to m's type:
 * m->panels and m->scales, taken from the arena. ERR_MEMORY; ERR_FORMAT for a weight that
 * is not finite or whose scale an f16 cannot hold. */
int quant_pack(struct matrix *m, struct arena *a, enum dtype from, const void *rows,
               struct err *err);

/* The same in two steps, of which the second is divided: the arena's memory, then panels
 * [first, end), which several threads may fill at once. ERR_MEMORY; ERR_FORMAT. */
int quant_room(struct matrix *m, struct arena *a, struct err *err);
int quant_panels(const struct matrix *m, enum dtype from, const void *rows, int first,
                 int end, struct err *err);

/* The weights of one output of a quantised matrix, f32 [n_in]. Any thread. */
void quant_row(const struct matrix *m, int row, float *out);

#endif
