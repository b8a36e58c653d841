/*
 * What most architectures have in common: an embedding, layers under a numbered prefix, a
 * final norm and a head. The architecture names them and binds a layer. Runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_FRAME_H
#define ENGINE_MODEL_FRAME_H

#include "engine/model/model.h"

/* Binds m->blocks[i] from the tensors under b, by what the architecture read. */
typedef int frame_layer_fn(struct model *m, int i, const void *arch, const struct bind *b,
                           struct err *err);

/* Names without ".weight", all but the head's under root. */
struct frame {
    const char *root, *embed; /* layers are root + "layers.i." */
    const char *norm;         /* RMSNorm by rms_eps; NULL: none */
    bool norm_one_plus;       /* by 1 + weight */
    double layer_norm_eps;    /* above 0: it is a LayerNorm with this */
    frame_layer_fn *layer;
};

/* Fills embed, blocks, final_norm and head (lm_head). */
int frame_build(struct model *m, const struct bind *b, const struct frame *f,
                const void *arch, struct err *err);

#endif
