/*
 * LFM2: gated short convolutions or attention with normed queries and keys, then SwiGLU
 * (transformers, lfm2). Names, and the width that the configuration rounds; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/mixer/attn.h"
#include "engine/mixer/ffn.h"
#include "engine/mixer/shortconv.h"
#include "engine/model/arch.h"
#include "engine/model/frame.h"

enum { LAYER_CONV, LAYER_ATTN };

struct lfm2 {
    int n_taps, multiple;
    double multiplier; /* 0: none */
    bool conv_bias, adjust;
    const struct rope *rope;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

#define KEY(name, type, field, lo, hi)                                                   \
    {                                                                                    \
        name, type, offsetof(struct lfm2, field), lo, hi, NULL, false                    \
    }

static const struct hparam_key keys[] = {
    KEY("conv_L_cache", HP_INT, n_taps, 1, 1 << 10),
    KEY("conv_bias", HP_BOOL, conv_bias, 0, 0),
    KEY("block_auto_adjust_ff_dim", HP_BOOL, adjust, 0, 0),
    KEY("block_ffn_dim_multiplier", HP_REAL, multiplier, 1e-6, 1e6),
    KEY("block_multiple_of", HP_INT, multiple, 1, 1 << 20),
};

static const struct layer_word words[] = {
    {"conv", LAYER_CONV}, {"full_attention", LAYER_ATTN}, {NULL, 0}};

static const char *const lists[] = {"layer_types", "full_attn_idxs", NULL};

/* Without a list every layer is attention. */
static int read_layers(struct lfm2 *p, const struct hparams *hp, struct err *err)
{
    bool listed = layer_list_has(hp, lists[0]) || layer_list_has(hp, lists[1]);
    for (int i = 0; i < hp->n_layers; i++)
        p->kinds[i] = listed ? LAYER_CONV : LAYER_ATTN;
    if (layer_list_has(hp, lists[0]))
        return layer_list_words(hp, lists[0], words, p->kinds, err);
    return layer_list_indices(hp, lists[1], LAYER_ATTN, p->kinds, err);
}

/* The inner width: of 2/3 of what the file says, times the multiplier, the next
 * multiple. */
static int adjust_width(const struct lfm2 *p, struct hparams *hp, struct err *err)
{
    int64_t size = (int64_t)hp->ffn_size * 2 / 3;
    if (!p->adjust)
        return 0;
    if (p->multiplier) {
        size = (int64_t)(p->multiplier * (double)size);
        size = (size + p->multiple - 1) / p->multiple * p->multiple;
    }
    if (size < 1 || size > 1 << 22)
        return err_set(err, ERR_FORMAT,
                       "config.json: intermediate_size: expected a width from 1 to %d "
                       "after its adjustment, found %lld",
                       1 << 22, (long long)size);
    hp->ffn_size = (int)size;
    return 0;
}

static int read_config(struct lfm2 *p, struct model *m, struct err *err)
{
    const struct json *multiplier = hparams_get(&m->hp, "block_ffn_dim_multiplier");
    *p = (struct lfm2){
        .n_taps = 3, .multiple = 256, .multiplier = multiplier ? 0 : 1, .adjust = true};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc == 0)
        rc = read_layers(p, &m->hp, err);
    if (rc == 0)
        rc = adjust_width(p, &m->hp, err);
    return rc ? rc : model_rope(m, &p->rope, &m->hp.rope, m->hp.head_dim, false, err);
}

static int bind_operator(struct stage *st, bool is_attn, const struct hparams *hp,
                         const struct lfm2 *p, const struct bind *b, struct err *err)
{
    const struct attn_spec attn = {
        .q = "self_attn.q_proj",
        .k = "self_attn.k_proj",
        .v = "self_attn.v_proj",
        .o = "self_attn.out_proj",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .q_norm = "self_attn.q_layernorm.weight",
        .k_norm = "self_attn.k_layernorm.weight",
        .norm_eps = hp->rms_eps,
        .rope = p->rope,
    };
    const struct shortconv_spec conv = {.in = "conv.in_proj",
                                        .conv = "conv.conv",
                                        .out = "conv.out_proj",
                                        .n_taps = p->n_taps,
                                        .bias = p->conv_bias};
    return is_attn ? stage_mixer(st, &mixer_attn, &attn, b, err)
                   : stage_mixer(st, &mixer_shortconv, &conv, b, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct lfm2 *p = arch;
    const struct hparams *hp = &m->hp;
    struct block *blk = &m->blocks[i];
    struct stage *op = block_stage(blk), *ffn = block_stage(blk);
    const struct ffn_spec swiglu = {.gate = "feed_forward.w1",
                                    .up = "feed_forward.w3",
                                    .down = "feed_forward.w2",
                                    .size = hp->ffn_size};
    int d = b->hidden_size;
    int rc = norm_bind(&op->norm, b, "operator_norm.weight", d, hp->rms_eps, err);
    if (rc == 0)
        rc = bind_operator(op, p->kinds[i] == LAYER_ATTN, hp, p, b, err);
    if (rc == 0)
        rc = norm_bind(&ffn->norm, b, "ffn_norm.weight", d, hp->rms_eps, err);
    return rc ? rc : stage_mixer(ffn, &mixer_ffn, &swiglu, b, err);
}

static const struct frame frame = {.root = "model.",
                                   .embed = "embed_tokens",
                                   .norm = "embedding_norm",
                                   .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct lfm2 p;
    int rc = read_config(&p, m, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_alias aliases[] = {
    {"tie_embedding", "tie_word_embeddings", true},
    {"block_ff_dim", "intermediate_size", true},
    {"theta", "rope_theta", true},
    {NULL, NULL, false}};
static const char *const no_effect[] = {"block_*_scale", "*xavier*", NULL};
static const struct hparam_only only[] = {{"conv_dim*", "=hidden_size"},
                                          {"block_dim", "=hidden_size"},
                                          {"num_heads", "=num_attention_heads"},
                                          {NULL, NULL}};
static const struct hparam_family family = {.of_transformers = true,
                                            .n_kv_heads = 8,
                                            .eps_key = "norm_eps",
                                            .eps = 1e-5,
                                            .theta = 1e6,
                                            .tied = HEAD_TIED,
                                            .lists = lists,
                                            .aliases = aliases,
                                            .no_effect = no_effect,
                                            .only = only};

const struct arch arch_lfm2 = {"lfm2", &family, build};
