/* The door for measurements: hands each call to the room that can answer it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/measure.h"

#include "engine/engine_priv.h"
#include "engine/model/layer_kinds.h"

#include <stdio.h>

void engine_cost(const struct engine *e, const struct engine_batch *b,
                 struct engine_cost *out)
{
    *out = (struct engine_cost){0};
    model_cost(&e->model, b, out);
}

int engine_peak(struct engine *e, enum engine_peak what, double *amount, struct err *err)
{
    int rc = peak_open(&e->peak, err);
    if (rc == 0)
        *amount = peak_run(&e->peak, e->pool, what);
    return rc;
}

void engine_trim(struct engine *e)
{
    slots_trim(&e->runner.slots);
    pages_trim(&e->runner.pages);
}

size_t engine_available(void)
{
    return memory_plan_available();
}

int engine_sizes(const struct engine_options *o, struct engine_sizes *out,
                 struct err *err)
{
    struct model m;
    const struct model_options mo = {.dir = o->model_dir,
                                     .shape = o->shape,
                                     .context = o->context_tokens,
                                     .sizes = true,
                                     .weights = o->weights,
                                     .kv = o->kv};
    int rc = model_open(&m, &mo, err);
    if (rc)
        return rc;
    *out = (struct engine_sizes){.n_layers = m.hp.n_layers,
                                 .hidden_size = m.hp.hidden_size,
                                 .vocab_size = m.hp.vocab_size,
                                 .context_tokens = m.context,
                                 .page_tokens = PAGE_TOKENS,
                                 .n_params = m.n_params,
                                 .weights_bytes = model_weights_bytes(&m),
                                 .slot_bytes = runner_slot_bytes(&m),
                                 .page_bytes = m.page_bytes};
    for (size_t i = 0; i < m.weights.n_tensors; i++) {
        const struct tensor *t = &m.weights.tensors[i];
        out->n_left_out += !t->used;
        out->left_out_bytes += t->used ? 0 : t->bytes;
    }
    snprintf(out->arch, sizeof out->arch, "%s", m.hp.arch);
    out->n_layer_kinds = layer_kinds(&m, out->layers, ENGINE_MAX_LAYER_KINDS);
    model_close(&m);
    return 0;
}
