/*
 * Linear layers over packed weights: packing at load, and dividing products among the
 * pool's threads by outputs and, where there are few outputs, by rows. A sum over k is
 * never divided, so neither the number of threads nor the division shows in a result.
 *
 * Rows for quantised weights are quantised once for a group of products: many by a job of
 * the pool, few by each thread for itself, in its slot of the scratch, for that is sooner
 * done than threads meet.
 *
 * The engine thread calls gemm_run; packing may run on any thread. gemm.c alone includes
 * cblas.h, and uses it only when asked to.
 */
#include "engine/kernel/gemm.h"

#include "engine/base/mem.h"

#include <assert.h>
#include <cblas.h>
#include <stdint.h>
#include <string.h>

enum {
    BLAS_ROWS = 32,        /* fewer rows are faster with our kernels, and exact */
    INLINE_MADDS = 20000,  /* less work than this is done before a worker is awake */
    CHUNK_MADDS = 400000,  /* a chunk is worth its overhead from here on */
    CHUNKS_PER_THREAD = 4, /* enough for a disturbed core to be relieved by the others */
    MIN_CHUNK_ROWS = 64,   /* rows are divided only in pieces that keep the kernel busy */
    SLOT_GROUPS = 512,     /* up to here every thread quantises all rows for itself */
    SLOT_HEAD = 64         /* the number of the job whose rows the slot holds */
};

static size_t element_bytes(enum dtype type)
{
    return type == DTYPE_F32 ? 4 : 2;
}

static int panel_count(int n_out)
{
    return (n_out + PANEL - 1) / PANEL;
}

static size_t group_count(int n_in)
{
    return ((size_t)n_in + QUANT_GROUP - 1) / QUANT_GROUP;
}

static bool is_quantised(enum dtype type)
{
    return type >= DTYPE_FLOATS;
}

size_t gemm_panel_bytes(enum dtype type, int n_in, int n_out)
{
    size_t panels = (size_t)panel_count(n_out);
    size_t weights = panels * PANEL * group_count(n_in) * QUANT_GROUP;
    if (is_quantised(type))
        return type == DTYPE_Q8 ? weights : weights / 2;
    return panels * PANEL * (size_t)n_in * element_bytes(type);
}

size_t gemm_scale_bytes(int n_in, int n_out)
{
    return (size_t)panel_count(n_out) * group_count(n_in) * PANEL * sizeof(uint16_t);
}

/* ---- packing ---------------------------------------------------------------- */

/* One panel: outputs become columns. Written as two loops of constant width so that the
 * copies are moves; src may lie at any address. */
static void pack_panel_4(char *dst, const char *src, int n_valid, size_t n_in)
{
    for (size_t k = 0; k < n_in; k++)
        for (size_t o = 0; o < (size_t)n_valid; o++)
            memcpy(dst + (k * PANEL + o) * 4, src + (o * n_in + k) * 4, 4);
}

static void pack_panel_2(char *dst, const char *src, int n_valid, size_t n_in)
{
    for (size_t k = 0; k < n_in; k++)
        for (size_t o = 0; o < (size_t)n_valid; o++)
            memcpy(dst + (k * PANEL + o) * 2, src + (o * n_in + k) * 2, 2);
}

static void pack_panels(struct matrix *m, const char *w)
{
    size_t width = element_bytes(m->type);
    size_t panel_bytes = PANEL * (size_t)m->n_in * width;
    for (int p = 0; p < panel_count(m->n_out); p++) {
        char *dst = (char *)m->panels + (size_t)p * panel_bytes;
        const char *src = w + (size_t)p * panel_bytes;
        int n_valid = m->n_out - p * PANEL;
        if (n_valid < PANEL)
            memset(dst, 0, panel_bytes);
        else
            n_valid = PANEL;
        if (width == 4)
            pack_panel_4(dst, src, n_valid, (size_t)m->n_in);
        else
            pack_panel_2(dst, src, n_valid, (size_t)m->n_in);
    }
}

int gemm_pack(struct matrix *m, struct arena *a, enum dtype type, const void *w,
              int n_out, int n_in, bool blas, struct err *err)
{
    size_t bytes = gemm_panel_bytes(type, n_in, n_out);
    size_t n = (size_t)n_out * (size_t)n_in;
    m->type = type;
    m->n_in = n_in;
    m->n_out = n_out;
    m->rows = NULL;
    m->panels = arena_alloc(a, bytes);
    if (!m->panels)
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of packed weights",
                       bytes);
    pack_panels(m, w);
    if (!blas)
        return 0;
    float *rows = arena_alloc(a, n * sizeof *rows);
    if (!rows)
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of weights for BLAS",
                       n * sizeof *rows);
    kernel_c.widen[type](w, n, rows);
    m->rows = rows;
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
    return (size_t)max_rows * group_count(max_in) * sizeof(struct quant_group);
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

/* A product cut into row_parts x panel_parts tasks. */
struct job {
    struct linear_args whole;
    void (*linear)(const struct linear_args *);
    int row_parts, panel_parts;
    bool quantised;
};

