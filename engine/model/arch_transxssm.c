/*
 * TransXSSM (arXiv 2506.09507): a serial stack of SSD layers with an attention layer
 * every attn_layer_period, both under one rotary table, each followed by SwiGLU, with
 * learned elementwise residual scales. Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/attn.h"
#include "engine/mixer/ffn.h"
#include "engine/mixer/ssd.h"
#include "engine/model/arch.h"
#include "engine/model/frame.h"

enum { SSD_WIDTH_MAX = 1 << 24 };

struct transxssm {
    int period, offset, n_state;
    bool bias, rope_on_ssd, rope_on_attn;
    const struct rope *attn_rope, *ssd_rope;
};

#define KEY(name, type, field, lo, hi)                                                   \
    {                                                                                    \
        name, type, offsetof(struct transxssm, field), lo, hi, NULL, false               \
    }

static const struct hparam_key keys[] = {
    KEY("attn_layer_period", HP_INT, period, 1, 4096),
    KEY("attn_layer_offset", HP_INT, offset, 0, 4095),
    KEY("ssd_state_dim", HP_INT, n_state, 1, 1 << 16),
    KEY("hidden_bias", HP_BOOL, bias, 0, 0),
    KEY("rope_on_ssd", HP_BOOL, rope_on_ssd, 0, 0),
    KEY("rope_on_attn", HP_BOOL, rope_on_attn, 0, 0),
};

static int bind_sequence(struct stage *st, bool is_attn, const struct hparams *hp,
                         const struct transxssm *p, const struct bind *b, struct err *err)
{
    struct attn_spec attn = {
        .q = "attn.q_proj",
        .k = "attn.k_proj",
        .v = "attn.v_proj",
        .o = "attn.o_proj",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .bias = p->bias,
        .o_bias = p->bias,
        .rope = p->attn_rope,
    };
    struct ssd_spec ssd = {
        .c = "ssd.c_proj",
        .b = "ssd.b_proj",
        .x = "ssd.x_proj",
        .dt = "ssd.dt_proj",
        .out = "ssd.out_proj",
        .a = "ssd.A",
        .dt_bias = "ssd.dt_bias",
        .n_heads = hp->n_heads,
        .head_dim = hp->head_dim,
        .n_state = p->n_state,
        .bias = p->bias,
        .rope = p->ssd_rope,
    };
    return is_attn ? stage_mixer(st, &mixer_attn, &attn, b, err)
                   : stage_mixer(st, &mixer_ssd, &ssd, b, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct transxssm *p = arch;
    struct block *blk = &m->blocks[i];
    struct stage *seq = block_stage(blk), *ffn = block_stage(blk);
    struct ffn_spec swiglu = {.gate = "feed_forward.gate_proj",
                              .up = "feed_forward.up_proj",
                              .down = "feed_forward.down_proj",
                              .size = m->hp.ffn_size,
                              .bias = p->bias};
    int d = b->hidden_size;
    int rc =
        norm_bind(&seq->norm, b, "pre_sequence_layernorm.weight", d, m->hp.rms_eps, err);
    if (rc == 0)
        rc = bind_vector(&seq->residual, b, "post_sequence_residual.weight", d, err);
    if (rc == 0)
        rc = bind_sequence(seq, i % p->period == p->offset, &m->hp, p, b, err);
    if (rc == 0)
        rc =
            norm_bind(&ffn->norm, b, "pre_state_layernorm.weight", d, m->hp.rms_eps, err);
    if (rc == 0)
        rc = bind_vector(&ffn->residual, b, "post_state_residual.weight", d, err);
    return rc ? rc : stage_mixer(ffn, &mixer_ffn, &swiglu, b, err);
}

static int read_config(struct transxssm *p, struct model *m, struct err *err)
{
    const struct hparams *hp = &m->hp;
    int rc = hparams_arch(hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc)
        return rc;
    if (hp->head_dim * hp->n_heads != hp->hidden_size)
        return err_set(
            err, ERR_FORMAT,
            "config.json: head_dim: expected hidden_size / num_attention_heads = "
            "%d / %d, found %d",
            hp->hidden_size, hp->n_heads, hp->head_dim);
    if (!p->n_state)
        p->n_state = hp->head_dim;
    if (p->n_state % 2 || (int64_t)p->n_state * hp->n_heads > SSD_WIDTH_MAX)
        return err_set(
            err, ERR_FORMAT,
            "config.json: ssd_state_dim: expected an even number, at most %d in all "
            "%d heads, found %d",
            SSD_WIDTH_MAX, hp->n_heads, p->n_state);
    rc = p->rope_on_attn
             ? model_rope(m, &p->attn_rope, &m->hp.rope, hp->head_dim, false, err)
             : 0;
    if (rc || !p->rope_on_ssd)
        return rc;
    if (p->attn_rope && p->n_state == hp->head_dim) {
        p->ssd_rope = p->attn_rope;
        return 0;
    }
    return model_rope(m, &p->ssd_rope, &m->hp.rope, p->n_state, false, err);
}

static const struct frame frame = {.root = "model.",
                                   .embed = "word_embed",
                                   .norm = "final_layernorm",
                                   .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct transxssm p = {
        .period = 8, .offset = 7, .rope_on_ssd = true, .rope_on_attn = true};
    int rc = read_config(&p, m, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {.tied = HEAD_TIED};

const struct arch arch_transxssm = {"TransXSSM", &family, build};
