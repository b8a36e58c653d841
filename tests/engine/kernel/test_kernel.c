/*
 * Every kernel set computes the bits of the C set: random and hostile input, odd sizes,
 * inputs that end at an unreadable page, and outputs whose surroundings must stay as they
 * were. And rows computed together are the rows computed alone.
 */
#include "engine/kernel/cpu.h"
#include "engine/kernel/kernel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N_MAX = 1 << 16, BUFFERS = 12, GUARD = 40 };

static const float UNTOUCHED = -123456.5f;

/* ---- input ------------------------------------------------------------------ */

enum kind { PLAIN, TINY, HUGE_VALUES, ZEROS, INFINITE, NANS, N_KINDS };

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
    return ((float)(rng() & 0xffffff) / 8388608.0f - 1.0f) * 3.0f;
}

static float value(enum kind kind)
{
    static const float odd[] = {0.0f,   -0.0f,    1e-40f,    -1e-42f, 1e30f,
                                -3e38f, INFINITY, -INFINITY, NAN};
    switch (kind) {
    case TINY:
        return plain() * 1e-38f;
    case HUGE_VALUES:
        return plain() * (rng() % 4 ? 1e18f : 1e38f);
    case ZEROS:
        return rng() % 3 ? (rng() % 2 ? 0.0f : -0.0f) : plain();
    case INFINITE:
        return rng() % 16 ? plain() : odd[rng() % 8];
    case NANS:
        return rng() % 32 ? plain() : odd[rng() % 9];
    default:
        return plain();
    }
}

/* Buffers that end at a page nobody may touch. */
static char *buffers[BUFFERS];
static size_t buffer_bytes;

static int open_buffers(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    buffer_bytes = N_MAX * sizeof(float) / page * page + page;
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i] = mmap(NULL, buffer_bytes + page, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (buffers[i] == MAP_FAILED ||
            mprotect(buffers[i] + buffer_bytes, page, PROT_NONE))
            return -1;
    }
    return 0;
}

/* n floats that end at the unreadable page of buffer i. */
static float *flush(int i, size_t n)
{
    assert_true(n * sizeof(float) <= buffer_bytes);
    return (float *)(void *)(buffers[i] + buffer_bytes) - n;
}

static float *filled(int i, size_t n, enum kind kind)
{
    float *x = flush(i, n);
    for (size_t j = 0; j < n; j++)
        x[j] = value(kind);
    return x;
}

/* ---- comparison ------------------------------------------------------------- */

static bool same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static void expect_same(const float *want, const float *got, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!same(want[i], got[i]))
            fail_msg("%s: element %zu of %zu: C gives %a, this set %a", what, i, n,
                     (double)want[i], (double)got[i]);
}

static const struct kernels *const *sets(void)
{
    static const struct kernels *list[3];
    int n = 0;
    if (!list[0]) {
        if (cpu_kernels(&list[n], "avx2", NULL) == 0)
            n++;
        if (cpu_kernels(&list[n], "avx512", NULL) == 0)
            n++;
        list[n] = NULL;
    }
    return list;
}

/* A run writes its results into y[n], which lies amid untouched floats. */
typedef void run_fn(const struct kernels *k, const void *arg, float *y);

static void compare(run_fn *run, const void *arg, const float *y0, size_t n,
                    const char *what)
{
    size_t whole = n + GUARD;
    float *want = flush(BUFFERS - 1, whole), *got = flush(BUFFERS - 2, whole);
    for (int flushed = 0; flushed < 2; flushed++) {
        size_t at = flushed ? GUARD : GUARD / 2 + 1;
        for (size_t i = 0; i < whole; i++)
            want[i] = UNTOUCHED;
        if (y0)
            memcpy(want + at, y0, n * sizeof *want);
        for (int s = 0; sets()[s]; s++) {
            float *first = got;
            for (size_t i = 0; i < whole; i++)
                first[i] = UNTOUCHED;
            if (y0)
                memcpy(first + at, y0, n * sizeof *first);
            run(sets()[s], arg, first + at);
            if (s == 0)
                run(&kernel_c, arg, want + at);
            for (size_t i = 0; i < at; i++)
                assert_true(same(want[i], UNTOUCHED) && same(first[i], UNTOUCHED));
            for (size_t i = at + n; i < whole; i++)
                assert_true(same(want[i], UNTOUCHED) && same(first[i], UNTOUCHED));
            expect_same(want + at, first + at, n, what);
        }
    }
}

