/*
 * Falcon-H1: in every layer Mamba-2 and attention in parallel on one normalised input,
 * then SwiGLU, with multipliers everywhere (transformers, falcon_h1). Names only; runs at
 * open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/ffn.h"
#include "engine/model/arch_llama.h"
#include "engine/model/arch_mamba2.h"

#include <math.h>

struct falcon_h1 {
    double embed, head, attn_in, attn_out, ssm_in, ssm_out;
    double ssm[MAMBA2_PARTS], mlp[2];
    struct mamba2_layer mamba;
    int width; /* of all its heads */
    struct llama_layer attn;
    bool out_bias, mlp_bias, norm, norm_before_gate;
};

#define KEY(name, type, field, lo, hi)                                                   \
    {                                                                                    \
        name, type, offsetof(struct falcon_h1, field), lo, hi, NULL, false               \
    }
#define SCALE(name, type, field) KEY(name, type, field, 1e-12, 1e12)

static const struct hparam_key keys[] = {
    SCALE("embedding_multiplier", HP_REAL, embed),
    SCALE("lm_head_multiplier", HP_REAL, head),
    SCALE("key_multiplier", HP_REAL, attn.k_scale),
    SCALE("attention_in_multiplier", HP_REAL, attn_in),
    SCALE("attention_out_multiplier", HP_REAL, attn_out),
    SCALE("ssm_in_multiplier", HP_REAL, ssm_in),
    SCALE("ssm_out_multiplier", HP_REAL, ssm_out),
    SCALE("ssm_multipliers", HP_REALS_5, ssm),
    SCALE("mlp_multipliers", HP_REALS_2, mlp),
    MAMBA2_LAYER_KEYS(struct falcon_h1, mamba),
    KEY("mamba_d_ssm", HP_INT, width, 1, 1 << 22),
    KEY("projectors_bias", HP_BOOL, out_bias, 0, 0),
    KEY("attention_bias", HP_BOOL, attn.attention_bias, 0, 0),
    KEY("mlp_bias", HP_BOOL, mlp_bias, 0, 0),
    KEY("mamba_rms_norm", HP_BOOL, norm, 0, 0),
    KEY("mamba_norm_before_gate", HP_BOOL, norm_before_gate, 0, 0),
};

static int check_width(struct falcon_h1 *p, struct err *err)
{
    struct mamba2_layer *mamba = &p->mamba;
    if (!mamba->head_dim)
        mamba->head_dim = p->width / mamba->n_heads;
    if (mamba->head_dim > 0 && p->width == (int64_t)mamba->n_heads * mamba->head_dim)
        return 0;
    return err_set(
        err, ERR_FORMAT,
        "config.json: mamba_d_ssm: expected mamba_n_heads %d x mamba_d_head %d, "
        "found %d",
        mamba->n_heads, mamba->head_dim, p->width);
}

static int read_config(struct falcon_h1 *p, struct model *m, struct err *err)
{
    *p = (struct falcon_h1){.embed = 1,
                            .head = 1,
                            .attn_in = 1,
                            .attn_out = 1,
                            .ssm_in = 1,
                            .ssm_out = 1,
                            .ssm = {1, 1, 1, 1, 1},
                            .mlp = {1, 1},
                            .mamba = MAMBA2_LAYER_DEFAULTS,
                            .norm_before_gate = true};
    if (!hparams_get(&m->hp, "mamba_d_ssm"))
        p->width = 1024;
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc)
        return rc;
    if (!p->width)
        p->width = p->mamba.expand * m->hp.hidden_size;
    rc = check_width(p, err);
    return rc ? rc
              : model_rope(m, &p->attn.rope, &m->hp.rope, m->hp.head_dim, false, err);
}

static int bind_mamba(struct stage *st, const struct falcon_h1 *p, double eps,
                      const struct bind *b, struct err *err)
{
    struct bind under = bind_under(b, "mamba.");
    struct mamba2_spec spec = arch_mamba2_spec(&p->mamba, eps);
    spec.out_bias = p->out_bias;
    spec.norm = p->norm ? MAMBA2_NORM_GROUPS : MAMBA2_NORM_NONE;
    spec.norm_before_gate = p->norm_before_gate;
    spec.scales = p->ssm;
    int rc = stage_mixer(st, &mixer_mamba2, &spec, &under, err);
    st->branches[0].in_scale = (float)p->ssm_in;
    st->branches[0].weight = (float)p->ssm_out;
    return rc;
}

static int bind_attn(struct stage *st, const struct falcon_h1 *p,
                     const struct hparams *hp, const struct bind *b, struct err *err)
{
    int rc = arch_llama_attn_mixer(st, hp, &p->attn, b, err);
    st->branches[1].in_scale = (float)p->attn_in;
    st->branches[1].weight = (float)p->attn_out;
    return rc;
}

static int bind_ffn(struct stage *st, const struct falcon_h1 *p, int size,
                    const struct bind *b, struct err *err)
{
    struct ffn_spec spec = {.gate = "feed_forward.gate_proj",
                            .up = "feed_forward.up_proj",
                            .down = "feed_forward.down_proj",
                            .size = size,
                            .bias = p->mlp_bias,
                            .gate_scale = (float)p->mlp[0]};
    int rc = stage_mixer(st, &mixer_ffn, &spec, b, err);
    st->branches[0].weight = (float)p->mlp[1];
    return rc;
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct falcon_h1 *p = arch;
    const struct hparams *hp = &m->hp;
    struct block *blk = &m->blocks[i];
    struct stage *seq = block_stage(blk), *ffn = block_stage(blk);
    int d = b->hidden_size;
    int rc = norm_bind(&seq->norm, b, "input_layernorm.weight", d, hp->rms_eps, err);
    if (rc == 0)
        rc = bind_mamba(seq, p, hp->rms_eps, b, err);
    if (rc == 0)
        rc = bind_attn(seq, p, hp, b, err);
    if (rc == 0)
        rc = norm_bind(&ffn->norm, b, "pre_ff_layernorm.weight", d, hp->rms_eps, err);
    return rc ? rc : bind_ffn(ffn, p, hp->ffn_size, b, err);
}

static const struct frame frame = {.root = "model.",
                                   .embed = "embed_tokens",
                                   .norm = "final_layernorm",
                                   .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct falcon_h1 p;
    int rc = read_config(&p, m, err);
    m->embed.scale = (float)p.embed;
    m->logit_scale = (float)p.head;
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const char *const no_effect[] = {"mlp_expansion_factor", NULL};
static const struct hparam_only only[] = {{"attn_layer_indices", "null"}, {NULL, NULL}};
static const struct hparam_family family = {.of_transformers = true,
                                            .n_kv_heads = 8,
                                            .eps = 1e-5,
                                            .no_effect = no_effect,
                                            .only = only};

const struct arch arch_falcon_h1 = {"falcon_h1", &family, build};
