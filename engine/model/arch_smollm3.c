/*
 * SmolLM3: Llama's layout, in which some layers have no position code, and these may have
 * a sliding window (transformers, smollm3). Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch_llama.h"
#include "engine/model/arch_windows.h"

enum { LAYER_ROPE, LAYER_NOPE };

struct smollm3 {
    struct llama_layer layer; /* with RoPE */
    struct windows windows;
    int interval; /* of layers without RoPE, where there is no list */
    uint8_t kinds[HPARAMS_MAX_LAYERS];
};

static const struct hparam_key keys[] = {
    WINDOWS_SIZE_KEY(struct smollm3, windows),
    WINDOWS_USE_KEY(struct smollm3, windows),
    {"no_rope_layer_interval", HP_INT, offsetof(struct smollm3, interval), 1,
     HPARAMS_MAX_LAYERS, NULL, false},
    {"attention_bias", HP_BOOL, offsetof(struct smollm3, layer.attention_bias), 0, 0,
     NULL, false},
    {"mlp_bias", HP_BOOL, offsetof(struct smollm3, layer.mlp_bias), 0, 0, NULL, false},
};

static int read_config(struct smollm3 *p, struct model *m, struct err *err)
{
    const struct hparams *hp = &m->hp;
    *p = (struct smollm3){.interval = 4};
    int rc = hparams_arch(hp, keys, sizeof keys / sizeof *keys, p, err);
    layer_list_every(hp->n_layers, p->interval, LAYER_NOPE, p->kinds);
    if (rc == 0)
        rc =
            layer_list_flags(hp, "no_rope_layers", LAYER_NOPE, LAYER_ROPE, p->kinds, err);
    for (int i = 0; i < hp->n_layers; i++)
        p->windows.sliding[i] = p->kinds[i] == LAYER_NOPE;
    if (rc == 0)
        rc = arch_windows_read(&p->windows, hp, err);
    return rc ? rc : model_rope(m, &p->layer.rope, &hp->rope, hp->head_dim, false, err);
}

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct smollm3 *p = arch;
    struct llama_layer layer = p->layer;
    layer.window = arch_window(&p->windows, i);
    if (p->kinds[i] == LAYER_NOPE)
        layer.rope = NULL;
    return arch_llama_layer(&m->blocks[i], &m->hp, &layer, b, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct smollm3 p;
    int rc = read_config(&p, m, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const char *const lists[] = {"layer_types", "no_rope_layers", NULL};
static const char *const no_effect[] = {"max_window_layers", "pretraining_tp", NULL};
static const struct hparam_family family = {.of_transformers = true,
                                            .n_kv_heads = 4,
                                            .theta = 2e6,
                                            .max_position = 32768,
                                            .tied = HEAD_TIED,
                                            .lists = lists,
                                            .no_effect = no_effect};

const struct arch arch_smollm3 = {"smollm3", &family, build};