/* ---- linear ----------------------------------------------------------------- */

static void run_linear(const struct kernels *k, const void *arg, float *y)
{
    struct linear_args a = *(const struct linear_args *)arg;
    enum dtype type = (enum dtype)(a.panel1 >> 16);
    a.panel1 &= 0xffff;
    a.y = y;
    k->linear[type](&a);
}

static uint16_t half_of(float x, enum dtype type)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (type == DTYPE_BF16)
        return (uint16_t)(u >> 16);
    return (uint16_t)((u >> 16 & 0x8000) | (u >> 9 & 0x7fff) % 0x7c00);
}

/* Weights of a type, 64-byte aligned, the last of them before the unreadable page. */
static void *weights(size_t n, enum dtype type, enum kind kind)
{
    if (type == DTYPE_F32)
        return filled(0, n, kind);
    uint16_t *w = (uint16_t *)(void *)flush(0, n / 2);
    for (size_t i = 0; i < n; i++)
        w[i] = half_of(value(kind), type);
    return w;
}

struct shape {
    int n_in, n_out, n_rows;
};

static void one_linear(struct shape s, enum dtype type, enum kind kind, int panel0,
                       int panel1)
{
    int panels = (s.n_out + PANEL - 1) / PANEL;
    size_t ldx = (size_t)s.n_in + rng() % 3, ldy = (size_t)s.n_out + rng() % 3;
    size_t n_x = (size_t)(s.n_rows - 1) * ldx + (size_t)s.n_in;
    size_t n_y = (size_t)(s.n_rows - 1) * ldy + (size_t)s.n_out;
    float y0[N_MAX / 8];
    struct linear_args a = {
        .panels = weights((size_t)panels * PANEL * (size_t)s.n_in, type, kind),
        .bias = rng() % 2 ? filled(1, (size_t)s.n_out, kind) : NULL,
        .x = filled(2, n_x, kind),
        .ldx = ldx,
        .ldy = ldy,
        .n_in = s.n_in,
        .n_out = s.n_out,
        .n_rows = s.n_rows,
        .panel0 = panel0,
        .panel1 = panel1 | (int)type << 16,
    };
    assert_true(n_y <= N_MAX / 8);
    for (size_t i = 0; i < n_y; i++)
        y0[i] = UNTOUCHED;
    compare(run_linear, &a, y0, n_y, "linear");
    for (int s2 = 0; sets()[s2]; s2++) { /* together = alone */
        float *whole = flush(3, n_y), *alone = flush(4, (size_t)s.n_out);
        memcpy(whole, y0, n_y * sizeof *whole);
        run_linear(sets()[s2], &a, whole);
        int r = (int)(rng() % (unsigned)s.n_rows);
        struct linear_args one = a;
        one.x = a.x + (size_t)r * ldx;
        one.n_rows = 1;
        memcpy(alone, y0, (size_t)s.n_out * sizeof *alone);
        run_linear(sets()[s2], &one, alone);
        expect_same(whole + (size_t)r * ldy, alone, (size_t)s.n_out, "row alone");
    }
}

static void test_linear_shapes(void **state)
{
    (void)state;
    static const int ins[] = {1, 3, 16, 255, 256, 257, 600}, outs[] = {1, 17, 32, 33, 70};
    for (enum dtype type = 0; type < DTYPE_FLOATS; type++)
        for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
            for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
                struct shape s = {ins[i], outs[o], 1 + (int)(rng() % 20)};
                one_linear(s, type, PLAIN, 0, (outs[o] + PANEL - 1) / PANEL);
            }
}

