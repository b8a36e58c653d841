/*
 * Granite: Llama's layout with four multipliers (transformers, granite). Names only; runs
 * at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch_granite.h"

#include "engine/model/arch_llama.h"

void arch_granite_scale(struct model *m, const struct granite_scales *s)
{
    for (int i = 0; i < m->hp.n_layers; i++)
        for (int k = 0; k < m->blocks[i].n_stages; k++)
            m->blocks[i].stages[k].branches[0].weight = (float)s->residual;
    m->embed.scale = (float)s->embed;
    m->logit_scale = (float)(1 / s->logits);
}

struct granite {
    struct llama_layer layer;
    struct granite_scales scales;
};

static const struct hparam_key keys[] = {
    {"attention_bias", HP_BOOL, offsetof(struct granite, layer.attention_bias), 0, 0,
     NULL, false},
    {"mlp_bias", HP_BOOL, offsetof(struct granite, layer.mlp_bias), 0, 0, NULL, false},
    GRANITE_SCALE_KEYS(struct granite, scales),
};

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct granite *p = arch;
    return arch_llama_layer(&m->blocks[i], &m->hp, &p->layer, b, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct granite p = {.scales = GRANITE_SCALES_DEFAULTS};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, &p, err);
    p.layer.score_scale = p.scales.attn;
    if (rc == 0)
        rc = model_rope(m, &p.layer.rope, &m->hp.rope, m->hp.head_dim, false, err);
    if (rc == 0)
        rc = frame_build(m, b, &frame, &p, err);
    if (rc == 0)
        arch_granite_scale(m, &p.scales);
    return rc;
}

static const struct hparam_family family = {.of_transformers = true};

const struct arch arch_granite = {"granite", &family, build};
