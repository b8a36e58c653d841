/*
 * Linear layers over packed weights: packing at load, and dividing one product among the
 * pool's threads by outputs and, where there are few outputs, by rows. A sum over k is
 * never divided, so neither the number of threads nor the division shows in a result.
 *
 * The engine thread calls gemm_run; packing may run on any thread. gemm.c alone includes
 * cblas.h, and uses it only when asked to.
 */
#include "engine/kernel/gemm.h"

#include <cblas.h>
#include <stdint.h>
#include <string.h>

enum {
    BLAS_ROWS = 32,        /* fewer rows are faster with our kernels, and exact */
    INLINE_MADDS = 20000,  /* less work than this is done before a worker is awake */
    CHUNK_MADDS = 400000,  /* a chunk is worth its overhead from here on */
    CHUNKS_PER_THREAD = 4, /* enough for a disturbed core to be relieved by the others */
    MIN_CHUNK_ROWS = 64    /* rows are divided only in pieces that keep the kernel busy */
};

static size_t element_bytes(enum dtype type)
{
    return type == DTYPE_F32 ? 4 : 2;
}

static int panel_count(int n_out)
{
    return (n_out + PANEL - 1) / PANEL;
}

size_t gemm_panel_bytes(enum dtype type, int n_in, int n_out)
{
    return (size_t)panel_count(n_out) * PANEL * (size_t)n_in * element_bytes(type);
}

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

/* A product cut into row_parts x panel_parts tasks. */
struct job {
    struct linear_args whole;
    void (*linear)(const struct linear_args *);
    int row_parts, panel_parts;
};

/* The first of `whole` things that belongs to part i of n. */
static int part_begin(int whole, int i, int n)
{
    return (int)((int64_t)whole * i / n);
}

static void run_part(const struct job *j, int part)
{
    struct linear_args a = j->whole;
    int row_part = part / j->panel_parts, panel_part = part % j->panel_parts;
    int row0 = part_begin(a.n_rows, row_part, j->row_parts);
    int n_panels = panel_count(a.n_out);

    a.n_rows = part_begin(a.n_rows, row_part + 1, j->row_parts) - row0;
    a.x += (size_t)row0 * a.ldx;
    a.y += (size_t)row0 * a.ldy;
    a.panel0 = part_begin(n_panels, panel_part, j->panel_parts);
    a.panel1 = part_begin(n_panels, panel_part + 1, j->panel_parts);
    j->linear(&a);
}

struct group {
    struct job jobs[GEMM_GROUP];
    int n;
};

/* Tasks are the parts of the first job, then those of the second, and so on. */
static void run_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct group *group = arg;
    const struct job *j = group->jobs;
    for (; task >= j->row_parts * j->panel_parts; j++)
        task -= j->row_parts * j->panel_parts;
    run_part(j, task);
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

static struct job job_of(const struct gemm *g, const struct gemm_product *p, int n_rows)
{
    return (struct job){.linear = g->k->linear[p->m->type],
                        .whole = {.panels = p->m->panels,
                                  .bias = p->m->bias,
                                  .x = p->x,
                                  .y = p->y,
                                  .ldx = p->ldx,
                                  .ldy = p->ldy,
                                  .n_in = p->m->n_in,
                                  .n_out = p->m->n_out,
                                  .n_rows = n_rows}};
}

void gemm_run_group(const struct gemm *g, const struct gemm_product *p, int n, int n_rows)
{
    struct group group = {.n = 0};
    int n_tasks = 0;
    for (int i = 0; i < n; i++) {
        struct job j = job_of(g, &p[i], n_rows);
        if (g->blas && p[i].m->rows && n_rows >= BLAS_ROWS) {
            blas_run(g, p[i].m, &j.whole);
            continue;
        }
        divide(&j, pool_threads(g->pool));
        n_tasks += j.row_parts * j.panel_parts;
        group.jobs[group.n++] = j;
    }
    pool_run(g->pool, run_task, &group, n_tasks);
}

void gemm_run(const struct gemm *g, const struct matrix *m, const float *x, size_t ldx,
              int n_rows, float *y, size_t ldy)
{
    struct gemm_product p = {m, x, y, ldx, ldy};
    gemm_run_group(g, &p, 1, n_rows);
}

void gemm_blas_threads(int n)
{
    openblas_set_num_threads(n);
}
