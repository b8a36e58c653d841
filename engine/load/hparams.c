/* Reading config.json: the common keys, and which others may stand beside them. Runs at
 * open, on the opening thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/hparams.h"

#include "engine/base/file.h"

#include <fnmatch.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 8 << 20 };

/* Globs of keys without effect on a value. */
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
    "output_hidden_states",
    "output_attentions",
    "output_router_logits",
    "output_scores",
    "*dropout*",
    NULL,
};

/* The same in any configuration that transformers writes. */
static const char *const no_effect_of_transformers[] = {
    "time_step_min",
    "time_step_max",
    "time_step_floor",
    "time_step_rank",
    "*chunk_size",
    "residual_in_fp32",
    "rescale_prenorm_residual",
    "use_mamba_kernels",
    "mamba_ssm_*dtype",
    "num_logits_to_keep",
    "router_aux_loss_coef",
    "z_loss_coefficient",
    "mtp_*",
    "num_nextn_predict_layers",
    "mrope_*",
    "use_mrope",
    "linear_a_log_*",
    "linear_dt_*",
    "_sliding_window_pattern",
    "attn_rotary_emb",
    "moe_shared_expert_overlap",
    "cache_implementation",
    "init_method",
    "language_model_only",
    "vision_config",
    "image_token_id",
    "video_token_id",
    "vision_start_token_id",
    "vision_end_token_id",
    "*_eps",
    "*_epsilon",
    "chunk_size_feed_forward",
    "problem_type",
    "quantization_config", /* null, as compression_config: refuse_quantised */
    "compression_config",
    "_attn_implementation*",
    "_commit_hash",
    "is_llama_config",
    "transformers.js_config",
    "unsloth_*",
    "model_name",
    "tokenizer_class",
    "sep_token_id",
    NULL,
};

/* Keys that are accepted only with what the format implies anyway. */
static const struct hparam_only implied[] = {
    {"hidden_act", "silu"},  {"sliding_window", "null"},     {"dynamic_mask_ratio", "0"},
    {"pretraining_tp", "1"}, {"partial_rotary_factor", "1"}, {NULL, NULL},
};

static const struct hparam_only implied_of_transformers[] = {
    {"mamba_hidden_act", "silu"},
    {"attn_output_gate", "true"},
    {"output_gate_type", "silu swish"},
    {"mlp_hidden_act", "relu2"},
    {"hidden_activation", "gelu_pytorch_tanh"},
    {"*_logit_softcapping", "null"},
    {"use_bidirectional_attention", "false null"},
    {"mamba_use_mlp", "true"},
    {"block_use_swiglu", "true"},
    {"rope_interleaved", "false"},
    {"attention_chunk_size", "null"},
    {"use_pos_enc", "true"},
    {"normalization_function", "rmsnorm"},
    {"n_shared_experts", "1"},
    {"is_encoder_decoder", "false"},
    {"is_decoder", "false"},
    {"add_cross_attention", "false"},
    {NULL, NULL},
};

#define COMMON(key, kind, field, lo, hi, need)                                           \
    {                                                                                    \
        key, kind, offsetof(struct hparams, field), lo, hi, NULL, need                   \
    }

