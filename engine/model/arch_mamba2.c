/*
 * Mamba-2 (arXiv 2405.21060): a norm and a Mamba-2 mixer a layer, without attention and
 * feed-forward layers. Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch_mamba2.h"

#include "engine/model/frame.h"

#include <inttypes.h>
#include <math.h>

int arch_mamba2_heads(struct mamba2_layer *p, int hidden_size, const char *key,
                      struct err *err)
{
    int64_t width = (int64_t)p->expand * hidden_size;
    if (!p->head_dim && width % p->n_heads == 0)
        p->head_dim = (int)(width / p->n_heads);
    if (p->head_dim && width == (int64_t)p->n_heads * p->head_dim)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "config.json: %s: expected %d x hidden_size = %" PRId64
                   " to be the heads x their size, found %d x %d",
                   key, p->expand, width, p->n_heads, p->head_dim);
}

struct mamba2_spec arch_mamba2_spec(const struct mamba2_layer *p, double eps)
{
    return (struct mamba2_spec){
        .n_heads = p->n_heads,
        .head_dim = p->head_dim,
        .n_state = p->n_state,
        .n_groups = p->n_groups,
        .n_taps = p->n_taps,
        .conv_bias = p->conv_bias,
        .in_bias = p->proj_bias,
        .out_bias = p->proj_bias,
        .norm = MAMBA2_NORM_WHOLE,
        .eps = eps,
        .dt_min = p->dt_limit[0],
        .dt_max = p->dt_limit[1],
    };
}

static int bind_mixer(struct stage *st, const struct mamba2_layer *p, double eps,
                      const struct bind *b, struct err *err)
{
    const struct mamba2_spec spec = arch_mamba2_spec(p, eps);
    return stage_mixer(st, &mixer_mamba2, &spec, b, err);
}

int arch_mamba2_stage(struct block *blk, const struct mamba2_layer *p, double eps,
                      const struct bind *b, struct err *err)
{
    struct bind under = bind_under(b, "mamba.");
    struct stage *st = block_stage(blk);
    int rc = norm_bind(&st->norm, b, "input_layernorm.weight", b->hidden_size, eps, err);
    return rc ? rc : bind_mixer(st, p, eps, &under, err);
}

#define KEY(name, type, field, lo, hi)                                                   \
    MAMBA2_LAYER_KEY(name, type, struct mamba2_layer, field, lo, hi)

static const struct hparam_key keys[] = {
    KEY("num_heads", HP_INT, n_heads, 1, 1 << 16),
    KEY("head_dim", HP_INT, head_dim, 1, 1 << 16),
    KEY("state_size", HP_INT, n_state, 1, 1 << 16),
    KEY("n_groups", HP_INT, n_groups, 1, 1 << 16),
    KEY("conv_kernel", HP_INT, n_taps, 1, 1 << 10),
    KEY("expand", HP_INT, expand, 1, 1 << 10),
    KEY("use_conv_bias", HP_BOOL, conv_bias, 0, 0),
    KEY("use_bias", HP_BOOL, proj_bias, 0, 0),
    KEY("time_step_limit", HP_REALS_2, dt_limit, 0, INFINITY),
};

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct mamba2_layer *p = arch;
    struct bind mixer = bind_under(b, "mixer.");
    struct stage *st = block_stage(&m->blocks[i]);
    int rc = norm_bind(&st->norm, b, "norm.weight", b->hidden_size, m->hp.rms_eps, err);
    return rc ? rc : bind_mixer(st, p, m->hp.rms_eps, &mixer, err);
}

static const struct frame frame = {
    .root = "backbone.", .embed = "embeddings", .norm = "norm_f", .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct mamba2_layer p = {.dt_limit = {0, INFINITY},
                             .n_heads = 128,
                             .head_dim = 64,
                             .n_state = 128,
                             .n_groups = 8,
                             .n_taps = 4,
                             .expand = 2,
                             .conv_bias = true};
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, &p, err);
    if (rc == 0)
        rc = arch_mamba2_heads(&p, b->hidden_size, "expand", err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

/* The recurrence has no greatest length; where the file is silent, a long one. */
enum { POSITIONS = 1 << 20 };

/* Published files have them; transformers reads none of them. */
static const char *const no_effect[] = {"norm_before_gate", "time_step_init_scheme",
                                        "time_step_scale", NULL};
static const struct hparam_only only[] = {{"rms_norm", "true"}, {NULL, NULL}};
static const struct hparam_family family = {.of_transformers = true,
                                            .eps_key = "layer_norm_epsilon",
                                            .eps = 1e-5,
                                            .max_position = POSITIONS,
                                            .no_attention = true,
                                            .no_ffn = true,
                                            .no_rope = true,
                                            .no_effect = no_effect,
                                            .only = only};

const struct arch arch_mamba2 = {"mamba2", &family, build};
