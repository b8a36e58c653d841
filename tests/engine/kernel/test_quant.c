/*
 * Quantised rows and their products: the C set against the definition, every other set
 * against the C set bit for bit, over random and worst-case input, odd sizes, input that
 * ends at an unreadable page and outputs whose surroundings must stay as they were. And
 * whole products: the same bits with any number of threads, rows and slices.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/kernel/cpu.h"
#include "engine/kernel/gemm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFERS = 6, BUFFER_BYTES = 1 << 20, GUARD = 24 };

static const float UNTOUCHED = -123456.5f;

/* ---- input ------------------------------------------------------------------ */

static uint64_t rng_state = 88172645463325252u;

static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 16);
}

static float plain(void)
{
    return (float)(rng() & 0xffffff) / 8388608.0f - 1.0f;
}

/* Buffers that end at a page nobody may touch. */
static char *buffers[BUFFERS];

static int open_buffers(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i] = mmap(NULL, BUFFER_BYTES + page, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (buffers[i] == MAP_FAILED ||
            mprotect(buffers[i] + BUFFER_BYTES, page, PROT_NONE))
            return -1;
    }
    return 0;
}

/* The last bytes of buffer i. */
static void *flush(int i, size_t bytes)
{
    assert_true(bytes <= BUFFER_BYTES);
    return buffers[i] + BUFFER_BYTES - bytes;
}

/* Every set of this processor but C. */
static const struct kernels *const *sets(void)
{
    static const struct kernels *list[16];
    int n = 0;
    for (int i = 0; cpu_level(i); i++)
        if (cpu_kernels(&list[n], cpu_level(i), NULL) == 0 && list[n] != &kernel_c)
            n++;
    list[n] = NULL;
    return list;
}

static bool same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static size_t groups_of(size_t n)
{
    return (n + QUANT_GROUP - 1) / QUANT_GROUP;
}

/* ---- rows ------------------------------------------------------------------- */

enum kind { PLAIN, TIES, EDGE_OF_TINY, HUGE_VALUES, ZEROS, INFINITE, NANS, N_KINDS };

static float value(enum kind kind)
{
    switch (kind) {
    case TIES: /* with 254 as magnitude: halves of a step */
        return rng() % 8 ? (float)((int)(rng() % 509) - 254) : 254.0f;
    case EDGE_OF_TINY:
        return plain() * (rng() % 64 ? 0.9e-30f : 1.1e-30f);
    case HUGE_VALUES:
        return plain() * (rng() % 4 ? 1e30f : 3.4e38f);
    case ZEROS:
        return rng() % 60 ? (rng() % 2 ? 0.0f : -0.0f) : plain() * 1e-40f;
    case INFINITE:
        return rng() % 50 ? plain() : (rng() % 2 ? INFINITY : -INFINITY);
    case NANS:
        return rng() % 50 ? plain() : (rng() % 2 ? NAN : -NAN);
    default:
        return plain();
    }
}

static float *filled(int buffer, size_t n, enum kind kind)
{
    float *x = flush(buffer, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = value(kind);
    return x;
}

static void expect_definition(const float *x, size_t n, const struct quant_group *g)
{
    float m = 0;
    bool finite = true;
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        finite = finite && isfinite(x[i]);
        m = fmaxf(m, fabsf(x[i]));
    }
    for (size_t i = 0; i < QUANT_GROUP; i++) {
        float want = i < n && finite && m >= 1e-30f ? rintf(x[i] * (127.0f / m)) : 0;
        assert_true((float)g->q[i] == want && g->q[i] >= -127);
        sum += g->q[i];
    }
    assert_int_equal(g->offset, -128 * sum);
    if (finite)
        assert_true(g->scale == (m >= 1e-30f ? m / 127 : 0));
    else
        assert_true(isnan(g->scale));
}

static void expect_groups(const struct quant_group *want, const struct quant_group *got,
                          size_t n, const char *set)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(want[i].q, got[i].q, QUANT_GROUP) || want[i].offset != got[i].offset ||
            !same(want[i].scale, got[i].scale))
            fail_msg("%s: group %zu of %zu is not as C has it", set, i, n);
}