static void test_linear_rows(void **state)
{
    (void)state;
    for (enum dtype type = 0; type < DTYPE_FLOATS; type++) {
        for (int rows = 1; rows <= 31; rows++)
            one_linear((struct shape){37, 40, rows}, type, PLAIN, 0, 2);
        for (int rows = 55; rows <= 115; rows += 12)
            one_linear((struct shape){270, 33, rows}, type, PLAIN, 0, 2);
    }
}

static void test_linear_hostile(void **state)
{
    (void)state;
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (enum dtype type = 0; type < DTYPE_FLOATS; type++)
            for (int rows = 1; rows <= 16; rows += 5)
                one_linear((struct shape){300, 45, rows}, type, kind, 0, 2);
}

static void test_linear_writes_its_panels_only(void **state)
{
    (void)state;
    for (int rows = 1; rows <= 16; rows += 3) {
        one_linear((struct shape){20, 150, rows}, DTYPE_F32, PLAIN, 1, 3);
        one_linear((struct shape){20, 150, rows}, DTYPE_BF16, PLAIN, 4, 5);
        one_linear((struct shape){20, 150, rows}, DTYPE_F16, PLAIN, 2, 2);
    }
}

/* ---- recurrences: state first in y, then the rows --------------------------- */

static void run_ssd(const struct kernels *k, const void *arg, float *y)
{
    struct ssd_args a = *(const struct ssd_args *)arg;
    a.state = y;
    a.y = y + a.n_state * a.n_head;
    k->ssd(&a);
}

static void run_gss(const struct kernels *k, const void *arg, float *y)
{
    struct gss_args a = *(const struct gss_args *)arg;
    a.h = y;
    a.y = y + a.n;
    k->gss(&a);
}

static void run_dss(const struct kernels *k, const void *arg, float *y)
{
    struct dss_args a = *(const struct dss_args *)arg;
    a.state = y;
    a.y = y + a.n_state * 2 * LANES;
    k->dss(&a);
}

/* y0: a state of n_state floats, then rows that the kernel has to write. */
static const float *state_then_rows(size_t n_state, size_t n_rows_floats, enum kind kind)
{
    float *y0 = flush(9, n_state + n_rows_floats);
    for (size_t i = 0; i < n_state; i++)
        y0[i] = value(kind);
    for (size_t i = 0; i < n_rows_floats; i++)
        y0[n_state + i] = UNTOUCHED;
    return y0;
}

static void one_ssd(int n_head, int n_state, int n_rows, enum kind kind)
{
    size_t rows = (size_t)n_rows, head = (size_t)n_head, st = (size_t)n_state;
    struct ssd_args a = {.ld_x = head + 1,
                         .ld_bc = st + 2,
                         .ld_t = 3,
                         .ld_y = head + 2,
                         .n_rows = n_rows,
                         .n_head = n_head,
                         .n_state = n_state};
    a.x = filled(0, (rows - 1) * a.ld_x + head, kind);
    a.b = filled(1, (rows - 1) * a.ld_bc + st, kind);
    a.c = filled(2, (rows - 1) * a.ld_bc + st, kind);
    a.a = filled(3, (rows - 1) * a.ld_t + 1, kind);
    a.dt = filled(4, (rows - 1) * a.ld_t + 1, kind);
    size_t n_y = (rows - 1) * a.ld_y + head;
    compare(run_ssd, &a, state_then_rows(st * head, n_y, kind), st * head + n_y, "ssd");
}

