/*
 * Granite 4 hybrids: Mamba-2 or attention, then SwiGLU, in Llama's frame with Granite's
 * multipliers; perhaps no Mamba layer at all (transformers, granitemoehybrid). Layers of
 * experts are refused. Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/mixer/ffn.h"
#include "engine/model/arch_granite.h"
#include "engine/model/arch_llama.h"
#include "engine/model/arch_mamba2.h"

#include <math.h>
#include <string.h>

enum { LAYER_MAMBA, LAYER_ATTN };
enum { POSITION_NOPE, POSITION_ROPE };

static const char *const position_words[] = {"nope", "rope", NULL};

struct hybrid {
    struct llama_layer attn;
    struct mamba2_layer mamba;
    struct granite_scales scales;
    int position, n_experts, ffn_size;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

static const struct hparam_key keys[] = {
    GRANITE_SCALE_KEYS(struct hybrid, scales),
    MAMBA2_LAYER_KEYS(struct hybrid, mamba),
    {"attention_bias", HP_BOOL, offsetof(struct hybrid, attn.attention_bias), 0, 0, NULL,
     false},
    {"position_embedding_type", HP_WORD, offsetof(struct hybrid, position), 0, 0,
     position_words, false},
    {"num_local_experts", HP_INT, offsetof(struct hybrid, n_experts), 0, 1 << 16, NULL,
     false},
    {"shared_intermediate_size", HP_INT, offsetof(struct hybrid, ffn_size), 1, 1 << 22,
     NULL, false},
};

static const struct layer_word words[] = {{"linear_attention", LAYER_MAMBA},
                                          {"mamba", LAYER_MAMBA},
                                          {"full_attention", LAYER_ATTN},
                                          {"attention", LAYER_ATTN},
                                          {NULL, 0}};

static const char *const lists[] = {"layer_types", "layers_block_type", NULL};

static bool has_kind(const struct hybrid *p, int n_layers, uint8_t kind)
{
    return memchr(p->kinds, kind, (size_t)n_layers) != NULL;
}

static int read_layers(struct hybrid *p, struct model *m, struct err *err)
{
    int rc = 0;
    for (int i = 1; rc == 0 && i >= 0; i--)
        rc = layer_list_words(&m->hp, lists[i], words, p->kinds, err);
    if (rc == 0 && has_kind(p, m->hp.n_layers, LAYER_MAMBA))
        rc = arch_mamba2_heads(&p->mamba, m->hp.hidden_size, "mamba_expand", err);
    if (rc || p->position != POSITION_ROPE || !has_kind(p, m->hp.n_layers, LAYER_ATTN))
        return rc;
    return model_rope(m, &p->attn.rope, &m->hp.rope, m->hp.head_dim, false, err);
}

static int read_config(struct hybrid *p, struct model *m, struct err *err)
{
    *p = (struct hybrid){.mamba = MAMBA2_LAYER_DEFAULTS,
                         .scales = GRANITE_SCALES_DEFAULTS,
                         .n_experts = 8,
                         .ffn_size = 1024};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc)
        return rc;
    if (p->n_experts)
        return err_set(err, ERR_FORMAT,
                       "config.json: num_local_experts: expected 0, found %d: layers of "
                       "experts are not served",
                       p->n_experts);
    p->attn.score_scale = p->scales.attn;
    return read_layers(p, m, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct hybrid *p = arch;
    struct block *blk = &m->blocks[i];
    double eps = m->hp.rms_eps;
    const struct ffn_spec ffn = {.gate_up = "shared_mlp.input_linear",
                                 .down = "shared_mlp.output_linear",
                                 .size = p->ffn_size};
    int rc = p->kinds[i] == LAYER_MAMBA ? arch_mamba2_stage(blk, &p->mamba, eps, b, err)
                                        : arch_llama_attn(blk, &m->hp, &p->attn, b, err);
    if (rc)
        return rc;
    struct stage *st = block_stage(blk);
    rc = norm_bind(&st->norm, b, "post_attention_layernorm.weight", b->hidden_size, eps,
                   err);
    return rc ? rc : stage_mixer(st, &mixer_ffn, &ffn, b, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct hybrid p;
    int rc = read_config(&p, m, err);
    if (rc == 0)
        rc = frame_build(m, b, &frame, &p, err);
    if (rc == 0)
        arch_granite_scale(m, &p.scales);
    return rc;
}

static const char *const no_effect[] = {"num_experts_per_tok", NULL};
static const struct hparam_family family = {
    .of_transformers = true, .no_ffn = true, .lists = lists, .no_effect = no_effect};

const struct arch arch_granitemoehybrid = {"granitemoehybrid", &family, build};