static void one_row(size_t n, enum kind kind)
{
    size_t n_groups = groups_of(n), bytes = n_groups * sizeof(struct quant_group);
    float *x = filled(0, n, kind);
    struct quant_group *want = flush(1, bytes);
    char *before = (char *)flush(2, bytes + GUARD);
    struct quant_group *got = (struct quant_group *)(void *)(before + GUARD);
    kernel_c.quantise(x, n, want, 1);
    for (size_t i = 0; i < n_groups; i++)
        expect_definition(
            x + i * QUANT_GROUP,
            n - i * QUANT_GROUP < QUANT_GROUP ? n % QUANT_GROUP : QUANT_GROUP, &want[i]);
    for (int s = 0; sets()[s]; s++) {
        memset(before, 0x55, bytes + GUARD);
        sets()[s]->quantise(x, n, got, 1);
        expect_groups(want, got, n_groups, sets()[s]->name);
        for (int i = 0; i < GUARD; i++)
            assert_int_equal(before[i], 0x55);
        got = (struct quant_group *)(void *)before; /* now with room behind */
        memset(before, 0x55, bytes + GUARD);
        sets()[s]->quantise(x, n, got, 1);
        for (int i = 0; i < GUARD; i++)
            assert_int_equal(before[bytes + (size_t)i], 0x55);
        got = (struct quant_group *)(void *)(before + GUARD);
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 130; n++)
        one_row(n, PLAIN);
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < 60; i++)
            one_row(1 + rng() % 300, kind);
}

/* Groups a stride apart leave what is between them alone. */
static void test_stride(void **state)
{
    (void)state;
    enum { N = 100, GROUPS = 4, STRIDE = 3 };
    static struct quant_group want[GROUPS], got[GROUPS * STRIDE], before[GROUPS * STRIDE];
    float *x = filled(0, N, PLAIN);
    kernel_c.quantise(x, N, want, 1);
    memset(before, 0x55, sizeof before);
    for (int s = -1; s < 0 || sets()[s]; s++) {
        const struct kernels *k = s < 0 ? &kernel_c : sets()[s];
        memcpy(got, before, sizeof got);
        k->quantise(x, N, got, STRIDE);
        for (int i = 0; i < GROUPS * STRIDE; i++)
            if (i % STRIDE == 0)
                expect_groups(&want[i / STRIDE], &got[i], 1, k->name);
            else
                assert_memory_equal(&before[i], &got[i], sizeof *got);
    }
}

/* ---- products --------------------------------------------------------------- */

/* What codes, rows and scales are made of. */
enum fill { RANDOM, ALL_MOST, ALL_LEAST, ALTERNATING, WILD_SCALES, N_FILLS };

static uint8_t code(enum fill fill, enum dtype type, size_t i)
{
    switch (fill) {
    case ALL_MOST:
        return 255;
    case ALL_LEAST:
        return type == DTYPE_Q8; /* 1 is -127 */
    case ALTERNATING:
        return (uint8_t)(i % 2 ? (type == DTYPE_Q8 ? 1 : 0x0f) : 255);
    default:
        return (uint8_t)rng();
    }
}

static uint16_t scale_bits(enum fill fill)
{
    static const uint16_t odd[] = {0,      0x8000, 1,      0x03ff, 0x0400,
                                   0x7bff, 0xfbff, 0x7c00, 0x7e00};
    if (fill == WILD_SCALES && rng() % 4 == 0)
        return odd[rng() % (sizeof odd / sizeof *odd)];
    return (uint16_t)(0x1000 + rng() % 0x2000);
}

