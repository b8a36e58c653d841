/*
 * Linear layers over packed weights: packing matrices, and dividing products among the
 * pool's threads by outputs and, where there are few outputs, by rows. A sum over k is
 * never divided, so no result depends on the number of threads or on the division.
 *
 * Rows for quantised weights are quantised once for a group of products. Many rows are a
 * job of the pool. Few rows are quantised by every thread for itself, into its slot of
 * the scratch, which takes less time than synchronising the threads.
 *
 * The engine thread calls gemm_run; packing may run on any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/gemm.h"

#include "engine/base/mem.h"
#include "engine/kernel/blas.h"
#include "engine/kernel/pack.h"
#include "engine/kernel/partition.h"

#include <assert.h>
#include <stdint.h>

enum {
    BLAS_ROWS = 32,       /* fewer rows are faster with our kernels, and exact */
    SLOT_GROUPS = 512,    /* up to here every thread quantises all rows for itself */
    SLOT_HEAD = 64,       /* has the number of the job whose rows follow */
    INLINE_WORK = 20000,  /* less takes no longer than waking a worker */
    TASK_WORK = 64 << 10, /* least work of a task, in bytes read */
    MADDS_A_BYTE = 8,     /* take as long as reading a byte */
    UNITS_A_THREAD = 32,  /* with fewer panels the rows are divided too */
    PART_BLOCKS = 2,      /* smallest part */
    ROWS_A_TASK = 8       /* when quantising */
};

static int at_most(int64_t x, int limit)
{
    return x < limit ? (int)x : limit;
}

/* ---- packing ---------------------------------------------------------------- */

int gemm_pack(struct matrix *m, struct arena *a, const void *rows, bool blas,
              struct err *err)
{
    size_t bytes = matrix_panel_bytes(m), n = (size_t)m->n_out * (size_t)m->n_in;
    void *panels = arena_alloc(a, bytes);
    if (!panels)
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of packed weights",
                       bytes);
    pack_panels(panels, m, rows);
    m->panels = panels;
    if (!blas)
        return 0;
    float *wide = arena_alloc(a, n * sizeof *wide);
    if (!wide)
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of weights for BLAS",
                       n * sizeof *wide);
    kernel_c.widen[m->type](rows, n, wide);
    m->rows = wide;
    return 0;
}

/* ---- room for quantised rows ------------------------------------------------ */

static size_t slot_bytes(void)
{
    size_t bytes = SLOT_HEAD + SLOT_GROUPS * sizeof(struct quant_group);
    return (bytes + 63) / 64 * 64;
}

static size_t rows_bytes(int max_in, int max_rows)
{
    return (size_t)max_rows * matrix_groups(max_in) * sizeof(struct quant_group);
}

size_t gemm_scratch_bytes(int max_in, int max_rows, int n_threads)
{
    return (size_t)n_threads * slot_bytes() + rows_bytes(max_in, max_rows);
}

int gemm_scratch_open(struct gemm_scratch *s, int max_in, int max_rows, int n_threads,
                      struct err *err)
{
    size_t bytes = gemm_scratch_bytes(max_in, max_rows, n_threads);
    *s = (struct gemm_scratch){.block = mem_zalloc(1, bytes),
                               .slot_bytes = slot_bytes(),
                               .rows_bytes = rows_bytes(max_in, max_rows)};
    if (s->block)
        return 0;
    return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of quantised rows",
                   bytes);
}

void gemm_scratch_close(struct gemm_scratch *s)
{
    mem_free(s->block);
    *s = (struct gemm_scratch){0};
}

/* ---- a group of products ---------------------------------------------------- */

struct job {
    struct linear_args whole;
    void (*linear)(const struct linear_args *);
    enum dtype type;
    int n_panels;
};

/* The products are cut into units, a panel of outputs times a part of the rows, all
 * panels of the first part of the rows before those of the second. A task is a run of
 * units. */
struct group {
    struct job jobs[GEMM_GROUP];
    int n, n_panels; /* of all jobs together */
    int64_t work;    /* likewise */
    int row_parts;
    struct partition tasks;
    const struct gemm *g;
    struct gemm_input in;
    size_t n_groups;       /* of a quantised row */
    struct quant_group *q; /* all rows; NULL: every thread quantises for itself */
    uint64_t number;       /* of this job, for the slots */
};

