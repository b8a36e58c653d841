/*
 * The list of architectures. To add one: a file arch_<name>.c (names of tensors and
 * config keys, no arithmetic), a line here and in arch.c, a golden fixture.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_ARCH_H
#define ENGINE_MODEL_ARCH_H

#include "engine/model/model.h"

struct arch {
    const char *model_type; /* config.json: model_type */
    const struct hparam_family *family;
    /* Fills embed, blocks, final_norm and head; refuses unknown config keys. */
    int (*build)(struct model *m, const struct bind *b, struct err *err);
};

extern const struct arch arch_transxssm, arch_pha, arch_llama, arch_qwen2, arch_qwen3,
    arch_mistral, arch_smollm3, arch_gemma3_text, arch_gss_hybrid, arch_hedgehog, arch_h3,
    arch_nemotron_h, arch_falcon_h1, arch_mamba2, arch_granite, arch_granitemoehybrid,
    arch_bamba, arch_lfm2, arch_qwen3_5, arch_qwen3_5_text, arch_olmo_hybrid;

/* NULL for a model_type that is not served. */
const struct arch *arch_find(const char *model_type);

/* How the model_type's family writes its configuration; NULL with ERR_FORMAT for one that
 * is not served: the error names what is, the nearest of it, and why where that is known. */
const struct hparam_family *arch_family(const char *model_type, struct err *err);

#endif