static struct quant_group group(enum fill fill)
{
    struct quant_group g = {.scale = plain()};
    int sum = 0;
    if (fill == WILD_SCALES && rng() % 4 == 0)
        g.scale = rng() % 2 ? 3e38f : (rng() % 2 ? NAN : 1e-44f);
    for (int i = 0; i < QUANT_GROUP; i++) {
        int q = (int)(rng() % 255) - 127;
        if (fill == ALL_MOST || fill == ALL_LEAST)
            q = 127;
        else if (fill == ALTERNATING)
            q = i % 2 ? -127 : 127;
        g.q[i] = (int8_t)q;
        sum += q;
    }
    g.offset = -128 * sum;
    return g;
}

struct shape {
    int n_in, n_out, n_rows;
};

/* Codes, scales and rows of a shape, each flush with an unreadable page. */
static struct linear_args inputs(struct shape s, enum dtype type, enum fill fill)
{
    const struct matrix m = {.type = type, .n_out = s.n_out, .n_in = s.n_in};
    size_t n_codes = matrix_panel_bytes(&m);
    size_t n_scales = matrix_scale_bytes(&m) / sizeof(uint16_t);
    size_t n_groups = groups_of((size_t)s.n_in) * (size_t)s.n_rows;
    uint8_t *codes = flush(0, n_codes);
    uint16_t *scales = flush(1, n_scales * sizeof *scales);
    struct quant_group *q = flush(2, n_groups * sizeof *q);
    float *bias = flush(3, (size_t)s.n_out * sizeof *bias);
    for (size_t i = 0; i < n_codes; i++)
        codes[i] = code(fill, type, i);
    for (size_t i = 0; i < n_scales; i++)
        scales[i] = scale_bits(fill);
    for (size_t i = 0; i < n_groups; i++)
        q[i] = group(fill);
    for (int i = 0; i < s.n_out; i++)
        bias[i] = plain();
    return (struct linear_args){.panels = codes,
                                .scales = scales,
                                .bias = rng() % 2 ? bias : NULL,
                                .q = q,
                                .ldy = (size_t)s.n_out + rng() % 3,
                                .n_in = s.n_in,
                                .n_out = s.n_out,
                                .n_rows = s.n_rows,
                                .panel1 = (s.n_out + PANEL - 1) / PANEL};
}

static size_t outputs_of(const struct linear_args *a)
{
    return (size_t)(a->n_rows - 1) * a->ldy + (size_t)a->n_out;
}

