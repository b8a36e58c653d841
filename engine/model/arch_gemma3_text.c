/*
 * Gemma 3's text models (arXiv 2503.19786): Llama's layout with norms by 1 + w before and
 * behind both mixers, norms of queries and keys, and layers with a sliding window and a
 * rotary table of their own (transformers, gemma3_text). Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch_llama.h"
#include "engine/model/arch_windows.h"

#include <math.h>
#include <string.h>

struct gemma3 {
    struct llama_layer layer; /* with RoPE of full layers */
    const struct rope *local; /* of sliding ones */
    struct windows windows;
    int period; /* of full layers, where there is no list */
    double query_scalar;
};

static const struct hparam_key keys[] = {
    WINDOWS_SIZE_KEY(struct gemma3, windows),
    {"sliding_window_pattern", HP_INT, offsetof(struct gemma3, period), 1,
     HPARAMS_MAX_LAYERS, NULL, false},
    {"query_pre_attn_scalar", HP_REAL, offsetof(struct gemma3, query_scalar), 1e-9, 1e9,
     NULL, false},
    {"attention_bias", HP_BOOL, offsetof(struct gemma3, layer.attention_bias), 0, 0, NULL,
     false},
};

static int read_config(struct gemma3 *p, struct model *m, struct err *err)
{
    const struct hparams *hp = &m->hp;
    *p = (struct gemma3){.layer = {.head_norms = true,
                                   .one_plus = true,
                                   .sandwich = true,
                                   .ffn = FFN_GEGLU_TANH},
                         .windows = {.used = true, .size = 4096},
                         .period = 6,
                         .query_scalar = 256};
    int rc = hparams_arch(hp, keys, sizeof keys / sizeof *keys, p, err);
    memset(p->windows.sliding, 1, sizeof p->windows.sliding);
    layer_list_every(hp->n_layers, p->period, 0, p->windows.sliding);
    p->layer.score_scale = 1 / sqrt(p->query_scalar);
    if (rc == 0)
        rc = arch_windows_read(&p->windows, hp, err);
    if (rc == 0)
        rc = model_rope(m, &p->layer.rope, &hp->rope, hp->head_dim, false, err);
    return rc ? rc : model_rope(m, &p->local, &hp->rope_local, hp->head_dim, false, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct gemma3 *p = arch;
    struct llama_layer layer = p->layer;
    layer.window = arch_window(&p->windows, i);
    if (p->windows.sliding[i])
        layer.rope = p->local;
    return arch_llama_layer(&m->blocks[i], &m->hp, &layer, b, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .norm_one_plus = true,
                                   .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct gemma3 p;
    int rc = read_config(&p, m, err);
    m->embed.scale = (float)sqrt(b->hidden_size);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const char *const lists[] = {"layer_types", NULL};
static const struct hparam_family family = {.of_transformers = true,
                                            .n_kv_heads = 4,
                                            .theta = 1e6,
                                            .theta_local = 1e4,
                                            .head_dim = 256,
                                            .max_position = 131072,
                                            .tied = HEAD_TIED,
                                            .rope_by_type = true,
                                            .lists = lists};

const struct arch arch_gemma3_text = {"gemma3_text", &family, build};
