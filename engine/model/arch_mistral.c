/*
 * Mistral: Llama's layout with a sliding window in every layer (arXiv 2310.06825; in
 * transformers, mistral). Names only; runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch_llama.h"
#include "engine/model/arch_windows.h"

#include <string.h>

struct mistral {
    struct llama_layer layer;
    struct windows windows;
};

static const struct hparam_key keys[] = {WINDOWS_SIZE_KEY(struct mistral, windows)};

static int build_layer(struct model *m, int i, const void *arch, const struct bind *b,
                       struct err *err)
{
    const struct mistral *p = arch;
    struct llama_layer layer = p->layer;
    layer.window = arch_window(&p->windows, i);
    return arch_llama_layer(&m->blocks[i], &m->hp, &layer, b, err);
}

static const struct frame frame = {ARCH_LLAMA_FRAME, .layer = build_layer};

static int build(struct model *m, const struct bind *b, struct err *err)
{
    struct mistral p = {.windows = {.used = true, .size = 4096}};
    memset(p.windows.sliding, 1, sizeof p.windows.sliding);
    int rc = hparams_arch(&m->hp, keys, sizeof keys / sizeof *keys, &p, err);
    if (rc == 0)
        rc = arch_windows_read(&p.windows, &m->hp, err);
    if (rc == 0)
        rc = model_rope(m, &p.layer.rope, &m->hp.rope, m->hp.head_dim, false, err);
    return rc ? rc : frame_build(m, b, &frame, &p, err);
}

static const struct hparam_family family = {.of_transformers = true, .n_kv_heads = 8};

const struct arch arch_mistral = {"mistral", &family, build};
