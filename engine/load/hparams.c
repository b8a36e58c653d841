/* Reading config.json. Runs at open, on the opening thread; `dir` is used for messages
 * only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/hparams.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 8 << 20 };

static const char *const no_effect[] = {
    "model_type",
    "auto_map",
    "_name_or_path",
    "id2label",
    "label2id",
    "return_dict",
    "architectures",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "initializer_range",
    "use_cache",
    "ssd_chunk_size",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "rope_scaling",
    "rope_parameters",
    "tie_word_embeddings",
};

#define COMMON(key, kind, field, lo, hi, need)                                           \
    {                                                                                    \
        key, kind, offsetof(struct hparams, field), lo, hi, NULL, need                   \
    }

static const struct hparam_key common_keys[] = {
    COMMON("vocab_size", HP_INT, vocab_size, 1, 1 << 24, true),
    COMMON("hidden_size", HP_INT, hidden_size, 1, 1 << 20, true),
    COMMON("num_hidden_layers", HP_INT, n_layers, 1, HPARAMS_MAX_LAYERS, true),
    COMMON("num_attention_heads", HP_INT, n_heads, 1, 1 << 16, true),
    COMMON("num_key_value_heads", HP_INT, n_kv_heads, 1, 1 << 16, false),
    COMMON("head_dim", HP_INT, head_dim, 1, 1 << 16, false),
    COMMON("intermediate_size", HP_INT, ffn_size, 1, 1 << 22, false),
    COMMON("max_position_embeddings", HP_INT, max_position, 1, 1 << 28, true),
    COMMON("rms_norm_eps", HP_REAL, rms_eps, 0, 1, false),
    COMMON("rope_theta", HP_REAL, rope.theta, 1, 1e15, false),
};
enum { N_COMMON = sizeof common_keys / sizeof *common_keys };

static int wrong(struct err *err, const char *key, const char *expected,
                 const struct json *v)
{
    char found[JSON_SHOWN];
    return err_set(err, ERR_FORMAT, "%s: expected %s, found %s", key, expected,
                   json_shown(v, found));
}

static int read_number(const struct hparam_key *k, const struct json *v, void *target,
                       struct err *err)
{
    char expected[96];
    bool whole = k->type == HP_INT;
    snprintf(expected, sizeof expected, "%s from %g to %g",
             whole ? "an integer" : "a number", k->min, k->max);
    if (whole ? json_kind(v) != JK_INT : !json_numeric(v))
        return wrong(err, k->name, expected, v);
    double x = json_as_number(v);
    if (!(x >= k->min && x <= k->max))
        return wrong(err, k->name, expected, v);
    if (whole)
        *(int *)target = (int)json_as_int(v);
    else
        *(double *)target = x;
    return 0;
}

static int read_word(const struct hparam_key *k, const struct json *v, int *target,
                     struct err *err)
{
    char expected[128] = "one of";
    size_t used = strlen(expected);
    for (int i = 0; k->words[i]; i++) {
        if (json_kind(v) == JK_STRING &&
            strcmp(json_as_string(v, NULL), k->words[i]) == 0) {
            *target = i;
            return 0;
        }
        int n = snprintf(expected + used, sizeof expected - used, " \"%s\"", k->words[i]);
        used += n > 0 && (size_t)n < sizeof expected - used ? (size_t)n : 0;
    }
    return wrong(err, k->name, expected, v);
}

static int read_key(const struct hparam_key *k, const struct json *v, char *out,
                    struct err *err)
{
    void *target = out + k->offset;
    switch (k->type) {
    case HP_INT:
    case HP_REAL:
        return read_number(k, v, target, err);
    case HP_WORD:
        return read_word(k, v, target, err);
    case HP_BOOL:
        if (json_kind(v) != JK_BOOL)
            return wrong(err, k->name, "true or false", v);
        *(bool *)target = json_as_bool(v);
        return 0;
    case HP_INTS:
        if (json_kind(v) != JK_ARRAY)
            return wrong(err, k->name, "an array of integers", v);
        for (size_t i = 0; i < json_len(v); i++)
            if (json_kind(json_at(v, i)) != JK_INT)
                return wrong(err, k->name, "an array of integers", json_at(v, i));
        *(const struct json **)target = v;
        return 0;
    }
    return 0;
}

static int read_keys(const struct json *doc, const struct hparam_key *keys, size_t n,
                     void *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_get(doc, keys[i].name);
        if (json_kind(v) == JK_ABSENT || json_kind(v) == JK_NULL) {
            if (keys[i].required)
                return wrong(err, keys[i].name, "a value", v);
            continue;
        }
        int rc = read_key(&keys[i], v, out, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- rope ------------------------------------------------------------------- */