struct group {
    struct job jobs[GEMM_GROUP];
    int n;
    const struct gemm *g;
    struct gemm_input in;
    size_t n_groups;       /* of a quantised row */
    struct quant_group *q; /* all rows, quantised; NULL: each thread for itself */
    uint64_t number;       /* of this job, for the slots */
};

static void quantise_rows(const struct group *group, int row0, int row1,
                          struct quant_group *q)
{
    const struct gemm_input *in = &group->in;
    size_t n = (size_t)group->jobs[0].whole.n_in;
    for (int r = row0; r < row1; r++, q += group->n_groups)
        group->g->k->quantise(in->x + (size_t)r * in->ldx, n, q);
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

/* The first of `whole` things that belongs to part i of n. */
static int part_begin(int whole, int i, int n)
{
    return (int)((int64_t)whole * i / n);
}

static void run_part(const struct group *group, const struct job *j, int part, int thread)
{
    struct linear_args a = j->whole;
    int row_part = part / j->panel_parts, panel_part = part % j->panel_parts;
    int row0 = part_begin(a.n_rows, row_part, j->row_parts);
    int n_panels = panel_count(a.n_out);

    a.n_rows = part_begin(a.n_rows, row_part + 1, j->row_parts) - row0;
    if (j->quantised)
        a.q = quantised_rows(group, thread) + (size_t)row0 * group->n_groups;
    else
        a.x += (size_t)row0 * a.ldx;
    a.y += (size_t)row0 * a.ldy;
    a.panel0 = part_begin(n_panels, panel_part, j->panel_parts);
    a.panel1 = part_begin(n_panels, panel_part + 1, j->panel_parts);
    j->linear(&a);
}

/* Tasks are the parts of the first job, then those of the second, and so on. */
static void run_task(void *arg, int task, int thread)
{
    const struct group *group = arg;
    const struct job *j = group->jobs;
    for (; task >= j->row_parts * j->panel_parts; j++)
        task -= j->row_parts * j->panel_parts;
    run_part(group, j, task, thread);
}

static void quantise_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct group *group = arg;
    quantise_rows(group, task, task + 1, group->q + (size_t)task * group->n_groups);
}

/* Rows for quantised products: here and now where they are many, else later. */
static void prepare_rows(struct group *group)
{
    const struct gemm *g = group->g;
    struct gemm_scratch *s = g->scratch;
    assert(s);
    group->n_groups = group_count(group->jobs[0].whole.n_in);
    group->number = ++s->n_jobs;
    if ((size_t)group->in.n_rows * group->n_groups <= SLOT_GROUPS)
        return;
    char *rows = s->block + (size_t)pool_threads(g->pool) * s->slot_bytes;
    group->q = (struct quant_group *)(void *)rows;
    pool_run(g->pool, quantise_task, group, group->in.n_rows);
}

static int at_most(int64_t x, int limit)
{
    return x < limit ? (int)x : limit;
}

static void divide(struct job *j, int n_threads)
{
    const struct linear_args *a = &j->whole;
    int64_t madds = (int64_t)a->n_rows * a->n_out * a->n_in;
    int n_panels = panel_count(a->n_out);
    j->row_parts = j->panel_parts = 1;
    if (n_threads == 1 || madds < INLINE_MADDS)
        return;
    int parts = at_most(madds / CHUNK_MADDS, CHUNKS_PER_THREAD * n_threads);
    parts = (parts + n_threads - 1) / n_threads * n_threads; /* as many for each */
    parts = parts < n_threads ? n_threads : parts;
    j->panel_parts = at_most(n_panels, parts);
    if (j->panel_parts < 2 * n_threads)
        j->row_parts = at_most(a->n_rows / MIN_CHUNK_ROWS, parts / j->panel_parts);
    if (j->row_parts < 1)
        j->row_parts = 1;
}

static void blas_run(const struct gemm *g, const struct matrix *m,
                     const struct linear_args *a)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, a->n_rows, m->n_out, m->n_in,
                1.0f, a->x, (blasint)a->ldx, m->rows, m->n_in, 0.0f, a->y,
                (blasint)a->ldy);
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
                        .quantised = is_quantised(m->type),
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
    struct group group = {.g = g, .in = *in};
    int n_tasks = 0;
    bool quantised = false;
    for (int i = 0; i < n; i++) {
        struct job j = job_of(g, in, &p[i]);
        if (g->blas && p[i].m->rows && in->n_rows >= BLAS_ROWS) {
            blas_run(g, p[i].m, &j.whole);
            continue;
        }
        divide(&j, pool_threads(g->pool));
        n_tasks += j.row_parts * j.panel_parts;
        quantised |= j.quantised;
        group.jobs[group.n++] = j;
    }
    if (quantised)
        prepare_rows(&group);
    pool_run(g->pool, run_task, &group, n_tasks);
}

static int slice_rows(const struct gemm *g, const struct gemm_input *in,
                      const struct matrix *m)
{
    if (!is_quantised(m->type))
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

void gemm_blas_threads(int n)
{
    openblas_set_num_threads(n);
}
