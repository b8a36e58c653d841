/* Reading config.json: the common keys in the spelling of the family. Runs at open, on the
 * opening thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/hparams.h"

#include "engine/base/file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 8 << 20 };

#define COMMON(key, kind, field, lo, hi, need)                                           \
    {                                                                                    \
        key, kind, offsetof(struct hparams, field), lo, hi, NULL, need                   \
    }

const struct hparam_key hparams_common[] = {
    COMMON("vocab_size", HP_INT, vocab_size, 1, 1 << 24, true),
    COMMON("hidden_size", HP_INT, hidden_size, 1, 1 << 20, true),
    COMMON("num_hidden_layers", HP_INT, n_layers, 1, HPARAMS_MAX_LAYERS, false),
    COMMON("num_attention_heads", HP_INT, n_heads, 1, 1 << 16, false),
    COMMON("num_key_value_heads", HP_INT, n_kv_heads, 1, 1 << 16, false),
    COMMON("head_dim", HP_INT, head_dim, 1, 1 << 16, false),
    COMMON("intermediate_size", HP_INT, ffn_size, 1, 1 << 22, false),
    COMMON("max_position_embeddings", HP_INT, max_position, 1, 1 << 28, false),
    COMMON("rope_theta", HP_REAL, rope.theta, 1, 1e15, false),
};

/* ---- spellings -------------------------------------------------------------- */

static const struct json *get_one(const struct hparams *h, const char *key)
{
    const struct json *v = json_get(h->text ? h->text : h->doc, key);
    bool outside = strcmp(key, "tie_word_embeddings") == 0; /* may stand there too */
    return v || !outside ? v : json_get(h->doc, key);
}

const struct json *hparams_get(const struct hparams *h, const char *key)
{
    const struct json *v = get_one(h, key);
    const struct hparam_alias *a = h->family->aliases;
    for (; a && a->name; a++) {
        const struct json *other =
            strcmp(a->name, key) == 0 ? get_one(h, a->alias) : NULL;
        if (json_kind(other) > JK_NULL && (a->wins || json_kind(v) <= JK_NULL))
            v = other;
    }
    return v;
}

/* Two spellings of one key must not differ. */
static int check_aliases(const struct hparams *h, struct err *err)
{
    const struct hparam_alias *a = h->family->aliases;
    for (; a && a->name; a++) {
        const struct json *v = get_one(h, a->name), *other = get_one(h, a->alias);
        char expected[160];
        if (a->wins || json_kind(v) <= JK_NULL || json_kind(other) <= JK_NULL ||
            json_equal_values(v, other))
            continue;
        snprintf(expected, sizeof expected,
                 "the value of %s, which is another name of it", a->name);
        return hparams_wrong(err, a->alias, expected, other);
    }
    return 0;
}

/* ---- common keys ------------------------------------------------------------ */

static int require(const struct hparams *h, const char *key, struct err *err)
{
    const struct json *v = hparams_get(h, key);
    return json_kind(v) > JK_NULL ? 0 : hparams_wrong(err, key, "a value", v);
}

static void read_depth(struct hparams *h)
{
    for (const char *const *key = h->family->lists; key && *key; key++) {
        const struct json *v = hparams_get(h, *key);
        size_t n = 0;
        if (json_kind(v) == JK_STRING)
            json_as_string(v, &n);
        else if (json_kind(v) == JK_ARRAY)
            n = json_len(v);
        if (n > 0 && n <= HPARAMS_MAX_LAYERS) {
            h->n_layers = (int)n;
            return;
        }
    }
}

static int read_eps(struct hparams *h, struct err *err)
{
    const struct hparam_key k = {h->family->eps_key ? h->family->eps_key : "rms_norm_eps",
                                 HP_REAL,
                                 offsetof(struct hparams, rms_eps),
                                 0,
                                 1,
                                 NULL,
                                 false};
    return hparams_read(h, &k, 1, h, err);
}

static int check_heads(struct hparams *h, struct err *err)
{
    if (!h->n_heads)
        return 0;
    bool absent = !hparams_get(h, "num_key_value_heads");
    if (absent)
        h->n_kv_heads = h->family->n_kv_heads;
    if (!h->n_kv_heads)
        h->n_kv_heads = h->n_heads;
    if (h->n_heads % h->n_kv_heads == 0)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "num_key_value_heads: expected a divisor of num_attention_heads %d, "
                   "found %s%d",
                   h->n_heads, absent ? "nothing, which is " : "", h->n_kv_heads);
}

