/*
 * GSS hybrid (arXiv 2206.13947): gated diagonal state spaces, each a whole layer, among
 * which the listed layers are Llama's. Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/mixer/gss.h"
#include "engine/model/arch_llama.h"

#include <string.h>

enum { LAYER_GSS, LAYER_ATTN };

static const char *const lists[] = {"attention_layers", NULL};

struct gss_hybrid {
    struct llama_layer llama;
    struct dss_spec dss;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

#define KEY(name, type, field, lo, hi, need)                                             \
    {                                                                                    \
        name, type, offsetof(struct gss_hybrid, field), lo, hi, NULL, need               \
    }

static const struct hparam_key keys[] = {
    KEY("gss_gate_size", HP_INT, dss.n_gate, 1, 1 << 22, false),
    KEY("gss_hidden_size", HP_INT, dss.n_channels, 1, 1 << 20, false),
    KEY("gss_state_size", HP_INT, dss.n_state, 1, 1 << 20, false),
    KEY("attention_bias", HP_BOOL, llama.attention_bias, 0, 0, false),
    KEY("mlp_bias", HP_BOOL, llama.mlp_bias, 0, 0, false),
};

static int read_config(struct gss_hybrid *p, struct model *m, struct err *err)
{
    int d = m->hp.hidden_size;
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc == 0)
        rc = layer_list_require(&m->hp, lists[0], err);
    if (rc == 0)
        rc = layer_list_indices(&m->hp, lists[0], LAYER_ATTN, p->kinds, err);
    if (rc)
        return rc;
    if (!p->dss.n_gate)
        p->dss.n_gate = 4 * d;
    if (!p->dss.n_channels && d % 4)
        return err_set(err, ERR_FORMAT,
                       "config.json: gss_hidden_size: expected a value where hidden_size "
                       "is no multiple of 4, found nothing beside %d",
                       d);
    if (!p->dss.n_channels)
        p->dss.n_channels = d / 4;
    if (!p->dss.n_state)
        p->dss.n_state = 512;
    if (!memchr(p->kinds, LAYER_ATTN, (size_t)m->hp.n_layers))
        return 0;
    return model_rope(m, &p->llama.rope, &m->hp.rope, m->hp.head_dim, false, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct gss_hybrid *p = arch;
    struct block *blk = &m->blocks[i];
    if (p->kinds[i] == LAYER_ATTN)
        return arch_llama_layer(blk, &m->hp, &p->llama, b, err);
    struct stage *st = block_stage(blk);
    struct bind under = bind_under(b, "gss.");
    int rc = norm_bind(&st->norm, b, "norm.weight", b->hidden_size, m->hp.rms_eps, err);
    return rc ? rc : stage_mixer(st, &mixer_dss, &p->dss, &under, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct gss_hybrid p = {0};
    int rc = read_config(&p, m, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {.lists = lists};

const struct arch arch_gss_hybrid = {"gss_hybrid", &family, build};
