/*
 * Qwen 3.5's dense text models: layers of gated DeltaNet with gated attention between
 * them. qwen3_5 is the whole model of text and images, of which the text part is served;
 * qwen3_5_text is that alone. Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/model/arch_gdn.h"
#include "engine/model/arch_llama.h"

#include <string.h>

struct qwen {
    struct llama_layer layer;
    int interval; /* of attention layers */
    struct gdn_spec gdn;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

static const struct hparam_key keys[] = {
    ARCH_GDN_KEYS(qwen, gdn),
    {"full_attention_interval", HP_INT, offsetof(struct qwen, interval), 1, 1 << 16, NULL,
     false},
    {"attention_bias", HP_BOOL, offsetof(struct qwen, layer.attention_bias), 0, 0, NULL,
     false},
};

/* The text model that the whole one has. */
static int check_text(const struct hparams *hp, struct err *err)
{
    const struct json *type = json_get(hp->text, "model_type");
    if (json_kind(type) <= JK_NULL ||
        (json_kind(type) == JK_STRING &&
         strcmp(json_as_string(type, NULL), "qwen3_5_text") == 0))
        return 0;
    hparams_wrong(err, "text_config.model_type", "\"qwen3_5_text\"", type);
    return err_prefix(err, "config.json (%s)", hp->arch);
}

static int read_config(struct qwen *p, struct model *m, struct err *err)
{
    const struct hparams *hp = &m->hp;
    *p = (struct qwen){.layer = {.head_norms = true, .one_plus = true, .gated = true},
                       .interval = 4,
                       .gdn = {.qkv = {"linear_attn.in_proj_qkv"},
                               .z = "linear_attn.in_proj_z",
                               .b = "linear_attn.in_proj_b",
                               .a = "linear_attn.in_proj_a",
                               .out = "linear_attn.out_proj",
                               .conv = {"linear_attn.conv1d"},
                               .a_log = "linear_attn.A_log",
                               .dt_bias = "linear_attn.dt_bias",
                               .norm = "linear_attn.norm.weight",
                               .n_key_heads = 16,
                               .n_value_heads = 32,
                               .key_dim = 128,
                               .value_dim = 128,
                               .n_taps = 4,
                               .norm_eps = hp->rms_eps,
                               .beta_scale = 1}};
    int rc = check_text(hp, err);
    if (rc)
        return rc;
    rc = hparams_arch(hp, keys, sizeof keys / sizeof *keys, p, err);
    layer_list_every(hp->n_layers, p->interval, LAYER_ATTN, p->kinds);
    if (rc == 0)
        rc = arch_gdn_layers(hp, p->kinds, err);
    return rc ? rc : arch_gdn_check(&p->gdn, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct qwen *p = arch;
    const struct hparams *hp = &m->hp;
    struct block *blk = &m->blocks[i];
    if (p->kinds[i] == LAYER_ATTN)
        return arch_llama_layer(blk, hp, &p->layer, b, err);
    struct stage *st = block_stage(blk);
    int rc = norm_bind_one_plus(&st->norm, b, "input_layernorm.weight", b->hidden_size,
                                hp->rms_eps, err);
    if (rc == 0)
        rc = stage_mixer(st, &mixer_gdn, &p->gdn, b, err);
    return rc ? rc : arch_llama_ffn(blk, hp, &p->layer, b, err);
}

/* Text tensors lie under model.language_model in a model of text and images, whatever its
 * configuration was cut down to. */
static int find_text(const struct bind *b, const char **prefix, struct err *err)
{
    static const char *const prefixes[] = {"model.language_model.", "model."};
    for (int i = 0; i < 2; i++) {
        struct bind under = bind_under(b, "%s", prefixes[i]);
        *prefix = prefixes[i];
        if (bind_has(&under, "norm.weight"))
            return 0;
    }
    if (bind_has(b, "model.visual.patch_embed.proj.weight"))
        return err_set(err, ERR_FORMAT,
                       "tensor model.language_model.norm.weight: expected the text part "
                       "of the model, found model.visual.* only, which is not served");
    return 0;
}

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct qwen p;
    const char *prefix = NULL;
    int width = (int)(m->hp.head_dim * m->hp.rope.partial);
    int rc = read_config(&p, m, err);
    if (rc == 0)
        rc = find_text(b, &prefix, err);
    if (rc == 0)
        rc = model_rope(m, &p.layer.rope, &m->hp.rope, width, false, err);
    const struct frame frame = {.root = prefix,
                                .embed = "embed_tokens",
                                .norm = "norm",
                                .norm_one_plus = true,
                                .layer = build_layer};
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const char *const left_out[] = {"model.visual.", "mtp.", NULL};
static const char *const lists[] = {"layer_types", NULL};
static const struct hparam_only only[] = {{"mlp_only_layers", "[] null"}, {NULL, NULL}};

#define FAMILY(has_text)                                                                 \
    {                                                                                    \
        .of_transformers = true, .n_kv_heads = 4, .nested = has_text, .partial = 0.25,   \
        .head_dim = 256, .max_position = 32768, .left_out = left_out, .lists = lists,    \
        .only = only                                                                     \
    }

static const struct hparam_family whole = FAMILY(true), text_only = FAMILY(false);

const struct arch arch_qwen3_5 = {"qwen3_5", &whole, build},
                  arch_qwen3_5_text = {"qwen3_5_text", &text_only, build};