static void one_gss(int n, int n_rows, enum kind kind)
{
    size_t rows = (size_t)n_rows, m = (size_t)n;
    struct gss_args a = {
        .ld_g = m + 1, .ld_b = m + 2, .ld_y = m + 3, .n_rows = n_rows, .n = n};
    a.a = filled(0, m, kind);
    a.g = filled(1, (rows - 1) * a.ld_g + m, kind);
    a.b = filled(2, (rows - 1) * a.ld_b + m, kind);
    size_t n_y = (rows - 1) * a.ld_y + m;
    compare(run_gss, &a, state_then_rows(m, n_y, kind), m + n_y, "gss");
}

static void one_dss(int n_channels, int n_state, int n_rows, enum kind kind)
{
    size_t rows = (size_t)n_rows, st = (size_t)n_state, ch = (size_t)n_channels;
    struct dss_args a = {.ld_s = ch + 1,
                         .ld_y = ch + 2,
                         .n_rows = n_rows,
                         .n_state = n_state,
                         .n_channels = n_channels};
    float *coef = filled(0, st * 2 * LANES, kind), *d = filled(3, LANES, kind);
    size_t n_y = (rows - 1) * a.ld_y + ch;
    float *y0 = (float *)(uintptr_t)state_then_rows(st * 2 * LANES, n_y, kind);
    for (size_t i = 0; i < st * 2 * LANES; i++)
        if (i % LANES >= ch)
            coef[i] = y0[i] = 0.0f;
    for (size_t i = ch; i < LANES; i++)
        d[i] = 0.0f;
    a.coef = coef;
    a.d = d;
    a.e = filled(1, st * 2, kind);
    a.s = filled(2, (rows - 1) * a.ld_s + ch, kind);
    compare(run_dss, &a, y0, st * 2 * LANES + n_y, "dss");
}

static void test_recurrences(void **state)
{
    (void)state;
    static const int heads[] = {1, 15, 16, 33, 64, 80};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        for (int n_state = 1; n_state <= 64; n_state = n_state * 2 + 1)
            one_ssd(heads[i], n_state, 1 + (int)(rng() % 5), PLAIN);
    for (int n = 1; n <= 70; n += 3)
        one_gss(n, 1 + (int)(rng() % 6), PLAIN);
    for (int channels = 1; channels <= LANES; channels++)
        for (int n_state = 1; n_state <= 9; n_state++)
            one_dss(channels, n_state, 1 + (int)(rng() % 4), PLAIN);
    for (enum kind kind = 0; kind < N_KINDS; kind++) {
        one_ssd(40, 10, 3, kind);
        one_gss(40, 3, kind);
        one_dss(16, 6, 3, kind);
        one_dss(11, 6, 3, kind);
    }
}

/* Rows together are rows one by one, in the C set; the others equal it. */
static void test_recurrence_rows(void **state)
{
    (void)state;
    enum { ROWS = 7, HEAD = 20, STATE = 6 };
    float *x = filled(0, ROWS * HEAD, PLAIN), *b = filled(1, ROWS * STATE, PLAIN);
    float *t = filled(2, ROWS, PLAIN), *start = filled(3, STATE * HEAD, PLAIN);
    float *y1 = flush(4, ROWS * HEAD), *y2 = flush(5, ROWS * HEAD);
    float *s1 = flush(6, STATE * HEAD), *s2 = flush(7, STATE * HEAD);
    memcpy(s1, start, STATE * HEAD * sizeof *s1);
    memcpy(s2, start, STATE * HEAD * sizeof *s2);
    struct ssd_args a = {s1, x, b, b, t, t, y1, HEAD, STATE, 1, HEAD, ROWS, HEAD, STATE};
    kernel_c.ssd(&a);
    for (int r = 0; r < ROWS; r++) {
        struct ssd_args one = {s2,
                               x + r * HEAD,
                               b + r * STATE,
                               b + r * STATE,
                               t + r,
                               t + r,
                               y2 + r * HEAD,
                               HEAD,
                               STATE,
                               1,
                               HEAD,
                               1,
                               HEAD,
                               STATE};
        kernel_c.ssd(&one);
    }
    expect_same(y1, y2, ROWS * HEAD, "ssd rows");
    expect_same(s1, s2, STATE * HEAD, "ssd state");
}

