/* Binds the frame of a model. Opening thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/frame.h"

#include <stdio.h>

static int bind_norm(struct model *m, const struct bind *root, const struct frame *f,
                     struct err *err)
{
    struct norm *n = &m->final_norm;
    int d = m->hp.hidden_size;
    char name[64];
    if (!f->norm) {
        n->n = d;
        return 0;
    }
    if (f->layer_norm_eps > 0)
        return norm_bind_layer(n, root, f->norm, d, f->layer_norm_eps, err);
    snprintf(name, sizeof name, "%s.weight", f->norm);
    return f->norm_one_plus ? norm_bind_one_plus(n, root, name, d, m->hp.rms_eps, err)
                            : norm_bind(n, root, name, d, m->hp.rms_eps, err);
}

int frame_build(struct model *m, const struct bind *b, const struct frame *f,
                const void *arch, struct err *err)
{
    struct bind root = bind_under(b, "%s", f->root);
    int rc = model_bind_embed(m, &root, f->embed, err);
    for (int i = 0; rc == 0 && i < m->hp.n_layers; i++) {
        struct bind layer = bind_under(&root, "layers.%d.", i);
        rc = f->layer(m, i, arch, &layer, err);
    }
    if (rc == 0)
        rc = bind_norm(m, &root, f, err);
    return rc ? rc : model_bind_head(m, b, "lm_head", err);
}
