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
#include "engine/load/weights.h"

#include <stdbool.h>
#include <stdint.h>

struct bind {
    struct weights *weights;
    struct arena *arena; /* the model's lifetime */
    bool blas;
    enum quant_weights held; /* what matrices become */
    enum kv_type kv;         /* what pages hold */
    const char *prefix;      /* e.g. "model.layers.3." */
    int hidden_size;
    int *quant_in; /* the most inputs of a quantised matrix so far; may be NULL */
};

/* prefix + name + ".weight" as [n_out, n_in] and, with bias, ".bias" as [n_out]. */
int bind_matrix(struct matrix *m, const struct bind *b, const char *name, int n_out,
                int n_in, bool bias, struct err *err);

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