/* ---- rows and elementwise --------------------------------------------------- */

struct row {
    const float *a, *b, *wb[2];
    size_t n;
};

#define RUN(name, call)                                                                  \
    static void run_##name(const struct kernels *k, const void *arg, float *y)           \
    {                                                                                    \
        const struct row *r = arg;                                                       \
        call;                                                                            \
    }

RUN(rmsnorm, k->rmsnorm(r->a, r->b, 1e-5f, (int)r->n, y))
RUN(rmsnorm_in_place, k->rmsnorm(y, r->b, 1e-5f, (int)r->n, y))
RUN(layernorm, k->layernorm(r->a, (const float **)(uintptr_t)r->wb, 1e-5f, (int)r->n, y))
RUN(sum_squares, y[0] = k->sum_squares(r->a, (int)r->n))
RUN(max, y[0] = k->max(r->a, r->n))
RUN(sum_exp, y[0] = k->sum_exp(r->a, r->b[0], r->n))
RUN(rope, k->rope(y, r->a, r->b, (int)r->n & ~1))
RUN(silu_mul, k->silu_mul(r->a, r->b, r->n, y))
RUN(mul, k->mul(r->a, r->b, r->n, y))
RUN(scale, k->scale(r->a, r->b[0], r->n, y))
RUN(add, k->add(r->a, r->b, r->n, y))
RUN(add_in_place, k->add(y, r->b, r->n, y))
RUN(axpy, k->axpy(r->b[0], r->a, r->n, y))
RUN(residual, k->residual(r->a, r->b, r->n, y))
RUN(exp, k->exp(r->a, r->n, y))
RUN(exp_in_place, k->exp(y, r->n, y))
RUN(sigmoid, k->sigmoid(r->a, r->n, y))
RUN(softplus, k->softplus(r->a, r->n, y))
RUN(gelu, k->gelu(r->a, r->n, y))
RUN(gelu_tanh, k->gelu_tanh(r->a, r->n, y))
RUN(widen_f32, k->widen[DTYPE_F32](r->a, r->n, y))

static const struct {
    const char *name;
    run_fn *run;
    bool scalar; /* one result */
} row_kernels[] = {
    {"rmsnorm", run_rmsnorm, false},
    {"rmsnorm in place", run_rmsnorm_in_place, false},
    {"layernorm", run_layernorm, false},
    {"sum_squares", run_sum_squares, true},
    {"max", run_max, true},
    {"sum_exp", run_sum_exp, true},
    {"rope", run_rope, false},
    {"silu_mul", run_silu_mul, false},
    {"mul", run_mul, false},
    {"scale", run_scale, false},
    {"add", run_add, false},
    {"add in place", run_add_in_place, false},
    {"axpy", run_axpy, false},
    {"residual", run_residual, false},
    {"exp", run_exp, false},
    {"exp in place", run_exp_in_place, false},
    {"sigmoid", run_sigmoid, false},
    {"softplus", run_softplus, false},
    {"gelu", run_gelu, false},
    {"gelu_tanh", run_gelu_tanh, false},
    {"widen f32", run_widen_f32, false},
};

static void all_row_kernels(size_t n, enum kind kind)
{
    struct row r = {.a = filled(0, n, kind), .b = filled(1, n, kind), .n = n};
    r.wb[0] = filled(2, n, kind);
    r.wb[1] = filled(3, n, kind);
    const float *y0 = filled(4, n, kind);
    for (size_t i = 0; i < sizeof row_kernels / sizeof *row_kernels; i++)
        compare(row_kernels[i].run, &r, y0, row_kernels[i].scalar ? 1 : n,
                row_kernels[i].name);
}

static void test_row_kernels(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 100; n++)
        all_row_kernels(n, PLAIN);
    all_row_kernels(4099, PLAIN);
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < 30; i++)
            all_row_kernels(1 + rng() % 200, kind);
}

