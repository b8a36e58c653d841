/*
 * Nemotron-H (arXiv 2504.03624): one mixer a layer, Mamba-2, attention without a position
 * code or a feed-forward layer with squared ReLU. Layers of experts are refused. Names
 * only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/mixer/attn.h"
#include "engine/mixer/ffn.h"
#include "engine/model/arch_mamba2.h"
#include "engine/model/frame.h"

#include <math.h>
#include <stdio.h>

enum layer_kind { LAYER_NONE, LAYER_MAMBA, LAYER_ATTN, LAYER_MLP, LAYER_EXPERTS };

struct nemotron_h {
    struct mamba2_layer mamba;
    bool mlp_bias;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

#define KEY(name, type, field, lo, hi)                                                   \
    {                                                                                    \
        name, type, offsetof(struct nemotron_h, field), lo, hi, NULL, false              \
    }

static const struct hparam_key keys[] = {
    KEY("time_step_limit", HP_REALS_2, mamba.dt_limit, 0, INFINITY),
    KEY("mamba_num_heads", HP_INT, mamba.n_heads, 1, 1 << 16),
    KEY("mamba_head_dim", HP_INT, mamba.head_dim, 1, 1 << 16),
    KEY("ssm_state_size", HP_INT, mamba.n_state, 1, 1 << 16),
    KEY("n_groups", HP_INT, mamba.n_groups, 1, 1 << 16),
    KEY("conv_kernel", HP_INT, mamba.n_taps, 1, 1 << 10),
    KEY("use_bias", HP_BOOL, mamba.proj_bias, 0, 0),
    KEY("use_conv_bias", HP_BOOL, mamba.conv_bias, 0, 0),
    KEY("mlp_bias", HP_BOOL, mlp_bias, 0, 0),
};

static const struct layer_word words[] = {{"linear_attention", LAYER_MAMBA},
                                          {"mamba", LAYER_MAMBA},
                                          {"full_attention", LAYER_ATTN},
                                          {"attention", LAYER_ATTN},
                                          {"mlp", LAYER_MLP},
                                          {"moe", LAYER_EXPERTS},
                                          {NULL, 0}};
static const struct layer_word letters[] = {{"M", LAYER_MAMBA},
                                            {"*", LAYER_ATTN},
                                            {"-", LAYER_MLP},
                                            {"E", LAYER_EXPERTS},
                                            {NULL, 0}};

/* The first that is there wins. */
static const char *const lists[] = {"layers_block_type", "layer_types",
                                    "hybrid_override_pattern", NULL};

static int read_layers(struct nemotron_h *p, const struct hparams *hp, struct err *err)
{
    int rc = layer_list_letters(hp, lists[2], letters, p->kinds, err);
    for (int i = 1; rc == 0 && i >= 0; i--)
        rc = layer_list_words(hp, lists[i], words, p->kinds, err);
    for (int i = 0; rc == 0 && i < hp->n_layers; i++) {
        if (p->kinds[i] == LAYER_NONE)
            return err_set(err, ERR_FORMAT,
                           "config.json: layers_block_type: expected a list of layers or "
                           "hybrid_override_pattern, found neither");
        if (p->kinds[i] == LAYER_EXPERTS)
            return err_set(err, ERR_FORMAT,
                           "config.json: layer %d: expected Mamba-2, attention or MLP, "
                           "found experts, which are not served",
                           i);
    }
    return rc;
}

static int read_config(struct nemotron_h *p, const struct hparams *hp, struct err *err)
{
    *p = (struct nemotron_h){.mamba = {.dt_limit = {0, INFINITY},
                                       .n_heads = 128,
                                       .head_dim = 64,
                                       .n_state = 128,
                                       .n_groups = 8,
                                       .n_taps = 4,
                                       .conv_bias = true}};
    int rc = hparams_arch(hp, keys, sizeof keys / sizeof *keys, p, err);
    return rc ? rc : read_layers(p, hp, err);
}

