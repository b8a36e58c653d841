/*
 * Takes tensors for a mixer by name under a prefix, with a strict shape, into the model's
 * memory. Opening thread only; what is bound is constant afterwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_BIND_H
#define ENGINE_MIXER_BIND_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/kernel/gemm.h"
#include "engine/load/quant.h"
#include "engine/load/quant_file.h"
#include "engine/load/weights.h"

#include <stdbool.h>
#include <stdint.h>

/* A bound matrix, for counting and for export. */
struct bound {
    const char *name;      /* with prefix and ".weight" */
    struct tensor *source; /* its floats in the file; NULL: quantised there */
    enum quant_role role;
    struct matrix m; /* of a float embedding only type, n_in and n_out are set */
    bool rows;       /* a float embedding: rows, not panels */
    struct bound *next;
};

struct bind_list {
    struct bound *first, **end; /* zeroed = empty */
};

struct bind {
    struct weights *weights;
    struct arena *arena; /* the model's lifetime */
    bool blas;
    bool sizes; /* of a matrix only type and sizes are wanted: nothing is packed */
    enum engine_weights held; /* what matrices become */
    enum engine_kv kv;        /* what pages hold */
    struct pool *pool;        /* packs; NULL: the caller alone */
    const char *prefix;       /* e.g. "model.layers.3." */
    int hidden_size;
    int *quant_in; /* the most inputs of a quantised matrix so far; may be NULL */
    struct bind_list *list; /* may be NULL */
};

/* A matrix of the file: prefix + name + ".weight" as [n_out, n_in] and, with bias,
 * ".bias" as [n_out]. */
struct matrix_spec {
    const char *name;
    int n_out, n_in;
    enum quant_role role;
    bool bias;
};

/* Takes the matrix; floats of the file become the type of `held`. ERR_ARGUMENT (param
 * "weights") when the file has it quantised otherwise; ERR_FORMAT, ERR_MEMORY. */
int bind_matrix(struct matrix *m, const struct bind *b, const struct matrix_spec *s,
                struct err *err);

/* The same for n of them, up to the first that fails. */
int bind_matrices(struct matrix *const *m, const struct bind *b,
                  const struct matrix_spec *s, int n, struct err *err);

/* A matrix whose rows are looked up one by one (the embedding). */
struct table {
    struct matrix m; /* of floats only type, n_out and n_in are set */
    /* Floats [n_out][n_in] of m's type, aligned to it; borrows from the mapping or the
     * arena. NULL: quantised, quant_row reads a row of m. */
    const void *rows;
    struct tensor *source; /* its floats in the file, or NULL */
};

/* As bind_matrix, but floats stay rows and are not packed. No bias. */
int bind_table(struct table *t, const struct bind *b, const struct matrix_spec *s,
               struct err *err);

/* prefix + name, exactly [n] (or the spec's shape), widened to f32 in the arena. */
int bind_vector(const float **out, const struct bind *b, const char *name, int n,
                struct err *err);
int bind_tensor(const float **out, const struct bind *b, const struct tensor_spec *s,
                struct err *err);

/* As bind_vector, then f of each value, in f64. */
int bind_mapped(const float **out, const struct bind *b, const char *name, int n,
                double (*f)(double), struct err *err);
bool bind_has(const struct bind *b, const char *name);

/* As the file has it, not taken; NULL: absent, or a source that makes what is taken. */
const struct tensor *bind_find(const struct bind *b, const char *name);

/* A copy of the binding with a longer prefix, built in the arena; NULL prefix: out of
 * memory. */
struct bind bind_under(const struct bind *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