/* Every exponent and sign, many mantissas: the functions of one float over all of their
 * range. */
static void test_functions_everywhere(void **state)
{
    (void)state;
    enum { CHUNK = 4096 };
    struct row r = {.n = CHUNK};
    float *x = flush(0, CHUNK), *one = flush(1, CHUNK);
    r.a = x;
    r.b = one;
    for (uint32_t chunk = 0; chunk < 64; chunk++) {
        for (uint32_t i = 0; i < CHUNK; i++) {
            uint32_t bits = (chunk * CHUNK + i) * 16384u + (rng() & 16383u);
            memcpy(&x[i], &bits, sizeof bits);
            one[i] = 1.0f;
        }
        compare(run_exp, &r, NULL, CHUNK, "exp");
        compare(run_sigmoid, &r, NULL, CHUNK, "sigmoid");
        compare(run_softplus, &r, NULL, CHUNK, "softplus");
        compare(run_gelu, &r, NULL, CHUNK, "gelu");
        compare(run_gelu_tanh, &r, NULL, CHUNK, "gelu_tanh");
        compare(run_silu_mul, &r, NULL, CHUNK, "silu_mul");
    }
}

static void test_max(void **state)
{
    (void)state;
    for (int s = -1; s < 0 || sets()[s]; s++) {
        const struct kernels *k = s < 0 ? &kernel_c : sets()[s];
        assert_true(k->max(NULL, 0) == -INFINITY);
        for (size_t n = 1; n < 200; n += 7) {
            float *x = flush(0, n);
            for (size_t i = 0; i < n; i++)
                x[i] = -0.0f;
            assert_true(same(k->max(x, n), 0.0f));
            for (size_t at = 0; at < n; at++) {
                x[at] = NAN;
                assert_true(isnan(k->max(x, n)));
                x[at] = 5.0f;
                assert_true(k->max(x, n) == 5.0f);
                x[at] = -INFINITY;
            }
            assert_true(k->max(x, n) == -INFINITY);
        }
    }
}

/* All 65,536 halves, at an odd address, by every set; the C set against the formats'
 * meaning. */
static void test_widen(void **state)
{
    (void)state;
    size_t n = 65536 / 2;
    for (uint32_t part = 0; part < 2; part++) {
        char *x = (char *)flush(0, n / 2) - 1;
        float *y = flush(1, n), *z = flush(2, n);
        for (uint32_t i = 0; i < n; i++) {
            uint16_t h = (uint16_t)(part * n + i);
            memcpy(x + 2 * i, &h, sizeof h);
        }
        for (enum dtype type = DTYPE_F16; type <= DTYPE_BF16; type++) {
            kernel_c.widen[type](x, n, y);
            for (int s = 0; sets()[s]; s++)
                for (size_t cut = n - 17; cut <= n; cut++) {
                    sets()[s]->widen[type](x, cut, z);
                    expect_same(y, z, cut, "widen");
                }
        }
        kernel_c.widen[DTYPE_F16](x, n, y);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t h = (uint32_t)(part * n + i), e = h >> 10 & 31, f = h & 1023;
            double v = e ? ldexp(1024.0 + f, (int)e - 25) : ldexp(f, -24);
            v = e == 31 ? (f ? NAN : INFINITY) : v;
            assert_true(same(y[i], (float)(h >> 15 ? -v : v)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_shapes),
        cmocka_unit_test(test_linear_rows),
        cmocka_unit_test(test_linear_hostile),
        cmocka_unit_test(test_linear_writes_its_panels_only),
        cmocka_unit_test(test_recurrences),
        cmocka_unit_test(test_recurrence_rows),
        cmocka_unit_test(test_row_kernels),
        cmocka_unit_test(test_functions_everywhere),
        cmocka_unit_test(test_max),
        cmocka_unit_test(test_widen),
    };
    return cmocka_run_group_tests(tests, open_buffers, NULL);
}