static int bind_mamba(struct stage *st, const struct nemotron_h *p, double eps,
                      const struct bind *b, struct err *err)
{
    struct mamba2_spec spec = arch_mamba2_spec(&p->mamba, eps);
    spec.norm = MAMBA2_NORM_GROUPS;
    return stage_mixer(st, &mixer_mamba2, &spec, b, err);
}

static int bind_attn(struct stage *st, const struct hparams *hp, const struct bind *b,
                     struct err *err)
{
    struct attn_spec spec = {
        .q = "q_proj",
        .k = "k_proj",
        .v = "v_proj",
        .o = "o_proj",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
    };
    return stage_mixer(st, &mixer_attn, &spec, b, err);
}

static int bind_mlp(struct stage *st, const struct nemotron_h *p,
                    const struct hparams *hp, const struct bind *b, struct err *err)
{
    struct ffn_spec spec = {.kind = FFN_RELU2,
                            .up = "up_proj",
                            .down = "down_proj",
                            .size = hp->ffn_size,
                            .bias = p->mlp_bias};
    if (hp->ffn_size)
        return stage_mixer(st, &mixer_ffn, &spec, b, err);
    return err_set(err, ERR_FORMAT,
                   "config.json: intermediate_size: expected a value, found nothing");
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct nemotron_h *p = arch;
    const struct hparams *hp = &m->hp;
    struct stage *st = block_stage(&m->blocks[i]);
    struct bind under = bind_under(b, "mixer.");
    int rc = norm_bind(&st->norm, b, "norm.weight", b->hidden_size, hp->rms_eps, err);
    if (rc)
        return rc;
    switch (p->kinds[i]) {
    case LAYER_MAMBA:
        return bind_mamba(st, p, hp->rms_eps, &under, err);
    case LAYER_ATTN:
        return bind_attn(st, hp, &under, err);
    default:
        return bind_mlp(st, p, hp, &under, err);
    }
}

/* The embedding has two names, and all lies under one of two prefixes. */
static struct frame find_frame(const struct bind *b)
{
    bool model = bind_has(b, "model.norm_f.weight");
    struct frame f = {.root = model ? "model." : "backbone.",
                      .embed = "embeddings",
                      .norm = "norm_f",
                      .layer = build_layer};
    char single[64];
    snprintf(single, sizeof single, "%sembedding.weight", f.root);
    if (weights_find(b->weights, single) || quant_file_has(b->weights, single))
        f.embed = "embedding";
    return f;
}

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct nemotron_h p;
    const struct frame frame = find_frame(b);
    int rc = read_config(&p, &m->hp, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_alias aliases[] = {
    {"attention_head_dim", "head_dim", false},
    {"mamba_n_groups", "n_groups", false},
    {"mamba_d_conv", "conv_kernel", false},
    {"mamba_conv_bias", "use_conv_bias", false},
    {"mamba_dt_limit", "time_step_limit", false},
    {NULL, NULL, false}};
/* What experts alone would honour has no effect without them. */
static const char *const no_effect[] = {"attention_bias",
                                        "mamba_proj_bias",
                                        "expand",
                                        "mamba_expand",
                                        "mamba_dt_min",
                                        "mamba_dt_max",
                                        "mamba_dt_init_floor",
                                        "sliding_window",
                                        "rope_*",
                                        "partial_rotary_factor",
                                        "n_shared_experts",
                                        "n_routed_experts",
                                        "moe_*",
                                        "num_experts_per_tok",
                                        "n_group",
                                        "topk_group",
                                        "norm_topk_prob",
                                        "routed_scaling_factor",
                                        NULL};
static const struct hparam_family family = {.of_transformers = true,
                                            .n_kv_heads = 8,
                                            .eps_key = "layer_norm_epsilon",
                                            .eps = 1e-5,
                                            .head_dim = 128,
                                            .tied = HEAD_NEVER_TIED,
                                            .no_ffn = true,
                                            .no_rope = true,
                                            .depth_by_list = true,
                                            .lists = lists,
                                            .aliases = aliases,
                                            .no_effect = no_effect};

const struct arch arch_nemotron_h = {"nemotron_h", &family, build};