static const char *const rope_words[] = {"default", "linear",   "llama3", "dynamic",
                                         "yarn",    "longrope", NULL};

struct rope_key {
    const char *name;
    size_t offset;
    double min;
    unsigned kinds;    /* bit per rope_kind that honours the key */
    unsigned required; /* bit per rope_kind that requires it */
};

#define ROPE_KEY(n, f, min, kinds, need)                                                 \
    {                                                                                    \
        n, offsetof(struct rope_params, f), min, kinds, need                             \
    }
#define BIT(k) (1u << (k))

static const struct rope_key rope_keys[] = {
    ROPE_KEY("rope_theta", theta, 1, ~0u, 0),
    ROPE_KEY("factor", factor, 1e-6, ~BIT(ROPE_DEFAULT),
             BIT(ROPE_LINEAR) | BIT(ROPE_LLAMA3) | BIT(ROPE_DYNAMIC) | BIT(ROPE_YARN)),
    ROPE_KEY("original_max_position_embeddings", original, 1, ~0u, 0),
    ROPE_KEY("low_freq_factor", low_freq_factor, 1e-9, BIT(ROPE_LLAMA3),
             BIT(ROPE_LLAMA3)),
    ROPE_KEY("high_freq_factor", high_freq_factor, 1e-9, BIT(ROPE_LLAMA3),
             BIT(ROPE_LLAMA3)),
    ROPE_KEY("beta_fast", beta_fast, 1e-9, BIT(ROPE_YARN), 0),
    ROPE_KEY("beta_slow", beta_slow, 1e-9, BIT(ROPE_YARN), 0),
    ROPE_KEY("attention_factor", attention_factor, 1e-9, BIT(ROPE_YARN) | BIT(ROPE_LONG),
             0),
};
enum { N_ROPE_KEYS = sizeof rope_keys / sizeof *rope_keys };

struct rope_reader {
    struct rope_params *r;
    const char *name; /* of the object: rope_scaling or rope_parameters */
    struct err *err;
};

static const struct rope_key *rope_key_of(const char *key)
{
    for (int i = 0; i < N_ROPE_KEYS; i++)
        if (strcmp(rope_keys[i].name, key) == 0)
            return &rope_keys[i];
    return NULL;
}

/* One member of the rope object, whose rope_type was read before. */
static int read_rope_member(void *arg, const char *key, size_t len, const struct json *v)
{
    (void)len;
    struct rope_reader *x = arg;
    char path[96];
    snprintf(path, sizeof path, "%s.%.60s", x->name, key);
    if (strcmp(key, "rope_type") == 0 || strcmp(key, "type") == 0 ||
        json_kind(v) == JK_NULL)
        return 0;
    if (strcmp(key, "partial_rotary_factor") == 0)
        return json_as_number(v) == 1 ? 0 : wrong(x->err, path, "1", v);
    bool is_short = strcmp(key, "short_factor") == 0;
    if (x->r->kind == ROPE_LONG && (is_short || strcmp(key, "long_factor") == 0)) {
        if (json_kind(v) != JK_ARRAY)
            return wrong(x->err, path, "an array of numbers", v);
        *(is_short ? &x->r->short_factor : &x->r->long_factor) = v;
        return 0;
    }
    const struct rope_key *k = rope_key_of(key);
    if (!k || !(k->kinds & BIT(x->r->kind)))
        return err_set(x->err, ERR_FORMAT, "%s: not known for rope type \"%s\"", path,
                       rope_words[x->r->kind]);
    if (!json_numeric(v) || !(json_as_number(v) >= k->min) ||
        !isfinite(json_as_number(v)))
        return wrong(x->err, path, "a positive number", v);
    *(double *)((char *)x->r + k->offset) = json_as_number(v);
    return 0;
}

