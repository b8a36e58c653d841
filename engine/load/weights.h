/*
 * The tensors of a model, whatever they come from: a table, taking a tensor by its name
 * in a strict shape and type, and a check that none is left over.
 *
 * A source fills the table, all of it at open (safetensors.h) or a tensor when it is
 * taken (random_weights.h), and owns the memory of the values, which are readable until
 * weights_close or, where the source does not keep them, until weights_release_pages.
 * Opening thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_WEIGHTS_H
#define ENGINE_LOAD_WEIGHTS_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/base/map.h"
#include "engine/kernel/kernel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_DIMS = 8 };

struct tensor {
    const char *name;  /* borrows from the weights */
    const char *file;  /* base name of its file; borrows likewise */
    const char *dtype; /* as the file writes it, e.g. "BF16" */
    enum dtype type;   /* the same as a float type; DTYPE_N: it is none */
    int n_dims;
    int64_t shape[TENSOR_MAX_DIMS];
    const void *data;    /* any alignment */
    size_t bytes, begin; /* begin: offset in the file's data section */
    int64_t n_values;    /* parameters it stands for */
    int file_index;
    bool used;
    bool kept; /* read in place as long as the model is open, */
    bool hot;  /* and all of it in every step */
    bool twin; /* repeats another tensor, which counts */
};

/* A tensor to take. */
struct tensor_spec {
    const char *name;
    int n_dims;
    const int64_t *shape; /* [n_dims], all >= 0 */
    const char *dtype;    /* as in struct tensor; NULL: F32, F16 or BF16 */
};

struct weights;

/* What is behind the table. */
struct weights_source {
    int (*take)(struct weights *w, const struct tensor_spec *s, struct tensor **out,
                struct err *err);
    void (*release_tensor)(struct weights *w, const struct tensor *t); /* may be NULL */
    void (*release_pages)(struct weights *w);
    void (*close)(struct weights *w); /* of w->store alone, which may be NULL */
    int (*hash)(const struct weights *w, uint64_t *out, struct err *err);
    bool keeps; /* values stay readable after release_pages */
};

struct weights {
    struct arena arena;                  /* owns names and texts */
    const struct weights_source *source; /* NULL: closed */
    void *store;                         /* the source's own; it owns it */
    struct tensor *tensors;              /* owns */
    size_t n_tensors, tensors_cap;
    struct strmap by_name;
    struct strmap notes; /* "ssmd.…" of the files' metadata: index into texts */
    const char **texts;  /* [n_texts]; owns the array, the texts are the arena's */
    size_t n_texts, texts_cap;
};

void weights_close(struct weights *w); /* accepts a zeroed struct */

/* The tensor, marked as used. ERR_FORMAT with name, expected and found; ERR_MEMORY. */
int weights_take(struct weights *w, const struct tensor_spec *s, struct tensor **out,
                 struct err *err);

/* NULL when there is none; does not mark it as used. */
struct tensor *weights_find(const struct weights *w, const char *name);

/* The metadata's text under a key that begins with "ssmd.", or NULL. */
const char *weights_note(const struct weights *w, const char *key);

/* Over the bytes of all files, in order: reads them, a piece at a time. ERR_MEMORY. */
int weights_hash(const struct weights *w, uint64_t *out, struct err *err);

/* ERR_FORMAT naming the first surplus tensor, `*.rotary_emb.inv_freq` and names that begin
 * with one of left_out (ended by NULL; may be NULL) excepted. The latter are logged in one
 * line with their bytes. */
int weights_finish(const struct weights *w, const char *const *left_out, struct err *err);

/* The tensor stays where it is and is read there; false where the source keeps none. */
bool weights_keep(struct weights *w, struct tensor *t);
size_t weights_kept_bytes(const struct weights *w);

/* A tensor was packed elsewhere: its memory goes back to the system, unless it is kept. Its
 * values are read in again when they are used. */
void weights_packed(struct weights *w, const struct tensor *t);

/* Gives the memory of values back to the system, that of hot tensors excepted: what was
 * packed elsewhere no longer counts as resident. Kept tensors are read in again when they
 * are used. */
void weights_release_pages(struct weights *w);

/* ---- for sources ---- */

/* A tensor behind the others, of which only the name is set; it moves when more are
 * added. NULL: out of memory. */
struct tensor *weights_add(struct weights *w, const char *name);

/* Makes weights_find find what was added. ERR_FORMAT when a name is there twice. */
int weights_index(struct weights *w, struct err *err);

bool weights_add_note(struct weights *w, const char *key, const char *text);

/* The take of a source whose table is full at open. */
int weights_lookup(struct weights *w, const struct tensor_spec *s, struct tensor **out,
                   struct err *err);

#endif