static int read_tied(struct hparams *h, struct err *err)
{
    enum hparam_tied tied = h->family->tied;
    const struct json *v = hparams_get(h, "tie_word_embeddings");
    if (v && json_kind(v) != JK_BOOL)
        return hparams_wrong(err, "tie_word_embeddings", "true or false", v);
    if (v && !json_as_bool(v) && tied == HEAD_ALWAYS_TIED)
        return hparams_wrong(err, "tie_word_embeddings", "true", v);
    h->tied = tied == HEAD_ALWAYS_TIED ||
              (tied != HEAD_NEVER_TIED && (v ? json_as_bool(v) : tied == HEAD_TIED));
    return 0;
}

/* Weights that need another arithmetic than their types say. */
static int refuse_quantised(struct hparams *h, struct err *err)
{
    static const char *const keys[] = {"quantization_config", "compression_config"};
    for (int i = 0; i < 2; i++) {
        const struct json *v = hparams_get(h, keys[i]);
        const struct json *method =
            json_kind(v) == JK_OBJECT ? json_get(v, "quant_method") : NULL;
        if (json_kind(v) > JK_NULL)
            return hparams_wrong(
                err, keys[i],
                "none (a quantised checkpoint is not served: give weights in "
                "F32, F16 or BF16, see ssmd quantize)",
                method ? method : v);
    }
    return 0;
}

/* The sizes, and that those without a default are there. */
static int read_sizes(struct hparams *h, struct err *err)
{
    const struct hparam_family *f = h->family;
    int rc = hparams_read(h, hparams_common, HPARAMS_N_COMMON, h, err);
    if (rc == 0 && f->depth_by_list)
        read_depth(h);
    if (rc == 0 && !h->n_layers)
        rc = require(h, "num_hidden_layers", err);
    if (rc == 0 && !f->no_attention)
        rc = require(h, "num_attention_heads", err);
    if (rc == 0 && !f->max_position)
        rc = require(h, "max_position_embeddings", err);
    return rc ? rc : check_heads(h, err);
}

static void set_defaults(struct hparams *h)
{
    const struct hparam_family *f = h->family;
    h->rms_eps = f->eps ? f->eps : 1e-6;
    h->rope.theta = f->theta ? f->theta : 10000;
    h->rope_local.theta = f->theta_local ? f->theta_local : 10000;
    h->rope.partial = h->rope_local.partial = f->partial ? f->partial : 1;
    h->head_dim = f->head_dim;
    h->max_position = f->max_position;
}

static int find_text(struct hparams *h, struct err *err)
{
    const struct json *text = json_get(h->doc, "text_config");
    char expected[160];
    if (!h->family->nested)
        return 0;
    snprintf(expected, sizeof expected,
             "an object (a text model alone has model_type %.60s_text)", h->arch);
    if (json_kind(text) != JK_OBJECT)
        return hparams_wrong(err, "text_config", expected, text);
    h->text = text;
    return 0;
}

/* Token ids may stand at the top level although text_config is there. */
static int read_ids(struct hparams *h, struct err *err)
{
    int rc = token_ids_read(&h->ids, h->doc, h->vocab_size, err);
    return rc || !h->text ? rc : token_ids_read(&h->ids, h->text, h->vocab_size, err);
}

static int read_all(struct hparams *h, hparams_find_fn *find, struct err *err)
{
    if (json_kind(h->doc) != JK_OBJECT)
        return hparams_wrong(err, "document", "an object", h->doc);
    const struct json *type = json_get(h->doc, "model_type");
    if (json_kind(type) != JK_STRING)
        return hparams_wrong(err, "model_type", "a string", type);
    h->arch = json_as_string(type, NULL);
    h->family = find(h->arch, err);
    if (!h->family)
        return -ERR_FORMAT;
    set_defaults(h);
    int (*const steps[])(struct hparams *, struct err *) = {
        find_text,        refuse_quantised, read_sizes, read_eps,
        rope_params_read, read_ids,         read_tied};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof steps / sizeof *steps; i++)
        rc = steps[i](h, err);
    return rc ? rc : check_aliases(h, err);
}

int hparams_open_file(struct hparams *h, const char *path, hparams_find_fn *find,
                      struct err *err)
{
    *h = (struct hparams){.ids.bos = -1};
    int rc = json_load_python(&h->doc, path, CONFIG_MAX_BYTES, err);
    if (rc)
        return rc;
    rc = read_all(h, find, err);
    if (rc) {
        err_prefix(err, "%.300s", path);
        hparams_close(h);
    }
    return rc;
}

int hparams_open(struct hparams *h, const char *dir, hparams_find_fn *find,
                 struct err *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/config.json", dir) >= (int)sizeof path)
        return err_set(err, ERR_ARGUMENT, "model folder: path longer than %zu bytes",
                       sizeof path);
    return hparams_open_file(h, path, find, err);
}

void hparams_close(struct hparams *h)
{
    json_free(h->doc);
    h->doc = NULL;
}
