/*
 * OLMo Hybrid: layers of gated DeltaNet with norms before their mixers, and attention
 * layers with norms behind them, without a position code where rope_theta is null. Names
 * only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "engine/model/arch_gdn.h"
#include "engine/model/arch_llama.h"

struct olmo {
    struct llama_layer layer; /* but for its norms */
    struct gdn_spec gdn;
    bool neg_eigval;
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

static const struct hparam_key keys[] = {
    ARCH_GDN_KEYS(olmo, gdn),
    {"linear_allow_neg_eigval", HP_BOOL, offsetof(struct olmo, neg_eigval), 0, 0, NULL,
     false},
    {"attention_bias", HP_BOOL, offsetof(struct olmo, layer.attention_bias), 0, 0, NULL,
     false},
};

/* Absent sizes follow from others. */
static void complete(struct gdn_spec *s, const struct hparams *hp)
{
    s->n_key_heads = s->n_key_heads ? s->n_key_heads : hp->n_heads;
    s->n_value_heads = s->n_value_heads ? s->n_value_heads : hp->n_heads;
    if (!s->key_dim)
        s->key_dim = (int)(0.75 * hp->hidden_size / s->n_key_heads);
    s->value_dim = s->value_dim ? s->value_dim : 2 * s->key_dim;
}

/* Without a list every fourth layer is attention, or the last of fewer. */
static int read_layers(struct olmo *p, const struct hparams *hp, struct err *err)
{
    layer_list_every(hp->n_layers, hp->n_layers < 4 ? hp->n_layers : 4, LAYER_ATTN,
                     p->kinds);
    return arch_gdn_layers(hp, p->kinds, err);
}

static int read_config(struct olmo *p, struct model *m, struct err *err)
{
    const struct hparams *hp = &m->hp;
    *p = (struct olmo){
        .layer.whole_norms = true,
        .neg_eigval = true,
        .gdn = {.qkv = {"linear_attn.q_proj", "linear_attn.k_proj", "linear_attn.v_proj"},
                .z = "linear_attn.g_proj",
                .b = "linear_attn.b_proj",
                .a = "linear_attn.a_proj",
                .out = "linear_attn.o_proj",
                .conv = {"linear_attn.q_conv1d", "linear_attn.k_conv1d",
                         "linear_attn.v_conv1d"},
                .a_log = "linear_attn.A_log",
                .dt_bias = "linear_attn.dt_bias",
                .norm = "linear_attn.o_norm.weight",
                .n_taps = 4,
                .norm_eps = 1e-5}}; /* whatever rms_norm_eps is */
    int rc = hparams_arch(hp, keys, sizeof keys / sizeof *keys, p, err);
    if (rc == 0)
        rc = read_layers(p, hp, err);
    if (rc)
        return rc;
    p->gdn.beta_scale = p->neg_eigval ? 2 : 1;
    complete(&p->gdn, hp);
    rc = arch_gdn_check(&p->gdn, err);
    if (rc || hp->rope.theta_null)
        return rc;
    return model_rope(m, &p->layer.rope, &hp->rope, hp->head_dim, false, err);
}

/* A norm that has two names. */
static int bind_norm(struct norm *n, const struct bind *b, const char *const names[2],
                     double eps, struct err *err)
{
    const char *name = bind_has(b, names[1]) ? names[1] : names[0];
    return norm_bind(n, b, name, b->hidden_size, eps, err);
}

/* The published name, then that which transformers 5 gives the tensor. */
static const char *const before_gdn[] = {"attention_layer_norm.weight",
                                         "input_layernorm.weight"};
static const char *const before_ffn[] = {"feedforward_layer_norm.weight",
                                         "post_attention_layernorm.weight"};
static const char *const after_attn[] = {"post_attention_layernorm.weight",
                                         "feedforward_layer_norm.weight"};
static const char *const after_ffn[] = {"post_feedforward_layernorm.weight",
                                        "post_feedforward_layernorm.weight"};

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct olmo *p = arch;
    const struct hparams *hp = &m->hp;
    struct stage *seq = block_stage(&m->blocks[i]), *ffn = block_stage(&m->blocks[i]);
    bool gdn = p->kinds[i] == LAYER_GDN;
    int rc = gdn ? stage_mixer(seq, &mixer_gdn, &p->gdn, b, err)
                 : arch_llama_attn_mixer(seq, hp, &p->layer, b, err);
    if (rc == 0)
        rc = arch_llama_ffn_mixer(ffn, hp, &p->layer, b, err);
    if (rc == 0)
        rc = bind_norm(gdn ? &seq->norm : &seq->branches[0].after, b,
                       gdn ? before_gdn : after_attn, hp->rms_eps, err);
    if (rc == 0)
        rc = bind_norm(gdn ? &ffn->norm : &ffn->branches[0].after, b,
                       gdn ? before_ffn : after_ffn, hp->rms_eps, err);
    return rc;
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct olmo p;
    int rc = read_config(&p, m, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const char *const lists[] = {"layer_types", NULL};
static const struct hparam_family family = {
    .of_transformers = true, .max_position = 65536, .lists = lists};

const struct arch arch_olmo_hybrid = {"olmo_hybrid", &family, build};
