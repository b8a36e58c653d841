/*
 * config.json: the hyper-parameters of a model folder.
 *
 * Strict by table: a key is common (struct hparams), the architecture's own (its table),
 * one of the few that never change a value, or one that is accepted only with the value
 * the format implies. Anything else is an error that names file, key, expected and found.
 * An architecture's keys are named in its arch file; here none is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_HPARAMS_H
#define ENGINE_LOAD_HPARAMS_H

#include "engine/base/err.h"
#include "engine/base/json.h"
#include "engine/load/token_ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HPARAMS_MAX_LAYERS = 4096 };

enum rope_kind {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_LLAMA3,
    ROPE_DYNAMIC,
    ROPE_YARN,
    ROPE_LONG
};

/* rope_scaling / rope_parameters as written; unused fields are 0. */
struct rope_params {
    enum rope_kind kind;
    double theta, factor, low_freq_factor, high_freq_factor, beta_fast, beta_slow;
    double attention_factor; /* 0 = not given */
    double original;         /* original_max_position_embeddings; default m */
    const struct json *short_factor, *long_factor; /* borrow from the document */
};

struct hparams {
    struct json *doc; /* owns config.json */
    const char *arch; /* borrows: model_type */
    int vocab_size, hidden_size, n_layers, n_heads, n_kv_heads, head_dim, ffn_size;
    int max_position;
    double rms_eps;
    struct rope_params rope;
    int tied; /* 1, 0, or -1 = absent: the architecture's default */
    struct token_ids ids;
};

enum hparam_type { HP_INT, HP_REAL, HP_BOOL, HP_WORD, HP_INTS };

/* One key of an architecture. Targets by offset: int, double, bool, int (index into
 * words), const struct json * (array of integers). An absent key leaves the target as it
 * is. */
struct hparam_key {
    const char *name;
    enum hparam_type type;
    size_t offset;
    double min, max;          /* inclusive, HP_INT and HP_REAL */
    const char *const *words; /* HP_WORD: NULL-terminated */
    bool required;
};

/* Whether a model_type is served; asked before any other key is read, so that a model of
 * another kind is refused by its name. 0, or an error that names what is served. */
typedef int hparams_served_fn(const char *model_type, struct err *err);

/* Loads dir/config.json. On failure nothing is kept. */
int hparams_open(struct hparams *h, const char *dir, hparams_served_fn *served,
                 struct err *err);
/* One file with the keys of config.json, whatever its name. */
int hparams_open_file(struct hparams *h, const char *path, hparams_served_fn *served,
                      struct err *err);
void hparams_close(struct hparams *h);

/* Reads the architecture's keys into out, then refuses every unknown key. ERR_FORMAT. */
int hparams_arch(const struct hparams *h, const struct hparam_key *keys, size_t n,
                 void *out, struct err *err);

#endif
