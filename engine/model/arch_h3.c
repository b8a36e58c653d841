/*
 * H3 (arXiv 2212.14052): pairs of state spaces with two products between them, and
 * attention in the listed layers, under LayerNorm and without a position code. Names
 * only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/mixer/attn.h"
#include "engine/mixer/ffn.h"
#include "engine/mixer/h3.h"
#include "engine/model/arch.h"
#include "engine/model/frame.h"

#define EPS 1e-5 /* of every norm */

enum { LAYER_H3, LAYER_ATTN };

static const char *const lists[] = {"attn_layer_idx", NULL};

struct h3_keys {
    struct h3_spec h3;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

static const struct hparam_key keys[] = {
    {"ssm_state_size", HP_INT, offsetof(struct h3_keys, h3.n_state), 2, 4096, NULL, true},
};

static int read_config(struct h3_keys *p, struct model *m, struct err *err)
{
    const struct hparams *hp = &m->hp;
    int rc = hparams_arch(hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc == 0)
        rc = layer_list_require(hp, lists[0], err);
    if (rc == 0)
        rc = layer_list_indices(hp, lists[0], LAYER_ATTN, p->kinds, err);
    if (rc)
        return rc;
    if (p->h3.n_state % 2)
        return err_set(err, ERR_FORMAT,
                       "config.json: ssm_state_size: expected an even number, found %d",
                       p->h3.n_state);
    if (hp->n_kv_heads != hp->n_heads)
        return err_set(err, ERR_FORMAT,
                       "config.json: num_key_value_heads: expected num_attention_heads "
                       "%d, found %d",
                       hp->n_heads, hp->n_kv_heads);
    if (hp->head_dim * hp->n_heads != hp->hidden_size)
        return err_set(err, ERR_FORMAT,
                       "config.json: head_dim: expected hidden_size / "
                       "num_attention_heads = %d / %d, found %d",
                       hp->hidden_size, hp->n_heads, hp->head_dim);
    return 0;
}

static int bind_sequence(struct stage *st, bool is_attn, const struct hparams *hp,
                         const struct h3_keys *p, const struct bind *b, struct err *err)
{
    struct attn_spec attn = {
        .qkv = "Wqkv",
        .o = "out_proj",
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_heads,
        .head_dim = hp->head_dim,
        .bias = true,
        .o_bias = true,
    };
    struct bind under = bind_under(b, "mixer.");
    int rc = norm_bind_layer(&st->norm, b, "norm1", b->hidden_size, EPS, err);
    if (rc)
        return rc;
    return is_attn ? stage_mixer(st, &mixer_attn, &attn, &under, err)
                   : stage_mixer(st, &mixer_h3, &p->h3, &under, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct h3_keys *p = arch;
    struct ffn_spec ffn = {.kind = FFN_GELU_TANH,
                           .up = "mlp.fc1",
                           .down = "mlp.fc2",
                           .size = m->hp.ffn_size,
                           .bias = true};
    struct block *blk = &m->blocks[i];
    int rc =
        bind_sequence(block_stage(blk), p->kinds[i] == LAYER_ATTN, &m->hp, p, b, err);
    if (rc)
        return rc;
    struct stage *st = block_stage(blk);
    rc = norm_bind_layer(&st->norm, b, "norm2", b->hidden_size, EPS, err);
    return rc ? rc : stage_mixer(st, &mixer_ffn, &ffn, b, err);
}

static const struct frame frame = {.root = "backbone.",
                                   .embed = "embeddings.word_embeddings",
                                   .norm = "ln_f",
                                   .layer_norm_eps = EPS,
                                   .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct h3_keys p = {0};
    int rc = read_config(&p, m, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {
    .tied = HEAD_ALWAYS_TIED, .no_rope = true, .lists = lists};

const struct arch arch_h3 = {"h3", &family, build};
