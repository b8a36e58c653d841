/*
 * Model folders made for a test: a temporary folder, files in it, safetensors from
 * tensors that are added one by one, and whole small models of every architecture with
 * pseudo-random weights.
 *
 * A folder is removed with maker_close. Anything that cannot be made fails the test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_MODEL_MAKER_H
#define TESTS_LIB_MODEL_MAKER_H

#include <stddef.h>
#include <stdint.h>

struct maker {
    char dir[256];
    char *header; /* owns; JSON of the tensors added so far, without the last brace */
    size_t header_len;
    char *data; /* owns; their bytes */
    size_t data_len;
    uint64_t seed;
};

void maker_open(struct maker *m);
void maker_close(
    struct maker *m); /* removes the folder with all that lies directly in it */

/* Writes a file of the folder; maker_path answers its path in a static buffer. */
const char *maker_path(const struct maker *m, const char *name);
void maker_file(const struct maker *m, const char *name, const void *data, size_t len);
void maker_text(const struct maker *m, const char *name, const char *text);

/* An 8-byte length, the header as it is given, the data as it is given. */
void maker_raw(const struct maker *m, const char *name, const char *header,
               const void *data, size_t data_len);

/* Adds an f32 tensor; values NULL: pseudo-random within [-scale, scale] around `middle`.
 */
struct maker_fill {
    float scale, middle;
};
void maker_tensor(struct maker *m, const char *name, int n_dims, const int64_t *shape,
                  const float *values, struct maker_fill fill);
void maker_matrix(struct maker *m, const char *name, int n_out, int n_in);
void maker_vector(struct maker *m, const char *name, int n, struct maker_fill fill);

/* Writes what was added as a file and forgets it. */
void maker_save(struct maker *m, const char *file);

/* Whole models: config.json and model.safetensors. */
struct maker_sizes {
    int vocab, hidden, layers, heads, kv_heads, ffn, context;
};
void maker_transxssm(struct maker *m, const struct maker_sizes *s);
void maker_llama(struct maker *m, const struct maker_sizes *s);
void maker_pha(struct maker *m, const struct maker_sizes *s, const char *gss_kind);

/* A Transformer whose next token depends on the last one alone: after t comes next[t]
 * with a logit far above all others. eos is written into the config (-1: none). hidden =
 * n_vocab. */
void maker_chain(struct maker *m, const int32_t *next, int n_vocab, int context, int eos);

#endif
