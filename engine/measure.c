/* The door for measurements: hands each call to the room that can answer it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/measure.h"

#include "engine/engine_priv.h"

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
