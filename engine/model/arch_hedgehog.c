/*
 * Hedgehog (arXiv 2402.04347): Llama whose softmax attention is linear attention with a
 * learned feature map, in every layer or in the listed ones. Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/mixer/hedgehog.h"
#include "engine/model/arch_llama.h"

#include <string.h>

enum { LAYER_LINEAR, LAYER_SOFTMAX };

static const char *const lists[] = {"linear_attention_layers", NULL};

struct hedgehog_keys {
    struct llama_layer llama;
    int n_features;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

#define KEY(name, type, field, lo, hi)                                                   \
    {                                                                                    \
        name, type, offsetof(struct hedgehog_keys, field), lo, hi, NULL, false           \
    }

static const struct hparam_key keys[] = {
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
    if (p->kinds[i] == LAYER_SOFTMAX)
        return arch_llama_layer(blk, hp, &p->llama, b, err);
    struct stage *st = block_stage(blk);
    int rc = norm_bind(&st->norm, b, "input_layernorm.weight", b->hidden_size,
                       hp->rms_eps, err);
    if (rc == 0)
        rc = stage_mixer(st, &mixer_hedgehog, &spec, b, err);
    return rc ? rc : arch_llama_ffn(blk, hp, &p->llama, b, err);
}

/* Without a list every layer is linear. */
static int read_layers(struct hedgehog_keys *p, const struct hparams *hp, struct err *err)
{
    bool listed = layer_list_has(hp, lists[0]);
    memset(p->kinds, listed ? LAYER_SOFTMAX : LAYER_LINEAR, sizeof p->kinds);
    return layer_list_indices(hp, lists[0], LAYER_LINEAR, p->kinds, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct hedgehog_keys p = {.n_features = m->hp.head_dim};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, &p, err);
    if (rc == 0)
        rc = read_layers(&p, &m->hp, err);
    if (rc == 0)
        rc = model_rope(m, &p.llama.rope, &m->hp.rope, m->hp.head_dim, false, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {.lists = lists};

const struct arch arch_hedgehog = {"hedgehog", &family, build};
