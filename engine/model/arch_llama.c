/*
 * The Transformer baseline: Hugging Face's Llama layout (RMSNorm, grouped queries, RoPE,
 * SwiGLU, optional biases, head_dim and tied head). Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/attn.h"
#include "engine/mixer/ffn.h"
#include "engine/model/arch.h"

struct llama {
    bool attention_bias, mlp_bias;
    const struct rope *rope;
};

static const struct hparam_key keys[] = {
    {"attention_bias", HP_BOOL, offsetof(struct llama, attention_bias), 0, 0, NULL,
     false},
    {"mlp_bias", HP_BOOL, offsetof(struct llama, mlp_bias), 0, 0, NULL, false},
};

static int build_layer(struct block *blk, const struct hparams *hp, const struct llama *p,
                       const struct bind *b, struct err *err)
{
    struct attn_spec attn = {
        .q = "self_attn.q_proj",
        .k = "self_attn.k_proj",
        .v = "self_attn.v_proj",
        .o = "self_attn.o_proj",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .bias = p->attention_bias,
        .rope = p->rope,
    };
    struct ffn_spec ffn = {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", hp->ffn_size,
                           p->mlp_bias};
    blk->kind = BLOCK_SERIAL;
    blk->n_branches = 2;
    blk->branches[0].mixer.kind = &mixer_attn;
    blk->branches[1].mixer.kind = &mixer_ffn;
    int rc = norm_bind(&blk->branches[0].norm, b, "input_layernorm.weight",
                       b->hidden_size, hp->rms_eps, err);
    if (rc == 0)
        rc = mixer_attn.bind(&blk->branches[0].mixer, &attn, b, err);
    if (rc == 0)
        rc = norm_bind(&blk->branches[1].norm, b, "post_attention_layernorm.weight",
                       b->hidden_size, hp->rms_eps, err);
    return rc ? rc : mixer_ffn.bind(&blk->branches[1].mixer, &ffn, b, err);
}

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct llama p = {0};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, &p, err);
    if (rc == 0)
        rc = model_rope(m, &p.rope, m->hp.head_dim, false, err);
    if (rc == 0)
        rc = model_bind_embed(m, b, "model.embed_tokens", 1, err);
    for (int i = 0; rc == 0 && i < m->hp.n_layers; i++) {
        struct bind layer = bind_under(b, "model.layers.%d.", i);
        rc = build_layer(&m->blocks[i], &m->hp, &p, &layer, err);
    }
    if (rc == 0)
        rc = norm_bind(&m->final_norm, b, "model.norm.weight", b->hidden_size,
                       m->hp.rms_eps, err);
    return rc ? rc : model_bind_head(m, b, "lm_head", false, err);
}

const struct arch arch_llama = {"llama", build};
