/* Two layers are of a kind when their mixers and the sizes of their states are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/layer_kinds.h"

#include "engine/mixer/ring.h"

#include <stdio.h>
#include <string.h>

/* Appends the mixer's name behind those that are there, and adds its state. */
static void add_mixer(struct mixer *mx, void *arg)
{
    struct engine_layer_kind *k = arg;
    size_t used = strlen(k->mixers);
    char window[32] = "";
    if (mx->need.ring)
        snprintf(window, sizeof window, " (window of %d)", mx->need.ring->window);
    snprintf(k->mixers + used, sizeof k->mixers - used, "%s%s%s", used ? ", " : "",
             mx->kind->name, window);
    k->state_bytes += mx->need.fixed_bytes;
    k->page_bytes += mx->need.page_bytes;
}

static bool alike(const struct engine_layer_kind *a, const struct engine_layer_kind *b)
{
    return strcmp(a->mixers, b->mixers) == 0 && a->state_bytes == b->state_bytes &&
           a->page_bytes == b->page_bytes;
}

int layer_kinds(const struct model *m, struct engine_layer_kind *out, int max)
{
    int n = 0;
    for (int i = 0; i < m->hp.n_layers; i++) {
        struct engine_layer_kind kind = {.n = 1};
        int k = 0;
        block_each_mixer(&m->blocks[i], add_mixer, &kind);
        while (k < n && !alike(&out[k], &kind))
            k++;
        if (k == n && n < max)
            out[n++] = kind;
        else
            out[k < n ? k : n - 1].n++;
    }
    return n;
}
