/*
 * config.json: the hyper-parameters of a model folder.
 *
 * Strict by table: a key is common (struct hparams), the architecture's own (its table),
 * another spelling of one of these, one that never changes a value, or one that is
 * accepted only with the value the format implies. Anything else is an error that names
 * file, key, expected and found; a quantised checkpoint is refused as one before any size.
 * What a family of architectures spells differently, and what it assumes where a key is
 * absent, is data (struct hparam_family) of its arch file; here no architecture is named.
 *
 * A folder with `text_config` is read there; tie_word_embeddings and token ids may stand at
 * the top level too. Python's bare Infinity and NaN are read, as numbers of the keys that
 * allow them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_HPARAMS_H
#define ENGINE_LOAD_HPARAMS_H

#include "engine/base/err.h"
#include "engine/base/json.h"
#include "engine/load/rope_params.h"
#include "engine/load/token_ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HPARAMS_MAX_LAYERS = 4096 };

struct hparams {
    struct json *doc;        /* owns config.json */
    const struct json *text; /* its text_config, or NULL; borrows from doc */
    const char *arch;        /* borrows: model_type */
    const struct hparam_family *family;
    int vocab_size, hidden_size, n_layers, n_heads, n_kv_heads, head_dim, ffn_size;
    int max_position;
    double rms_eps;
    struct rope_params rope;
    struct rope_params rope_local; /* of sliding layers, rope_by_type only */
    bool tied;
    struct token_ids ids;
};

enum hparam_type {
    HP_INT,
    HP_AUTO, /* an integer, or "auto" = 0 */
    HP_REAL,
    HP_BOOL,
    HP_WORD,
    HP_INTS,
    HP_REALS_2, /* a list of two numbers, */
    HP_REALS_5, /* of five */
    HP_JSON     /* any value; the architecture checks it */
};

/* One key of an architecture. Targets by offset: int, int, double, bool, int (index into
 * words), const struct json * (array of integers), double[2], double[5], const struct json *. An
 * absent or null key leaves the target as it is. */
struct hparam_key {
    const char *name;
    enum hparam_type type;
    size_t offset;
    double min, max;          /* inclusive, HP_INT to HP_REAL and lists; a max of INFINITY
                               * allows infinity */
    const char *const *words; /* HP_WORD: NULL-terminated */
    bool required;
};

/* Another spelling of a key. Where both are there and differ, it is an error, or the alias
 * wins. */
struct hparam_alias {
    const char *alias, *name;
    bool wins;
};

/* A key that is accepted with certain values only: words, numbers, true, false, null,
 * [] or =key (the value of a common key), apart by blanks. The name is a glob. */
struct hparam_only {
    const char *name, *values;
};

enum hparam_tied { HEAD_UNTIED, HEAD_TIED, HEAD_NEVER_TIED, HEAD_ALWAYS_TIED };

/* How a family of architectures writes its configuration, and what it assumes where a key
 * is absent. Static data; zeroed = the forms of models.md. */
struct hparam_family {
    const char *eps_key; /* NULL: rms_norm_eps */
    double eps;          /* 0: 1e-6 */
    double theta;        /* 0: 10000 */
    double theta_local;  /* rope_by_type */
    double partial;   /* share of head_dim that RoPE rotates; 0: all, no key changes it */
    int head_dim;     /* 0: hidden_size / num_attention_heads */
    int n_kv_heads;   /* 0: num_attention_heads; a null is that in any family */
    int max_position; /* 0: the key is required */
    enum hparam_tied tied; /* where tie_word_embeddings is absent, or in any case */
    bool of_transformers;  /* as transformers writes it: its keys without effect and its
                            * implied values are accepted */
    bool nested;           /* the text model stands in text_config */
    bool no_attention;     /* num_attention_heads may be absent */
    bool no_ffn;           /* intermediate_size may be absent */
    bool no_rope;          /* RoPE keys have no effect */
    bool rope_by_type;  /* one set of RoPE parameters for full, one for sliding layers */
    bool partial_fixed; /* partial_rotary_factor has no effect but in rope_parameters */
    bool depth_by_list; /* the first of lists that is there is as long as the model is
                            * deep */
    const char *const *lists; /* keys that the architecture reads by layer_list.h, ended
                               * by NULL; or NULL */
    const struct hparam_alias *aliases; /* ended by a NULL name, or NULL */
    const char *const *no_effect;       /* globs ended by NULL, or NULL */
    const struct hparam_only *only;     /* ended by a NULL name, or NULL */
    const char *const *left_out; /* prefixes of tensors that are not read, or NULL */
};

/* The family of a model_type, or NULL with an error that names what is served. Asked
 * before any other key is read, so that a model of another kind is refused by its name. */
typedef const struct hparam_family *hparams_find_fn(const char *model_type,
                                                    struct err *err);

/* Loads dir/config.json. On failure nothing is kept. */
int hparams_open(struct hparams *h, const char *dir, hparams_find_fn *find,
                 struct err *err);
/* One file with the keys of config.json, whatever its name. */
int hparams_open_file(struct hparams *h, const char *path, hparams_find_fn *find,
                      struct err *err);
void hparams_close(struct hparams *h);

/* The value of a key under any of its spellings. NULL: absent. */
const struct json *hparams_get(const struct hparams *h, const char *key);

/* Reads the architecture's keys into out, then refuses every unknown key. ERR_FORMAT. */
int hparams_arch(const struct hparams *h, const struct hparam_key *keys, size_t n,
                 void *out, struct err *err);

/* ---- parts, for the files of this reader ---- */

/* The common keys, into struct hparams. */
enum { HPARAMS_N_COMMON = 9 };
extern const struct hparam_key hparams_common[HPARAMS_N_COMMON];

/* Reads n keys into out, without refusing others. */
int hparams_read(const struct hparams *h, const struct hparam_key *keys, size_t n,
                 void *out, struct err *err);

/* ERR_FORMAT "key: expected …, found …". */
int hparams_wrong(struct err *err, const char *key, const char *expected,
                  const struct json *v);

/* A number, Python's Infinity included; false where v is none. */
bool hparams_number(const struct json *v, double *out);

#endif
