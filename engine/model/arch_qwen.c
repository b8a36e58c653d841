/*
 * Qwen 2, 2.5 and 3, dense: Llama's layout, with biases of q, k and v (2) or norms of
 * each head's queries and keys (3), and sliding windows in the upper layers where they
 * are asked for (transformers, qwen2 and qwen3). Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch_llama.h"
#include "engine/model/arch_windows.h"

struct qwen {
    struct llama_layer layer;
    struct windows windows;
    int n_full; /* layers without a window, where there is no list */
};

static const struct hparam_key keys[] = {
    WINDOWS_SIZE_KEY(struct qwen, windows),
    WINDOWS_USE_KEY(struct qwen, windows),
    {"max_window_layers", HP_INT, offsetof(struct qwen, n_full), 0, HPARAMS_MAX_LAYERS,
     NULL, false},
    {"attention_bias", HP_BOOL, offsetof(struct qwen, layer.attention_bias), 0, 0, NULL,
     false}, /* the last: Qwen 3's alone */
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct qwen *p = arch;
    struct llama_layer layer = p->layer;
    layer.window = arch_window(&p->windows, i);
    return arch_llama_layer(&m->blocks[i], &m->hp, &layer, b, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, struct qwen *p, int n_keys, const struct bind *b,
                 struct err *err)
{
    int rc = hparams_arch(&m->hp, keys, (size_t)n_keys, p, err);
    for (int i = p->n_full; i < m->hp.n_layers; i++)
        p->windows.sliding[i] = 1;
    if (rc == 0)
        rc = arch_windows_read(&p->windows, &m->hp, err);
    if (rc == 0)
        rc = model_rope(m, &p->layer.rope, &m->hp.rope, m->hp.head_dim, false, err);
    return rc ? rc : frame_build(m, b, &frame, p, err);
}

static int build_2(struct model *m, const struct bind *b, struct err *err)
{
    struct qwen p = {.layer.qkv_bias = true, .windows.size = 4096, .n_full = 28};
    return build(m, &p, N_KEYS - 1, b, err);
}

static int build_3(struct model *m, const struct bind *b, struct err *err)
{
    struct qwen p = {.layer.head_norms = true, .windows.size = 4096, .n_full = 28};
    return build(m, &p, N_KEYS, b, err);
}

static const char *const lists[] = {"layer_types", NULL};

static const struct hparam_family family_2 = {
    .of_transformers = true, .n_kv_heads = 32, .max_position = 32768, .lists = lists};
static const struct hparam_family family_3 = {.of_transformers = true,
                                              .n_kv_heads = 32,
                                              .max_position = 32768,
                                              .head_dim = 128,
                                              .lists = lists};

const struct arch arch_qwen2 = {"qwen2", &family_2, build_2},
                  arch_qwen3 = {"qwen3", &family_3, build_3};
