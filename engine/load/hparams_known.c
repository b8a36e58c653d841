/* Which keys config.json may have beside those that are read: without effect, or with one
 * value. Any other is refused by name. Runs at open, on the opening thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/hparams.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

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

struct known {
    const struct hparams *h;
    const struct hparam_key *keys;
    size_t n;
    struct err *err;
    bool outside; /* at the top level, where text_config is what counts */
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

static bool is_eps(const struct hparam_family *f, const char *name)
{
    return strcmp(name, f->eps_key ? f->eps_key : "rms_norm_eps") == 0;
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
    for (int i = 0; i < HPARAMS_N_COMMON; i++)
        if (strcmp(hparams_common[i].name, key) == 0)
            return x == *(const int *)((const char *)h + hparams_common[i].offset);
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
           is_eps(f, key) || (k->h->text && v == k->h->text) ||
           (strcmp(key, "partial_rotary_factor") == 0 && (f->partial || f->no_rope)) ||
           (strcmp(key, "rope_local_base_freq") == 0 && f->rope_by_type);
}

/* Whether the key would change a model of text. */
static bool is_text_key(const struct known *k, const char *key)
{
    return in_table(k->keys, k->n, key) || is_alias(k->h->family, key) ||
           in_table(hparams_common, HPARAMS_N_COMMON, key) || is_eps(k->h->family, key);
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
            (i == 0 && in_table(hparams_common, HPARAMS_N_COMMON, key)))
            return 0;
    }
    return err_set(k->err, ERR_FORMAT, "%.100s: not a key this architecture knows", key);
}

static int check_known(void *arg, const char *key, size_t len, const struct json *v)
{
    (void)len;
    const struct known *k = arg;
    const char *values;
    if (k->outside && !json_get(k->h->text, key) && is_text_key(k, key))
        return err_set(k->err, ERR_FORMAT,
                       "%.100s: expected in text_config, found at the top level", key);
    if (is_read(k, key, v))
        return 0;
    int rc = find_rule(k, key, &values);
    return rc || !values ? rc : check_value(k, key, v, values);
}

int hparams_arch(const struct hparams *h, const struct hparam_key *keys, size_t n,
                 void *out, struct err *err)
{
    struct known k = {h, keys, n, err, h->text != NULL};
    int rc = hparams_read(h, keys, n, out, err);
    if (rc == 0)
        rc = json_each(h->doc, check_known, &k);
    k.outside = false;
    if (rc == 0 && h->text)
        rc = json_each(h->text, check_known, &k);
    return rc ? err_prefix(err, "config.json (%s)", h->arch) : 0;
}