static const struct hparam_key common_keys[] = {
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
enum { N_COMMON = sizeof common_keys / sizeof *common_keys };

/* ---- spellings -------------------------------------------------------------- */

static const struct json *get_one(const struct hparams *h, const char *key)
{
    const struct json *v = h->text ? json_get(h->text, key) : NULL;
    return v ? v : json_get(h->doc, key);
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
    int rc = hparams_read(h, common_keys, N_COMMON, h, err);
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

/* ---- the architecture's keys, and unknown ones ------------------------------ */

struct known {
    const struct hparams *h;
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

static bool is_alias(const struct hparam_family *f, const char *name)
{
    for (const struct hparam_alias *a = f->aliases; a && a->name; a++)
        if (strcmp(a->alias, name) == 0)
            return true;
    return false;
}

static bool matches(const char *const *globs, const char *name)
{
    for (; globs && *globs; globs++)
        if (fnmatch(*globs, name, 0) == 0)
            return true;
    return false;
}

static const struct hparam_only *only_of(const struct hparam_only *list, const char *name)
{
    for (; list && list->name; list++)
        if (fnmatch(list->name, name, 0) == 0)
            return list;
    return NULL;
}

static bool is_common_value(const struct hparams *h, const char *key, double x)
{
    for (int i = 0; i < N_COMMON; i++)
        if (strcmp(common_keys[i].name, key) == 0)
            return x == *(const int *)((const char *)h + common_keys[i].offset);
    return false;
}

/* Whether an item of a list of values stands for a string. */
static bool is_word(const char *item)
{
    return *item >= 'a' && *item <= 'z' && strcmp(item, "null") != 0 &&
           strcmp(item, "true") != 0 && strcmp(item, "false") != 0;
}

/* Whether the value is what an item of a list of values says. */
static bool is_value(const struct hparams *h, const struct json *v, const char *word)
{
    double x;
    if (json_kind(v) == JK_NULL)
        return strcmp(word, "null") == 0;
    if (json_kind(v) == JK_BOOL)
        return strcmp(word, json_as_bool(v) ? "true" : "false") == 0;
    if (json_kind(v) == JK_STRING)
        return is_word(word) && strcmp(word, json_as_string(v, NULL)) == 0;
    if (json_kind(v) == JK_ARRAY)
        return json_len(v) == 0 && strcmp(word, "[]") == 0;
    if (!hparams_number(v, &x))
        return false;
    char text[32];
    snprintf(text, sizeof text, "%.17g", x);
    return *word == '=' ? is_common_value(h, word + 1, x) : strcmp(word, text) == 0;
}

static int check_value(const struct known *k, const char *name, const struct json *v,
                       const char *values)
{
    char list[128], expected[192], *save = NULL;
    size_t used = 0;
    snprintf(list, sizeof list, "%s", values);
    for (char *w = strtok_r(list, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        if (is_value(k->h, v, w))
            return 0;
        const char *quote = is_word(w) ? "\"" : "";
        int n = snprintf(expected + used, sizeof expected - used, "%s%s%s%s",
                         used ? " or " : "", quote, w + (*w == '='), quote);
        used += n > 0 && (size_t)n < sizeof expected - used ? (size_t)n : 0;
    }
    return hparams_wrong(k->err, name, expected, v);
}

/* Whether another reader has taken the key already. */
static bool is_read(const struct known *k, const char *key, const struct json *v)
{
    const struct hparam_family *f = k->h->family;
    return in_table(k->keys, k->n, key) || is_alias(f, key) || matches(f->lists, key) ||
           strcmp(key, f->eps_key ? f->eps_key : "rms_norm_eps") == 0 ||
           (k->h->text && v == k->h->text) ||
           (strcmp(key, "partial_rotary_factor") == 0 && (f->partial || f->no_rope)) ||
           (strcmp(key, "rope_local_base_freq") == 0 && f->rope_by_type);
}

/* What the key is accepted with, by the first list that names it: the family's, that of
 * transformers, that of the formats. NULL: any value. */
static int find_rule(const struct known *k, const char *key, const char **values)
{
    const struct hparam_family *f = k->h->family;
    const struct {
        const char *const *free;
        const struct hparam_only *only;
    } lists[] = {
        {f->no_effect, f->only},
        {f->of_transformers ? no_effect_of_transformers : NULL,
         f->of_transformers ? implied_of_transformers : NULL},
        {no_effect, implied},
    };
    *values = NULL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct hparam_only *only = only_of(lists[i].only, key);
        if (only)
            *values = only->values;
        if (only || matches(lists[i].free, key) ||
            (i == 0 && in_table(common_keys, N_COMMON, key)))
            return 0;
    }
    return err_set(k->err, ERR_FORMAT, "%.100s: not a key this architecture knows", key);
}

static int check_known(void *arg, const char *key, size_t len, const struct json *v)
{
    (void)len;
    const struct known *k = arg;
    const char *values;
    if (is_read(k, key, v))
        return 0;
    int rc = find_rule(k, key, &values);
    return rc || !values ? rc : check_value(k, key, v, values);
}

int hparams_arch(const struct hparams *h, const struct hparam_key *keys, size_t n,
                 void *out, struct err *err)
{
    struct known k = {h, keys, n, err};
    int rc = hparams_read(h, keys, n, out, err);
    if (rc == 0)
        rc = json_each(h->doc, check_known, &k);
    if (rc == 0 && h->text)
        rc = json_each(h->text, check_known, &k);
    return rc ? err_prefix(err, "config.json (%s)", h->arch) : 0;
}