static int check_rope(const struct rope_params *r, const char *name, struct err *err)
{
    for (int i = 0; i < N_ROPE_KEYS; i++)
        if ((rope_keys[i].required & BIT(r->kind)) &&
            *(const double *)((const char *)r + rope_keys[i].offset) == 0)
            return err_set(err, ERR_FORMAT, "%s.%s: expected a number for \"%s\"", name,
                           rope_keys[i].name, rope_words[r->kind]);
    if (r->kind == ROPE_LONG && (!r->short_factor || !r->long_factor))
        return err_set(err, ERR_FORMAT, "%s: longrope needs short_factor and long_factor",
                       name);
    if (r->kind == ROPE_LLAMA3 && !(r->high_freq_factor > r->low_freq_factor))
        return err_set(
            err, ERR_FORMAT,
            "%s.high_freq_factor: expected more than low_freq_factor %g, found %g", name,
            r->low_freq_factor, r->high_freq_factor);
    return 0;
}

/* rope_parameters is the newer name of rope_scaling; its rope_theta wins over the top
 * level's. */
static int read_rope(struct hparams *h, struct err *err)
{
    const struct json *newer = json_get(h->doc, "rope_parameters");
    const struct json *older = json_get(h->doc, "rope_scaling");
    bool has_newer = newer && json_kind(newer) != JK_NULL;
    if (has_newer && older && json_kind(older) != JK_NULL)
        return err_set(err, ERR_FORMAT,
                       "rope_scaling: expected nothing beside rope_parameters, found %s",
                       json_kind_name(older));
    const struct json *o = has_newer ? newer : older;
    if (!o || json_kind(o) == JK_NULL)
        return 0;
    const char *name = has_newer ? "rope_parameters" : "rope_scaling";
    if (json_kind(o) != JK_OBJECT)
        return wrong(err, name, "an object", o);
    const struct json *type = json_get(o, "rope_type");
    if (!type || json_kind(type) == JK_NULL)
        type = json_get(o, "type");
    if (type && json_kind(type) != JK_NULL) {
        char path[64];
        snprintf(path, sizeof path, "%s.rope_type", name);
        struct hparam_key k = {path, HP_WORD, 0, 0, 0, rope_words, true};
        int kind = 0;
        int rc = read_word(&k, type, &kind, err);
        if (rc)
            return rc;
        h->rope.kind = (enum rope_kind)kind;
    }
    struct rope_reader x = {&h->rope, name, err};
    int rc = json_each(o, read_rope_member, &x);
    return rc ? rc : check_rope(&h->rope, name, err);
}

/* ---- the whole -------------------------------------------------------------- */

static int read_common(struct hparams *h, hparams_served_fn *served, struct err *err)
{
    if (json_kind(h->doc) != JK_OBJECT)
        return wrong(err, "document", "an object", h->doc);
    const struct json *type = json_get(h->doc, "model_type");
    if (json_kind(type) != JK_STRING)
        return wrong(err, "model_type", "a string", type);
    h->arch = json_as_string(type, NULL);
    int rc = served(h->arch, err);
    if (rc == 0)
        rc = read_keys(h->doc, common_keys, N_COMMON, h, err);
    if (rc == 0)
        rc = read_rope(h, err);
    if (rc == 0)
        rc = token_ids_read(&h->ids, h->doc, h->vocab_size, err);
    if (rc)
        return rc;
    const struct json *tied = json_get(h->doc, "tie_word_embeddings");
    if (tied && json_kind(tied) != JK_BOOL)
        return wrong(err, "tie_word_embeddings", "true or false", tied);
    h->tied = tied ? json_as_bool(tied) : -1;
    if (!h->n_kv_heads)
        h->n_kv_heads = h->n_heads;
    if (h->n_heads % h->n_kv_heads)
        return err_set(
            err, ERR_FORMAT,
            "num_key_value_heads: expected a divisor of num_attention_heads %d, "
            "found %d",
            h->n_heads, h->n_kv_heads);
    return 0;
}

