/* Shared by mixers inside a step: scratch, rows divided over the pool, linear layers.
 * Engine thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/mixer.h"

float *mixer_floats(const struct ctx *c, size_t n)
{
    return arena_alloc(c->scratch, n * sizeof(float));
}

size_t mixer_floats_bytes(size_t n)
{
    return (n * sizeof(float) + 63) / 64 * 64;
}

struct rows_job {
    const struct ctx *c;
    mixer_rows_fn *fn;
    const void *arg;
    int rows_per_task;
};

static void rows_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct rows_job *j = arg;
    int row0 = task * j->rows_per_task, row1 = row0 + j->rows_per_task;
    j->fn(j->arg, j->c, row0, row1 < j->c->n_rows ? row1 : j->c->n_rows);
}

void mixer_rows(const struct ctx *c, mixer_rows_fn *fn, const void *arg,
                size_t floats_per_row)
{
    enum {
        TASK_FLOATS = 16 * 1024
    }; /* a few microseconds; less takes no longer than waking a worker */
    size_t per_task = TASK_FLOATS / (floats_per_row ? floats_per_row : 1);
    if (per_task < 1)
        per_task = 1;
    if ((size_t)c->n_rows <= per_task) {
        fn(arg, c, 0, c->n_rows);
        return;
    }
    struct rows_job j = {c, fn, arg, (int)per_task};
    int n_tasks = (c->n_rows + (int)per_task - 1) / (int)per_task;
    pool_run(c->gemm->pool, rows_task, &j, n_tasks);
}

struct units_job {
    const struct ctx *c;
    mixer_unit_fn *fn;
    const void *arg;
    int n, n_parts; /* of a span: units, and tasks that they are divided into */
};

static int first_unit(const struct units_job *j, int part)
{
    return (int)((int64_t)part * j->n / j->n_parts);
}

static void units_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct units_job *j = arg;
    int part = task % j->n_parts, end = first_unit(j, part + 1);
    for (int unit = first_unit(j, part); unit < end; unit++)
        j->fn(j->arg, j->c, &j->c->spans[task / j->n_parts], unit);
}

static int parts_of(const struct ctx *c, int n)
{
    enum { FEW_ROWS = 4, TASKS_PER_THREAD = 2 };
    for (int i = 0; i < c->n_spans; i++)
        if (c->spans[i].n_rows > FEW_ROWS)
            return n;
    int wanted = TASKS_PER_THREAD * pool_threads(c->gemm->pool);
    int parts = (wanted + c->n_spans - 1) / c->n_spans;
    return parts < n ? parts : n;
}

void mixer_units(const struct ctx *c, mixer_unit_fn *fn, const void *arg, int n)
{
    struct units_job j = {c, fn, arg, n, parts_of(c, n)};
    pool_run(c->gemm->pool, units_task, &j, c->n_spans * j.n_parts);
}

void mixer_linears(const struct ctx *c, const float *x, const struct matrix *const *m,
                   float *const *y, int n)
{
    const struct gemm_input in = {x, (size_t)m[0]->n_in, c->n_rows};
    struct gemm_product p[GEMM_GROUP];
    for (int i = 0; i < n; i++)
        p[i] = (struct gemm_product){m[i], y[i], (size_t)m[i]->n_out};
    gemm_run_group(c->gemm, &in, p, n);
}

void mixer_linear(const struct ctx *c, const struct matrix *m, const float *x, float *y)
{
    gemm_run(c->gemm, m, x, (size_t)m->n_in, c->n_rows, y, (size_t)m->n_out);
}