static float *untouched(int buffer, size_t n)
{
    float *y = flush(buffer, n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = UNTOUCHED;
    return y;
}

static void expect_same(const struct linear_args *a, enum dtype type,
                        const struct kernels *k)
{
    struct linear_args b = *a;
    size_t n = outputs_of(a);
    b.y = untouched(5, n);
    k->linear[type](&b);
    for (size_t i = 0; i < n; i++)
        if (!same(a->y[i], b.y[i]))
            fail_msg("%s %s, %d -> %d, %d rows, panels %d to %d: output %zu of row %zu: "
                     "expected %a, found %a",
                     k->name, type == DTYPE_Q8 ? "q8" : "q4", a->n_in, a->n_out,
                     a->n_rows, a->panel0, a->panel1, i % a->ldy, i / a->ldy,
                     (double)a->y[i], (double)b.y[i]);
}

static const struct quant_group *group_at(const struct linear_args *a, int row, size_t g)
{
    int block = row / QUANT_BLOCK * QUANT_BLOCK;
    int rows = a->n_rows - block < QUANT_BLOCK ? a->n_rows - block : QUANT_BLOCK;
    return a->q + (size_t)block * groups_of((size_t)a->n_in) + g * (size_t)rows + row -
           block;
}

/* The C set by the definition, in double, where nothing is infinite. */
static void expect_product(const struct linear_args *a, enum dtype type)
{
    size_t n_groups = groups_of((size_t)a->n_in);
    const uint8_t *codes = a->panels;
    for (int r = 0; r < a->n_rows; r++)
        for (int o = a->panel0 * PANEL; o < a->panel1 * PANEL && o < a->n_out; o++) {
            double sum = 0, size = 1;
            for (size_t k = 0; k < n_groups * QUANT_GROUP; k++) {
                size_t g = (size_t)(o / PANEL) * n_groups + k / QUANT_GROUP;
                size_t j = k % QUANT_GROUP / 4, lane = (size_t)(o % PANEL) * 4 + k % 4;
                const struct quant_group *x = group_at(a, r, k / QUANT_GROUP);
                uint8_t q4 = codes[g * 512 + j % 4 * 128 + lane];
                int w = quant_levels[j < 4 ? q4 & 15 : q4 >> 4];
                if (type == DTYPE_Q8)
                    w = codes[g * 1024 + j * 128 + lane] - 128;
                float scale;
                kernel_c.widen[DTYPE_F16](&a->scales[g * PANEL + (size_t)(o % PANEL)], 1,
                                          &scale);
                double p = (double)scale * w * (double)x->scale * x->q[k % QUANT_GROUP];
                sum += p;
                size += fabs(p);
            }
            sum += a->bias ? (double)a->bias[o] : 0;
            double got = (double)a->y[(size_t)r * a->ldy + (size_t)o];
            if (!(fabs(got - sum) <= 1e-6 * size))
                fail_msg("row %d output %d: expected %g, found %g", r, o, sum, got);
        }
}

static void one_linear(struct shape s, enum dtype type, enum fill fill, int panel0,
                       int panel1)
{
    struct linear_args a = inputs(s, type, fill);
    a.panel0 = panel0;
    a.panel1 = panel1 < 0 ? a.panel1 : panel1;
    a.y = untouched(4, outputs_of(&a));
    kernel_c.linear[type](&a);
    if (fill != WILD_SCALES)
        expect_product(&a, type);
    for (int i = 0; sets()[i]; i++)
        expect_same(&a, type, sets()[i]);
}

static void test_shapes(void **state)
{
    (void)state;
    static const int ins[] = {1, 31, 32, 33, 64, 100, 300}, outs[] = {1, 17, 32, 33, 70};
    for (enum dtype type = DTYPE_Q8; type < DTYPE_N; type++)
        for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
            for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
                struct shape s = {ins[i], outs[o], 1 + (int)(rng() % 20)};
                one_linear(s, type, RANDOM, 0, -1);
            }
}

static void test_numbers_of_rows(void **state)
{
    (void)state;
    for (enum dtype type = DTYPE_Q8; type < DTYPE_N; type++)
        for (int rows = 1; rows <= 70; rows++)
            one_linear((struct shape){70, 50, rows}, type, RANDOM, 0, -1);
}

static void test_worst_cases(void **state)
{
    (void)state;
    for (enum dtype type = DTYPE_Q8; type < DTYPE_N; type++)
        for (enum fill fill = 0; fill < N_FILLS; fill++)
            for (int rows = 1; rows <= 16; rows += 3)
                one_linear((struct shape){130, 45, rows}, type, fill, 0, -1);
}

static void test_writes_its_panels_only(void **state)
{
    (void)state;
    for (enum dtype type = DTYPE_Q8; type < DTYPE_N; type++)
        for (int rows = 1; rows <= 16; rows += 3) {
            one_linear((struct shape){40, 150, rows}, type, RANDOM, 1, 3);
            one_linear((struct shape){40, 150, rows}, type, RANDOM, 4, 5);
            one_linear((struct shape){40, 150, rows}, type, RANDOM, 2, 2);
        }
}

/* ---- through gemm ----------------------------------------------------------- */

static float *random_floats(size_t n)
{
    float *x = mem_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = plain();
    return x;
}

static struct matrix random_matrix(struct arena *a, enum dtype type, int n_out, int n_in)
{
    struct matrix m = {.type = type, .n_out = n_out, .n_in = n_in};
    size_t n_codes = matrix_panel_bytes(&m);
    size_t n_scales = matrix_scale_bytes(&m) / sizeof(uint16_t);
    uint8_t *codes = arena_alloc(a, n_codes);
    uint16_t *scales = arena_alloc(a, n_scales * sizeof *scales);
    for (size_t i = 0; i < n_codes; i++)
        codes[i] = (uint8_t)rng();
    for (size_t i = 0; i < n_scales; i++)
        scales[i] = scale_bits(RANDOM);
    m.panels = codes;
    m.scales = scales;
    return m;
}