int hparams_open_file(struct hparams *h, const char *path, hparams_served_fn *served,
                      struct err *err)
{
    *h = (struct hparams){.rms_eps = 1e-6, .rope = {.theta = 10000}, .ids = {.bos = -1}};
    int rc = json_load(&h->doc, path, CONFIG_MAX_BYTES, err);
    if (rc)
        return rc;
    rc = read_common(h, served, err);
    if (rc) {
        err_prefix(err, "%.300s", path);
        hparams_close(h);
    }
    return rc;
}

int hparams_open(struct hparams *h, const char *dir, hparams_served_fn *served,
                 struct err *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/config.json", dir) >= (int)sizeof path)
        return err_set(err, ERR_ARGUMENT, "model folder: path longer than %zu bytes",
                       sizeof path);
    return hparams_open_file(h, path, served, err);
}

void hparams_close(struct hparams *h)
{
    json_free(h->doc);
    h->doc = NULL;
}

/* ---- the architecture's keys, and unknown ones ------------------------------ */

struct known {
    const struct hparam_key *keys;
    size_t n;
    struct err *err;
};

static bool in_table(const struct hparam_key *keys, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i].name, name) == 0)
            return true;
    return false;
}

static bool has_no_effect(const char *name)
{
    for (size_t i = 0; i < sizeof no_effect / sizeof *no_effect; i++)
        if (strcmp(no_effect[i], name) == 0)
            return true;
    return strncmp(name, "output_", 7) == 0 || strstr(name, "dropout") != NULL;
}

/* Keys accepted only with the value that the format implies anyway. */
static int check_implied(const char *name, const struct json *v, struct err *err)
{
    bool null = json_kind(v) == JK_NULL;
    const char *text = json_kind(v) == JK_STRING ? json_as_string(v, NULL) : "";
    double x = json_numeric(v) ? json_as_number(v) : NAN;
    if (strcmp(name, "hidden_act") == 0)
        return strcmp(text, "silu") == 0 ? 0 : wrong(err, name, "\"silu\"", v);
    if (strcmp(name, "sliding_window") == 0)
        return null ? 0 : wrong(err, name, "null", v);
    if (strcmp(name, "dynamic_mask_ratio") == 0)
        return x == 0 ? 0 : wrong(err, name, "0", v);
    if (strcmp(name, "pretraining_tp") == 0 || strcmp(name, "partial_rotary_factor") == 0)
        return x == 1 ? 0 : wrong(err, name, "1", v);
    return err_set(err, ERR_FORMAT, "%.100s: not a key this architecture knows", name);
}

static int check_known(void *arg, const char *key, size_t len, const struct json *v)
{
    (void)len;
    const struct known *k = arg;
    if (in_table(common_keys, N_COMMON, key) || in_table(k->keys, k->n, key) ||
        has_no_effect(key))
        return 0;
    return check_implied(key, v, k->err);
}

int hparams_arch(const struct hparams *h, const struct hparam_key *keys, size_t n,
                 void *out, struct err *err)
{
    int rc = read_keys(h->doc, keys, n, out, err);
    if (rc == 0) {
        struct known k = {keys, n, err};
        rc = json_each(h->doc, check_known, &k);
    }
    return rc ? err_prefix(err, "config.json (%s)", h->arch) : 0;
}
