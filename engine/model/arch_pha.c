/*
 * PHA (arXiv 2606.16093): attention, a gated state space and a feed-forward branch in
 * parallel on one normalised input, fused by learned weights, then a feed-forward layer.
 * Names only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/math64.h"
#include "engine/mixer/attn.h"
#include "engine/mixer/ffn.h"
#include "engine/mixer/gss.h"
#include "engine/model/arch.h"
#include "engine/model/frame.h"

#include <math.h>

enum { SCORE_COSINE, SCORE_DOT };
enum { GSS_DSS, GSS_GATED };

static const char *const score_words[] = {"cosine", "dot", NULL};
static const char *const gss_words[] = {"dss", "gated", NULL};

struct pha {
    double embed_scale, alpha;
    int score, gss, n_gate, n_channels, n_state, aux_size;
    bool ffn_residual, final_norm;
    const struct rope *rope;
};

#define KEY(name, type, field, lo, hi, words, need)                                      \
    {                                                                                    \
        name, type, offsetof(struct pha, field), lo, hi, words, need                     \
    }

static const struct hparam_key keys[] = {
    KEY("embed_scale", HP_REAL, embed_scale, -1e9, 1e9, NULL, false),
    KEY("residual_alpha", HP_REAL, alpha, -1e9, 1e9, NULL, false),
    KEY("attention_score", HP_WORD, score, 0, 0, score_words, false),
    KEY("gss_kind", HP_WORD, gss, 0, 0, gss_words, false),
    KEY("gss_gate_size", HP_INT, n_gate, 1, 1 << 22, NULL, false),
    KEY("gss_hidden_size", HP_INT, n_channels, 1, 1 << 20, NULL, false),
    KEY("gss_state_size", HP_INT, n_state, 1, 1 << 20, NULL, false),
    KEY("aux_intermediate_size", HP_INT, aux_size, 1, 1 << 22, NULL, true),
    KEY("ffn_residual", HP_BOOL, ffn_residual, 0, 0, NULL, false),
    KEY("final_norm", HP_BOOL, final_norm, 0, 0, NULL, false),
};

static int read_config(struct pha *p, struct model *m, struct err *err)
{
    int d = m->hp.hidden_size;
    *p = (struct pha){.embed_scale = sqrt(d),
                      .alpha = sqrt(sqrt(2.0 * m->hp.n_layers)),
                      .ffn_residual = true,
                      .final_norm = true};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc)
        return rc;
    if (!p->n_gate)
        p->n_gate = 4 * d;
    if (!p->n_channels)
        p->n_channels = d / 4;
    if (!p->n_state)
        p->n_state = p->gss == GSS_DSS ? 512 : 2 * d;
    return model_rope(m, &p->rope, &m->hp.rope, m->hp.head_dim, p->score == SCORE_COSINE,
                      err);
}

/* ln(1 + e^x); far below zero e^x, which the sum would round away. */
static double softplus(double x)
{
    if (!(x <= 20)) /* NaN stays NaN */
        return x;
    return x < -20 ? math64_exp(x) : math64_log(1 + math64_exp(x));
}

/* w = softplus(mix) / Σ softplus(mix), in f64. */
static int bind_mix(struct stage *fused, const struct bind *b, struct err *err)
{
    const float *mix = NULL;
    double w[3], sum = 0;
    int rc = bind_vector(&mix, b, "mix.weight", 3, err);
    if (rc)
        return rc;
    for (int i = 0; i < 3; i++)
        sum += w[i] = softplus(mix[i]);
    if (!(sum > 0 && isfinite(sum)))
        return err_set(err, ERR_FORMAT,
                       "tensor %smix.weight: expected a finite sum above 0 of softplus, "
                       "found %g of %g, %g, %g",
                       b->prefix, sum, mix[0], mix[1], mix[2]);
    for (int i = 0; i < 3; i++)
        fused->branches[i].weight = (float)(w[i] / sum);
    return 0;
}

static int bind_norms(struct block *blk, const struct bind *b, double eps,
                      struct err *err)
{
    struct {
        struct norm *norm;
        const char *name;
    } all[] = {{&blk->stages[0].norm, "norm_in.weight"},
               {&blk->stages[0].branches[0].after, "norm_attn.weight"},
               {&blk->stages[0].branches[1].after, "norm_gss.weight"},
               {&blk->stages[0].branches[2].after, "norm_ffn.weight"},
               {&blk->stages[1].norm, "norm_post.weight"}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof all / sizeof *all; i++)
        rc = norm_bind(all[i].norm, b, all[i].name, b->hidden_size, eps, err);
    return rc;
}

static int bind_gss(struct stage *fused, const struct pha *p, const struct bind *b,
                    struct err *err)
{
    struct bind under = bind_under(b, "gss.");
    struct dss_spec dss = {p->n_gate, p->n_channels, p->n_state};
    struct gss_spec gated = {p->n_state};
    return p->gss == GSS_DSS ? stage_mixer(fused, &mixer_dss, &dss, &under, err)
                             : stage_mixer(fused, &mixer_gss, &gated, &under, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct pha *p = arch;
    const struct hparams *hp = &m->hp;
    struct block *blk = &m->blocks[i];
    struct attn_spec attn = {
        .q = "attn.q_proj",
        .k = "attn.k_proj",
        .v = "attn.v_proj",
        .o = "attn.o_proj",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .rope = p->rope,
        .logit_scale = p->score == SCORE_COSINE ? "attn.logit_scale" : NULL,
    };
    struct ffn_spec aux = {.gate = "aux.gate_proj",
                           .up = "aux.up_proj",
                           .down = "aux.down_proj",
                           .size = p->aux_size};
    struct ffn_spec main = {.gate = "main.gate_proj",
                            .up = "main.up_proj",
                            .down = "main.down_proj",
                            .size = hp->ffn_size};
    struct stage *fused = block_stage(blk), *last = block_stage(blk);
    fused->keep = (float)p->alpha;
    last->base = p->ffn_residual ? BASE_NORM : BASE_NONE;
    int rc = stage_mixer(fused, &mixer_attn, &attn, b, err);
    if (rc == 0)
        rc = bind_gss(fused, p, b, err);
    if (rc == 0)
        rc = stage_mixer(fused, &mixer_ffn, &aux, b, err);
    if (rc == 0)
        rc = bind_mix(fused, b, err);
    if (rc == 0)
        rc = bind_norms(blk, b, hp->rms_eps, err);
    return rc ? rc : stage_mixer(last, &mixer_ffn, &main, b, err);
}

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct pha p;
    int rc = read_config(&p, m, err);
    const struct frame frame = {.root = "model.",
                                .embed = "embed_tokens",
                                .norm = p.final_norm ? "norm" : NULL,
                                .layer = build_layer};
    m->embed.scale = (float)p.embed_scale;
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {.tied = HEAD_TIED};

const struct arch arch_pha = {"pha", &family, build};
