/*
 * The list of architectures. A new one is one file arch_<name>.c (names of tensors and
 * config keys, no arithmetic), one line here and in arch.c, and one golden fixture.
 */
#ifndef ENGINE_MODEL_ARCH_H
#define ENGINE_MODEL_ARCH_H

#include "engine/model/model.h"

struct arch {
    const char *model_type; /* config.json: model_type */
    /* Fills embed, blocks, final_norm and head; refuses config keys that nobody knows. */
    int (*build)(struct model *m, const struct bind *b, struct err *err);
};

extern const struct arch arch_transxssm, arch_pha, arch_llama;

/* ERR_FORMAT naming what is known. */
int arch_find(const struct arch **out, const char *model_type, struct err *err);

#endif
