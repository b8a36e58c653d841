/*
 * The Transformer baseline: Hugging Face's Llama layout (RMSNorm, grouped queries, RoPE,
 * SwiGLU, optional biases, head_dim and tied head). Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch_llama.h"

#include "engine/mixer/attn.h"

static const struct hparam_key keys[] = {
    {"attention_bias", HP_BOOL, offsetof(struct llama_layer, attention_bias), 0, 0, NULL,
     false},
    {"mlp_bias", HP_BOOL, offsetof(struct llama_layer, mlp_bias), 0, 0, NULL, false},
};

static int bind_norm(struct norm *m, const char *name, const struct hparams *hp,
                     const struct llama_layer *p, const struct bind *b, struct err *err)
{
    return p->one_plus ? norm_bind_one_plus(m, b, name, b->hidden_size, hp->rms_eps, err)
                       : norm_bind(m, b, name, b->hidden_size, hp->rms_eps, err);
}

/* The norm behind the stage's one mixer, where there is one. */
static int bind_after(struct stage *st, const char *name, const struct hparams *hp,
                      const struct llama_layer *p, const struct bind *b, struct err *err)
{
    return p->sandwich ? bind_norm(&st->branches[0].after, name, hp, p, b, err) : 0;
}

int arch_llama_attn_mixer(struct stage *st, const struct hparams *hp,
                          const struct llama_layer *p, const struct bind *b,
                          struct err *err)
{
    bool norms = p->head_norms || p->whole_norms;
    struct attn_spec spec = {
        .q = "self_attn.q_proj",
        .k = "self_attn.k_proj",
        .v = "self_attn.v_proj",
        .o = "self_attn.o_proj",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .bias = p->attention_bias || p->qkv_bias,
        .o_bias = p->attention_bias,
        .gated = p->gated,
        .k_scale = p->k_scale,
        .q_norm = norms ? "self_attn.q_norm.weight" : NULL,
        .k_norm = norms ? "self_attn.k_norm.weight" : NULL,
        .norm_eps = hp->rms_eps,
        .norm_whole = p->whole_norms,
        .norm_one_plus = p->one_plus,
        .rope = p->rope,
        .score_scale = p->score_scale,
        .window = p->window,
    };
    return stage_mixer(st, &mixer_attn, &spec, b, err);
}

int arch_llama_ffn_mixer(struct stage *st, const struct hparams *hp,
                         const struct llama_layer *p, const struct bind *b,
                         struct err *err)
{
    struct ffn_spec spec = {.kind = p->ffn,
                            .gate = "mlp.gate_proj",
                            .up = "mlp.up_proj",
                            .down = "mlp.down_proj",
                            .size = hp->ffn_size,
                            .bias = p->mlp_bias};
    return stage_mixer(st, &mixer_ffn, &spec, b, err);
}

int arch_llama_attn(struct block *blk, const struct hparams *hp,
                    const struct llama_layer *p, const struct bind *b, struct err *err)
{
    struct stage *st = block_stage(blk);
    int rc = bind_norm(&st->norm, "input_layernorm.weight", hp, p, b, err);
    if (rc == 0)
        rc = arch_llama_attn_mixer(st, hp, p, b, err);
    return rc ? rc : bind_after(st, "post_attention_layernorm.weight", hp, p, b, err);
}

int arch_llama_ffn(struct block *blk, const struct hparams *hp,
                   const struct llama_layer *p, const struct bind *b, struct err *err)
{
    struct stage *st = block_stage(blk);
    int rc = bind_norm(&st->norm,
                       p->sandwich ? "pre_feedforward_layernorm.weight"
                                   : "post_attention_layernorm.weight",
                       hp, p, b, err);
    if (rc == 0)
        rc = arch_llama_ffn_mixer(st, hp, p, b, err);
    return rc ? rc : bind_after(st, "post_feedforward_layernorm.weight", hp, p, b, err);
}

int arch_llama_layer(struct block *blk, const struct hparams *hp,
                     const struct llama_layer *p, const struct bind *b, struct err *err)
{
    int rc = arch_llama_attn(blk, hp, p, b, err);
    return rc ? rc : arch_llama_ffn(blk, hp, p, b, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    return arch_llama_layer(&m->blocks[i], &m->hp, arch, b, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct llama_layer p = {0};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, &p, err);
    if (rc == 0)
        rc = model_rope(m, &p.rope, &m->hp.rope, m->hp.head_dim, false, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {.of_transformers = true};

const struct arch arch_llama = {"llama", &family, build};