static void quantise_rows(const struct group *group, int row0, int row1,
                          struct quant_group *all)
{
    const struct gemm_input *in = &group->in;
    for (int r = row0; r < row1; r++) {
        int block = r / QUANT_BLOCK * QUANT_BLOCK;
        int rows = at_most(in->n_rows - block, QUANT_BLOCK);
        group->g->k->quantise(
            in->x + (size_t)r * in->ldx, (size_t)group->jobs[0].whole.n_in,
            all + (size_t)block * group->n_groups + (r - block), (size_t)rows);
    }
}

static const struct quant_group *quantised_rows(const struct group *group, int thread)
{
    if (group->q)
        return group->q;
    const struct gemm_scratch *s = group->g->scratch;
    char *slot = s->block + (size_t)thread * s->slot_bytes;
    uint64_t *number = (uint64_t *)(void *)slot;
    struct quant_group *q = (struct quant_group *)(void *)(slot + SLOT_HEAD);
    if (*number != group->number)
        quantise_rows(group, 0, group->in.n_rows, q);
    *number = group->number;
    return q;
}

static int block_count(int n_rows)
{
    return (n_rows + QUANT_BLOCK - 1) / QUANT_BLOCK;
}

/* Parts of the rows begin at whole blocks. */
static int part_row(const struct group *group, int part)
{
    int n_rows = group->in.n_rows;
    int64_t block = (int64_t)block_count(n_rows) * part / group->row_parts;
    return at_most(block * QUANT_BLOCK, n_rows);
}

static void run_piece(const struct group *group, const struct job *j, int part,
                      int thread, const int panels[2])
{
    struct linear_args a = j->whole;
    int row0 = part_row(group, part);
    a.n_rows = part_row(group, part + 1) - row0;
    if (dtype_quantised(j->type))
        a.q = quantised_rows(group, thread) + (size_t)row0 * group->n_groups;
    else
        a.x += (size_t)row0 * a.ldx;
    a.y += (size_t)row0 * a.ldy;
    a.panel0 = panels[0];
    a.panel1 = panels[1];
    j->linear(&a);
}

static void run_task(void *arg, int task, int thread)
{
    const struct group *group = arg;
    int unit = group->tasks.begin[task], end = group->tasks.begin[task + 1];
    while (unit < end) {
        int part = unit / group->n_panels, panel = unit % group->n_panels;
        const struct job *j = group->jobs;
        for (; panel >= j->n_panels; j++)
            panel -= j->n_panels;
        int panel1 = at_most((int64_t)panel + end - unit, j->n_panels);
        run_piece(group, j, part, thread, (const int[]){panel, panel1});
        unit += panel1 - panel;
    }
}

static void quantise_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct group *group = arg;
    int row0 = task * ROWS_A_TASK;
    quantise_rows(group, row0, at_most(row0 + ROWS_A_TASK, group->in.n_rows), group->q);
}

/* Many rows are quantised here, few by each thread at its first task. */
static void prepare_rows(struct group *group)
{
    const struct gemm *g = group->g;
    struct gemm_scratch *s = g->scratch;
    assert(s);
    group->n_groups = matrix_groups(group->jobs[0].whole.n_in);
    group->number = ++s->n_jobs;
    if ((size_t)group->in.n_rows * group->n_groups <= SLOT_GROUPS)
        return;
    char *rows = s->block + (size_t)pool_threads(g->pool) * s->slot_bytes;
    group->q = (struct quant_group *)(void *)rows;
    int n_tasks = (group->in.n_rows + ROWS_A_TASK - 1) / ROWS_A_TASK;
    pool_run(g->pool, quantise_task, group, n_tasks);
}

/* In bytes read, or for many rows in products of equal time. */
static int64_t work_of(const struct matrix *m, int n_rows)
{
    int64_t bytes = (int64_t)matrix_panel_bytes(m);
    int64_t madds = (int64_t)m->n_in * m->n_out * n_rows;
    return bytes > madds / MADDS_A_BYTE ? bytes : madds / MADDS_A_BYTE;
}

