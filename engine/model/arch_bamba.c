/*
 * Bamba: Mamba-2 or attention, then SwiGLU (transformers, bamba). Names only; runs at
 * open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/mixer/ffn.h"
#include "engine/model/arch_llama.h"
#include "engine/model/arch_mamba2.h"

#include <math.h>

enum { LAYER_MAMBA, LAYER_ATTN };

struct bamba {
    struct llama_layer attn;
    struct mamba2_layer mamba;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

static const struct hparam_key keys[] = {
    MAMBA2_LAYER_KEYS(struct bamba, mamba),
    {"attention_bias", HP_BOOL, offsetof(struct bamba, attn.attention_bias), 0, 0, NULL,
     false},
    {"mlp_bias", HP_BOOL, offsetof(struct bamba, attn.mlp_bias), 0, 0, NULL, false},
};

static const char *const lists[] = {"attn_layer_indices", NULL};

static int read_config(struct bamba *p, struct model *m, struct err *err)
{
    *p = (struct bamba){.mamba = MAMBA2_LAYER_DEFAULTS};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc == 0)
        rc = layer_list_indices(&m->hp, lists[0], LAYER_ATTN, p->kinds, err);
    if (rc == 0)
        rc = arch_mamba2_heads(&p->mamba, m->hp.hidden_size, "mamba_expand", err);
    int width = (int)(m->hp.head_dim * m->hp.rope.partial);
    return rc ? rc : model_rope(m, &p->attn.rope, &m->hp.rope, width, false, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct bamba *p = arch;
    struct block *blk = &m->blocks[i];
    double eps = m->hp.rms_eps;
    const struct ffn_spec ffn = {.gate = "feed_forward.gate_proj",
                                 .up = "feed_forward.up_proj",
                                 .down = "feed_forward.down_proj",
                                 .size = m->hp.ffn_size,
                                 .bias = p->attn.mlp_bias};
    int rc = p->kinds[i] == LAYER_MAMBA ? arch_mamba2_stage(blk, &p->mamba, eps, b, err)
                                        : arch_llama_attn(blk, &m->hp, &p->attn, b, err);
    if (rc)
        return rc;
    struct stage *st = block_stage(blk);
    rc = norm_bind(&st->norm, b, "pre_ff_layernorm.weight", b->hidden_size, eps, err);
    return rc ? rc : stage_mixer(st, &mixer_ffn, &ffn, b, err);
}

static const struct frame frame = {.root = "model.",
                                   .embed = "embed_tokens",
                                   .norm = "final_layernorm",
                                   .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct bamba p;
    int rc = read_config(&p, m, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {.of_transformers = true,
                                            .n_kv_heads = 8,
                                            .eps = 1e-5,
                                            .partial = 0.5,
                                            .partial_fixed = true,
                                            .lists = lists};

const struct arch arch_bamba = {"bamba", &family, build};
