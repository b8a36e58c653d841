/*
 * safetensors files of a model folder, memory-mapped: model.safetensors, or the shards
 * that model.safetensors.index.json names.
 *
 * Strict: every offset is checked against the file, no two tensors overlap, no byte is
 * left over, and weights_finish refuses tensors that nobody asked for. Format: the
 * safetensors README (8-byte little-endian header length, JSON header, data). Read by the
 * opening thread; the mapping lives until weights_close.
 */
#ifndef ENGINE_LOAD_WEIGHTS_H
#define ENGINE_LOAD_WEIGHTS_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/kernel/kernel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_DIMS = 8, WEIGHTS_MAX_FILES = 1024 };

struct tensor {
    const char *name;  /* borrows from the weights */
    const char *file;  /* base name of its file; borrows likewise */
    const char *dtype; /* as the header writes it, e.g. "BF16" */
    int n_dims;
    int64_t shape[TENSOR_MAX_DIMS];
    const void *data;    /* into the mapping; any alignment */
    size_t bytes, begin; /* begin: offset in the file's data section */
    int64_t n_values;    /* parameters it stands for */
    int file_index;
    bool used;
    bool kept; /* read where it lies as long as the model is open, */
    bool hot;  /* and all of it in every step */
    bool twin; /* repeats another tensor, which counts */
};

struct weights_file {
    char *name; /* borrows from the arena */
    void *map;  /* owns the mapping */
    size_t map_bytes;
};

struct random_weights;

struct weights {
    struct arena arena; /* owns names and tables */
    struct weights_file *files;
    int n_files;
    struct tensor *tensors;
    size_t n_tensors, tensors_cap;
    struct strmap by_name;
    struct strmap notes; /* "ssmd.…" of the headers' __metadata__: index into texts */
    const char **texts;  /* [n_texts]; owns the array, the texts are the arena's */
    size_t n_texts, texts_cap;
    uint64_t hash;                 /* over the bytes of all files, in order */
    struct random_weights *random; /* owns; NULL: the tensors are in files */
};

/* On failure nothing is kept; errors name the file, the tensor, expected and found. */
int weights_open(struct weights *w, const char *dir, struct err *err);
void weights_close(struct weights *w); /* accepts a zeroed struct */

/* The tensor, marked as used; its shape must be exactly shape[n_dims] (all >= 0) and its
 * type F32, F16 or BF16 (stored in *type). ERR_FORMAT with name, expected and found. */
int weights_take(struct weights *w, const char *name, int n_dims, const int64_t *shape,
                 const struct tensor **out, enum dtype *type, struct err *err);

/* The same for a tensor of bytes or halves: dtype "U8" or "F16". */
int weights_take_raw(struct weights *w, const char *name, const char *dtype, int n_dims,
                     const int64_t *shape, struct tensor **out, struct err *err);

/* The type of a tensor that weights_take gave. */
enum dtype weights_dtype(const struct tensor *t);

/* The tensor is read where it lies from now on. False: it cannot be, for random weights
 * are freed by weights_release_pages. */
bool weights_keep(struct weights *w, const struct tensor *t);

/* What the metadata says under a key that begins with "ssmd.", or NULL. */
const char *weights_note(const struct weights *w, const char *key);

/* NULL when there is none; does not mark it as used. */
const struct tensor *weights_find(const struct weights *w, const char *name);

/* Tells the system that the mapped pages are not needed for now, those of hot tensors
 * excepted: what was packed elsewhere no longer counts as resident, what is still read
 * comes back by itself. Random weights are gone then. */
void weights_release_pages(const struct weights *w);

/* Bytes of the tensors that are kept in the mapping. */
size_t weights_kept_bytes(const struct weights *w);

/* ERR_FORMAT naming the first surplus tensor, `*.rotary_emb.inv_freq` excepted. */
int weights_finish(const struct weights *w, struct err *err);

/* Parses and checks one header against a data section of data_bytes (the fuzzer's door).
 */
int weights_header(struct weights *w, const char *json, size_t len, size_t data_bytes,
                   struct err *err);

#endif