static void divide(struct group *group, int n_threads)
{
    int64_t work = group->work;
    int parts = (UNITS_A_THREAD * n_threads + group->n_panels - 1) / group->n_panels;
    int most = block_count(group->in.n_rows) / PART_BLOCKS;
    group->row_parts = n_threads == 1 || most < 1 ? 1 : at_most(parts, most);
    int n = group->row_parts * group->n_panels;
    int least = at_most((int64_t)TASK_WORK * n / (work + 1) + 1, n);
    bool alone = n_threads == 1 || work < INLINE_WORK;
    partition_cut(&group->tasks, n, alone ? n : least, n_threads);
}

static void run_blas(const struct gemm *g, const struct matrix *m,
                     const struct linear_args *a)
{
    blas_linear(m->rows, a);
    for (int r = 0; m->bias && r < a->n_rows; r++) {
        float *y = a->y + (size_t)r * a->ldy;
        g->k->add(y, m->bias, (size_t)m->n_out, y);
    }
}

static struct job job_of(const struct gemm *g, const struct gemm_input *in,
                         const struct gemm_product *p)
{
    const struct matrix *m = p->m;
    return (struct job){.linear = g->k->linear[m->type],
                        .type = m->type,
                        .n_panels = matrix_panels(m->n_out),
                        .whole = {.panels = m->panels,
                                  .scales = m->scales,
                                  .bias = m->bias,
                                  .x = in->x,
                                  .y = p->y,
                                  .ldx = in->ldx,
                                  .ldy = p->ldy,
                                  .n_in = m->n_in,
                                  .n_out = m->n_out,
                                  .n_rows = in->n_rows}};
}

/* Rows that the scratch has room for. */
static void run_slice(const struct gemm *g, const struct gemm_input *in,
                      const struct gemm_product *p, int n)
{
    struct group group;
    bool quantised = false;
    group.g = g;
    group.in = *in;
    group.q = NULL;
    group.n = group.n_panels = 0;
    group.work = 0;
    for (int i = 0; i < n; i++) {
        struct job j = job_of(g, in, &p[i]);
        if (g->blas && p[i].m->rows && in->n_rows >= BLAS_ROWS) {
            run_blas(g, p[i].m, &j.whole);
            continue;
        }
        quantised |= dtype_quantised(j.type);
        group.n_panels += j.n_panels;
        group.work += work_of(p[i].m, in->n_rows);
        group.jobs[group.n++] = j;
    }
    if (group.n == 0)
        return;
    if (quantised)
        prepare_rows(&group);
    divide(&group, pool_threads(g->pool));
    pool_run(g->pool, run_task, &group, group.tasks.n);
}

static int slice_rows(const struct gemm *g, const struct gemm_input *in,
                      const struct matrix *m)
{
    if (!dtype_quantised(m->type))
        return in->n_rows;
    assert(g->scratch);
    size_t n = g->scratch->rows_bytes / rows_bytes(m->n_in, 1);
    assert(n > 0);
    return n < (size_t)in->n_rows ? (int)n : in->n_rows;
}

void gemm_run_group(const struct gemm *g, const struct gemm_input *in,
                    const struct gemm_product *p, int n)
{
    int step = in->n_rows;
    for (int i = 0; i < n; i++) {
        int fits = slice_rows(g, in, p[i].m);
        step = fits < step ? fits : step;
    }
    for (int row0 = 0; row0 < in->n_rows; row0 += step) {
        struct gemm_input slice = {in->x + (size_t)row0 * in->ldx, in->ldx,
                                   at_most(in->n_rows - row0, step)};
        struct gemm_product at[GEMM_GROUP];
        for (int i = 0; i < n; i++)
            at[i] =
                (struct gemm_product){p[i].m, p[i].y + (size_t)row0 * p[i].ldy, p[i].ldy};
        run_slice(g, &slice, at, n);
    }
}

void gemm_run(const struct gemm *g, const struct matrix *m, const float *x, size_t ldx,
              int n_rows, float *y, size_t ldy)
{
    struct gemm_input in = {x, ldx, n_rows};
    struct gemm_product p = {m, y, ldy};
    gemm_run_group(g, &in, &p, 1);
}