static struct matrix float_matrix(struct arena *a, int n_out, int n_in)
{
    struct matrix m = {.type = DTYPE_F32, .n_out = n_out, .n_in = n_in};
    float *w = random_floats((size_t)n_out * (size_t)n_in);
    assert_int_equal(gemm_pack(&m, a, w, false, NULL), 0);
    mem_free(w);
    return m;
}

struct trial {
    struct gemm g;
    struct gemm_scratch scratch;
    struct pool *pool;
};

static void open_trial(struct trial *t, const char *cpu, int n_threads, int max_in,
                       int max_rows)
{
    struct err err;
    *t = (struct trial){0};
    assert_int_equal(pool_open(&t->pool, n_threads, &err), 0);
    assert_int_equal(gemm_scratch_open(&t->scratch, max_in, max_rows, n_threads, &err),
                     0);
    t->g = (struct gemm){NULL, t->pool, false, &t->scratch};
    assert_int_equal(cpu_kernels(&t->g.k, cpu, &err), 0);
}

static void close_trial(struct trial *t)
{
    gemm_scratch_close(&t->scratch);
    pool_close(t->pool);
}

/* Three matrices, one of floats among them, over the same rows. */
static void expect_group(const struct matrix *m, int n_rows, int n_threads)
{
    enum { N = 3, SLICE = 70 };
    size_t n_in = (size_t)m[0].n_in, ldx = n_in + 3;
    float *x = random_floats((size_t)n_rows * ldx), *want[N], *got[N];
    struct gemm_product p[N];
    struct trial c, t;
    open_trial(&c, "c", 1, m[0].n_in, 1); /* a slice is one row */
    open_trial(&t, NULL, n_threads, m[0].n_in, SLICE);
    for (int i = 0; i < N; i++) {
        size_t n_out = (size_t)m[i].n_out, n = (size_t)n_rows * n_out;
        want[i] = random_floats(n);
        got[i] = random_floats(n);
        p[i] = (struct gemm_product){&m[i], got[i], n_out};
        gemm_run(&c.g, &m[i], x, ldx, n_rows, want[i], n_out);
    }
    gemm_run_group(&t.g, &(struct gemm_input){x, ldx, n_rows}, p, N);
    for (int i = 0; i < N; i++) {
        size_t n = (size_t)n_rows * (size_t)m[i].n_out;
        assert_memory_equal(want[i], got[i], n * sizeof(float));
        mem_free(want[i]);
        mem_free(got[i]);
    }
    mem_free(x);
    close_trial(&c);
    close_trial(&t);
}

static void test_division_never_shows(void **state)
{
    (void)state;
    static const int rows[] = {1, 2, 5, 16, 33, 69, 70, 71, 150};
    struct arena a;
    arena_init(&a);
    const struct matrix m[] = {random_matrix(&a, DTYPE_Q8, 200, 300),
                               float_matrix(&a, 90, 300),
                               random_matrix(&a, DTYPE_Q4, 333, 300)};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int threads = 1; threads <= 4; threads++)
            expect_group(m, rows[i], threads);
    arena_free(&a);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct gemm_scratch s;
    struct err err;
    assert_true(gemm_scratch_bytes(33, 7, 2) >= 2 * 7 * sizeof(struct quant_group));
    mem_fail_after(1);
    assert_int_equal(gemm_scratch_open(&s, 33, 7, 2, &err), -ERR_MEMORY);
    mem_fail_after(0);
    gemm_scratch_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_stride),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_numbers_of_rows),
        cmocka_unit_test(test_worst_cases),
        cmocka_unit_test(test_writes_its_panels_only),
        cmocka_unit_test(test_division_never_shows),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, open_buffers, NULL);
}
