/*
 * Hedgehog (arXiv 2402.04347): Llama whose softmax attention is linear attention with a
 * learned feature map, in every layer or in the listed ones. Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/hedgehog.h"
#include "engine/model/arch_llama.h"

struct hedgehog_keys {
    struct llama_layer llama;
    int n_features;
    const struct json *linear_layers; /* NULL: all; borrows from the config */
};

#define KEY(name, type, field, lo, hi)                                                   \
    {                                                                                    \
        name, type, offsetof(struct hedgehog_keys, field), lo, hi, NULL, false           \
    }

static const struct hparam_key keys[] = {
    KEY("linear_attention_layers", HP_INTS, linear_layers, 0, 0),
    KEY("feature_dim", HP_INT, n_features, 1, 1 << 16),
    KEY("attention_bias", HP_BOOL, llama.attention_bias, 0, 0),
    KEY("mlp_bias", HP_BOOL, llama.mlp_bias, 0, 0),
};

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct hedgehog_keys *p = arch;
    const struct hparams *hp = &m->hp;
    struct block *blk = &m->blocks[i];
    struct hedgehog_spec spec = {
        .q = "self_attn.q_proj",
        .k = "self_attn.k_proj",
        .v = "self_attn.v_proj",
        .o = "self_attn.o_proj",
        .map_q = "self_attn.feature_map_q.layer",
        .map_k = "self_attn.feature_map_k.layer",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .n_features = p->n_features,
        .bias = p->llama.attention_bias,
        .rope = p->llama.rope,
    };
    if (p->linear_layers && !arch_lists_layer(p->linear_layers, i))
        return arch_llama_layer(blk, hp, &p->llama, b, err);
    struct stage *st = block_stage(blk);
    int rc = norm_bind(&st->norm, b, "input_layernorm.weight", b->hidden_size,
                       hp->rms_eps, err);
    if (rc == 0)
        rc = stage_mixer(st, &mixer_hedgehog, &spec, b, err);
    return rc ? rc : arch_llama_ffn(blk, hp, &p->llama, b, err);
}

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct hedgehog_keys p = {.n_features = m->hp.head_dim};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, &p, err);
    if (rc == 0)
        rc = arch_check_layers(p.linear_layers, "linear_attention_layers", m->hp.n_layers,
                               err);
    if (rc == 0)
        rc = model_rope(m, &p.llama.rope, &m->hp.rope, m->hp.head_dim, false, err);
    return rc ? rc : arch_llama_build(m, b, build_layer, &p, err);
}

static const struct hparam_family family = {0};

const struct arch arch_hedgehog = {"hedgehog", &family, build};
