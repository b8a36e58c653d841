/*
 * Taking tensors for a mixer: by name under a prefix, with a strict shape, into the
 * model's memory. Opening thread only; what is bound is constant afterwards.
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

/* A matrix as it was bound, for those that count or write all of them. */
struct bound {
    const char *name;            /* with prefix and ".weight" */
    const struct tensor *source; /* its floats in the file; NULL: quantised there */
    enum quant_role role;
    struct matrix m; /* of a float embedding only type, n_in and n_out are set */
    struct bound *next;
};

struct bind_list {
    struct bound *first, **end; /* zeroed = empty */
};

struct bind {
    struct weights *weights;
    struct arena *arena; /* the model's lifetime */
    bool blas;
    enum quant_weights held; /* what matrices become */
    enum kv_type kv;         /* what pages hold */
    const char *prefix;      /* e.g. "model.layers.3." */
    int hidden_size;
    int *quant_in; /* the most inputs of a quantised matrix so far; may be NULL */
    struct bind_list *list; /* may be NULL */
};

/* prefix + name + ".weight" as [n_out, n_in] and, with bias, ".bias" as [n_out]; floats
 * of the file become what `held` says. ERR_ARGUMENT (param "weights") when the file has
 * it quantised otherwise. */
int bind_matrix(struct matrix *m, const struct bind *b, const char *name, int n_out,
                int n_in, bool bias, struct err *err);

/* The same for a matrix whose outputs are steps or decays: never quantised. */
int bind_exact(struct matrix *m, const struct bind *b, const char *name, int n_out,
               int n_in, bool bias, struct err *err);

/* prefix + name ("….weight") as embedding or head, without bias. */
int bind_table(struct matrix *m, const struct bind *b, const char *name, int n_out,
               int n_in, struct err *err);

/* Adds to the list; ERR_MEMORY. */
int bind_record(const struct bind *b, const struct bound *x, struct err *err);

/* prefix + name, exactly [n] (or the given shape), widened to f32 in the arena. */
int bind_vector(const float **out, const struct bind *b, const char *name, int n,
                struct err *err);
int bind_tensor(const float **out, const struct bind *b, const char *name, int n_dims,
                const int64_t *shape, struct err *err);
bool bind_has(const struct bind *b, const char *name);

/* A copy of the binding with a longer prefix, built in the arena; NULL prefix: out of
 * memory. */
struct bind bind_under(const struct bind *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
