/*
 * The C set means what kernel.h says: its functions of one float within their bounds over
 * dense sweeps, and every kernel against its definition in double. The other sets equal
 * the C set by tests/kernels, so nothing here is said twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel.h"
#include "engine/kernel/kernel_c.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 200000 };

static uint32_t rng_state = 12345;

static float plain(void)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (float)(rng_state >> 8) / 8388608.0f - 1.0f;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = plain();
}

/* |got - want| <= bound * size, where size is what rounding acts upon. */
static void expect_near(double want, double got, double size, double bound)
{
    if (!(fabs(got - want) <= bound * size))
        fail_msg("expected %.9g, found %.9g", want, got);
}

/* ---- functions of one float ------------------------------------------------- */

typedef double exact_fn(double x);

static void sweep(float (*f)(float), exact_fn *exact, double lo, double hi)
{
    for (int i = 0; i <= STEPS; i++) {
        float x = (float)(lo + (hi - lo) * i / STEPS);
        double want = exact((double)x), error = fabs((double)f(x) - want);
        if (!(error <= 4e-7 * fabs(want) || error <= 1e-7))
            fail_msg("at %a: expected %.9g, found %.9g", (double)x, want, (double)f(x));
    }
}

static double exact_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double exact_silu(double x)
{
    return x / (1 + exp(-x));
}

static double exact_softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double exact_gelu(double x)
{
    return 0.5 * x * erfc(-x * M_SQRT1_2);
}

static double exact_gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double exact_relu2(double x)
{
    return x > 0 ? x * x : 0;
}

/* In units of the last place of the result, denormal results included. */
static void test_exp(void **state)
{
    (void)state;
    for (int i = 0; i <= 4 * STEPS; i++) {
        float x = (float)(-104.0 + 192.7 * i / (4 * STEPS));
        double want = exp((double)x);
        int e;
        frexp(want, &e);
        double ulp = ldexp(1.0, (e < -125 ? -125 : e) - 24);
        if (!(fabs((double)math_c_exp(x) - want) <= 2 * ulp))
            fail_msg("exp(%a): expected %a, found %a", (double)x, want,
                     (double)math_c_exp(x));
    }
    assert_true(math_c_exp(0.0f) == 1.0f && math_c_exp(-0.0f) == 1.0f);
    assert_true(math_c_exp(-104.1f) == 0.0f && math_c_exp(-INFINITY) == 0.0f);
    assert_true(math_c_exp(88.73f) == INFINITY && math_c_exp(INFINITY) == INFINITY);
    assert_true(math_c_exp(3e38f) == INFINITY && math_c_exp(-3e38f) == 0.0f);
    assert_true(math_c_exp(1e-40f) == 1.0f);
    assert_true(isnan(math_c_exp(NAN)));
}

static void test_functions(void **state)
{
    (void)state;
    static const struct {
        float (*f)(float);
        exact_fn *exact;
    } list[] = {{math_c_sigmoid, exact_sigmoid},
                {math_c_silu, exact_silu},
                {math_c_softplus, exact_softplus},
                {math_c_gelu, exact_gelu},
                {math_c_gelu_tanh, exact_gelu_tanh}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        sweep(list[i].f, list[i].exact, -3, 3);
        sweep(list[i].f, list[i].exact, -120, 120);
        sweep(list[i].f, list[i].exact, -1e-4, 1e-4);
        assert_true(isnan(list[i].f(NAN)));
        assert_true(fabsf(list[i].f(-1e30f)) <= 1e-7f);
        assert_true(list[i].f(1e30f) == (i == 0 ? 1.0f : 1e30f));
        assert_true(list[i].f(INFINITY) == (i == 0 ? 1.0f : INFINITY));
    }
    assert_true(math_c_softplus(20.5f) == 20.5f);
    sweep(math_c_relu2, exact_relu2, -3, 3);
    assert_true(math_c_relu2(-1e30f) == 0.0f && math_c_relu2(1e30f) == INFINITY);
    assert_true(isnan(math_c_relu2(NAN)));
}

/* ---- kernels against their definitions -------------------------------------- */

static void test_linear(void **state)
{
    (void)state;
    enum { IN = 50, OUT = 40, ROWS = 3 };
    static float panels[2 * PANEL * IN], bias[OUT], x[ROWS * IN], y[ROWS * OUT];
    fill(panels, 2 * PANEL * IN);
    fill(bias, OUT);
    fill(x, ROWS * IN);
    struct linear_args a = {.panels = panels,
                            .bias = bias,
                            .x = x,
                            .y = y,
                            .ldx = IN,
                            .ldy = OUT,
                            .n_in = IN,
                            .n_out = OUT,
                            .n_rows = ROWS,
                            .panel1 = 2};
    kernel_c.linear[DTYPE_F32](&a);
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < OUT; o++) {
            double sum = (double)bias[o];
            for (int k = 0; k < IN; k++)
                sum += (double)x[r * IN + k] *
                       (double)panels[(o / PANEL * IN + k) * PANEL + o % PANEL];
            expect_near(sum, (double)y[r * OUT + o], 10, 1e-6);
        }
}

static void test_attn(void **state)
{
    (void)state;
    enum { KEYS = 150, GROUP = 3, DIM = 12, PAGES = 10, PAGE = 2 * PAGE_TOKENS * DIM };
    static float pages[PAGES * PAGE], q[GROUP * DIM], out[GROUP * DIM];
    static const int32_t table[PAGES] = {3, 1, 4, 9, 5, 2, 6, 8, 7, 0};
    fill(pages, PAGES * PAGE);
    fill(q, GROUP * DIM);
    for (int i = 0; i < GROUP * DIM; i++)
        q[i] *= 8;
    struct attn_args a = {(const char *)pages,
                          table,
                          PAGE * sizeof(float),
                          0,
                          PAGE_TOKENS * DIM * sizeof(float),
                          q,
                          out,
                          GROUP * DIM,
                          0.5f,
                          KEYS,
                          1,
                          GROUP,
                          DIM,
                          0};
    kernel_c.attn[ENGINE_KV_F32](&a);
    for (int g = 0; g < GROUP; g++) {
        double o[DIM] = {0}, l = 0;
        for (int j = 0; j < KEYS; j++) {
            const float *page = pages + table[j / PAGE_TOKENS] * PAGE;
            const float *v = page + PAGE_TOKENS * DIM + j % PAGE_TOKENS * DIM;
            double s = 0;
            for (int d = 0; d < DIM; d++)
                s += (double)q[g * DIM + d] *
                     (double)page[d * PAGE_TOKENS + j % PAGE_TOKENS];
            l += exp(0.5 * s);
            for (int d = 0; d < DIM; d++)
                o[d] += exp(0.5 * s) * (double)v[d];
        }
        for (int d = 0; d < DIM; d++)
            expect_near(o[d] / l, (double)out[g * DIM + d], 1, 1e-5);
    }
}

static void test_ssd(void **state)
{
    (void)state;
    enum { HEAD = 7, STATE = 5, ROWS = 6 };
    float s[STATE * HEAD], x[ROWS * HEAD], b[ROWS * STATE], c[ROWS * STATE], a[ROWS],
        dt[ROWS];
    float y[ROWS * HEAD];
    double want[STATE * HEAD];
    fill(s, STATE * HEAD);
    fill(x, ROWS * HEAD);
    fill(b, ROWS * STATE);
    fill(c, ROWS * STATE);
    fill(a, ROWS);
    fill(dt, ROWS);
    for (int i = 0; i < STATE * HEAD; i++)
        want[i] = (double)s[i];
    kernel_c.ssd(&(struct ssd_args){s, x, b, c, a, dt, y, HEAD, STATE, 1, HEAD, ROWS,
                                    HEAD, STATE});
    for (int t = 0; t < ROWS; t++)
        for (int p = 0; p < HEAD; p++) {
            double sum = 0;
            for (int n = 0; n < STATE; n++) {
                double *w = &want[n * HEAD + p];
                *w = (double)a[t] * *w +
                     (double)b[t * STATE + n] * (double)dt[t] * (double)x[t * HEAD + p];
                sum += *w * (double)c[t * STATE + n];
            }
            expect_near(sum, (double)y[t * HEAD + p], 5, 1e-6);
        }
    for (int i = 0; i < STATE * HEAD; i++)
        expect_near(want[i], (double)s[i], 5, 1e-6);
}

static void test_gss(void **state)
{
    (void)state;
    enum { N = 5, ROWS = 4 };
    float h[N], a[N], g[ROWS * N], b[ROWS * N], y[ROWS * N];
    double want[N];
    fill(h, N);
    fill(a, N);
    fill(g, ROWS * N);
    fill(b, ROWS * N);
    for (int i = 0; i < N; i++)
        want[i] = (double)h[i];
    kernel_c.gss(&(struct gss_args){h, a, g, b, y, N, N, N, ROWS, N});
    for (int t = 0; t < ROWS; t++)
        for (int i = 0; i < N; i++) {
            want[i] =
                (double)g[t * N + i] * ((double)a[i] * want[i] + (double)b[t * N + i]);
            expect_near(want[i], (double)y[t * N + i], 1, 1e-6);
        }
    for (int i = 0; i < N; i++)
        assert_true(h[i] == y[(ROWS - 1) * N + i]);
}

static void test_dss(void **state)
{
    (void)state;
    enum { CHANNELS = 3, STATE = 6, ROWS = 5 };
    float s[STATE][2][LANES] = {0}, c[STATE][2][LANES] = {0}, e[STATE][2], d[LANES] = {0};
    float in[ROWS * CHANNELS], y[ROWS * CHANNELS];
    double complex z[STATE][CHANNELS] = {0};
    fill(&e[0][0], STATE * 2);
    fill(d, CHANNELS);
    fill(in, ROWS * CHANNELS);
    for (int n = 0; n < STATE; n++) {
        fill(c[n][0], CHANNELS);
        fill(c[n][1], CHANNELS);
    }
    kernel_c.dss(&(struct dss_args){&s[0][0][0], &c[0][0][0], &e[0][0], d, in, y,
                                    CHANNELS, CHANNELS, ROWS, STATE, CHANNELS});
    for (int t = 0; t < ROWS; t++)
        for (int ch = 0; ch < CHANNELS; ch++) {
            double u = (double)in[t * CHANNELS + ch], sum = (double)d[ch] * u;
            for (int n = 0; n < STATE; n++) {
                double complex en = (double)e[n][0] + (double)e[n][1] * I;
                double complex cn = (double)c[n][0][ch] + (double)c[n][1][ch] * I;
                z[n][ch] = en * z[n][ch] + u;
                sum += creal(cn * z[n][ch]);
            }
            expect_near(sum, (double)y[t * CHANNELS + ch], 10, 1e-6);
        }
}

static void test_gdn(void **state)
{
    (void)state;
    enum { KEY = 5, VALUE = 19, ROWS = 6, PADDED = 32 };
    float s[PADDED * KEY], q[ROWS * KEY], k[ROWS * KEY], v[ROWS * VALUE], decay[ROWS],
        beta[ROWS], y[ROWS * VALUE];
    double want[KEY][VALUE];
    fill(s, PADDED * KEY);
    fill(q, ROWS * KEY);
    fill(k, ROWS * KEY);
    fill(v, ROWS * VALUE);
    fill(decay, ROWS);
    fill(beta, ROWS);
    for (int i = 0; i < KEY; i++)
        for (int p = 0; p < VALUE; p++)
            want[i][p] = (double)s[(p / LANES * KEY + i) * LANES + p % LANES];
    kernel_c.gdn(&(struct gdn_args){s, q, k, v, decay, beta, y, KEY, VALUE, 1, VALUE,
                                    ROWS, KEY, VALUE});
    for (int t = 0; t < ROWS; t++)
        for (int p = 0; p < VALUE; p++) {
            double u = (double)v[t * VALUE + p], sum = 0;
            for (int i = 0; i < KEY; i++) {
                want[i][p] *= (double)decay[t];
                u -= want[i][p] * (double)k[t * KEY + i];
            }
            for (int i = 0; i < KEY; i++) {
                want[i][p] += (double)k[t * KEY + i] * (double)beta[t] * u;
                sum += want[i][p] * (double)q[t * KEY + i];
            }
            expect_near(sum, (double)y[t * VALUE + p], 5, 1e-6);
        }
    for (int i = 0; i < KEY; i++)
        for (int p = 0; p < VALUE; p++)
            expect_near(want[i][p], (double)s[(p / LANES * KEY + i) * LANES + p % LANES],
                        5, 1e-6);
}

static void test_conv(void **state)
{
    (void)state;
    enum { N = 5, TAPS = 4, ROWS = 6, BEFORE = TAPS - 1 };
    float w[TAPS * N], bias[N], in[(BEFORE + ROWS) * N], s[BEFORE * N], y[ROWS * N];
    fill(w, TAPS * N);
    fill(bias, N);
    fill(in, (BEFORE + ROWS) * N);
    memcpy(s, in, sizeof s);
    struct conv_args a = {.state = s,
                          .w = w,
                          .bias = bias,
                          .x = in + BEFORE * N,
                          .y = y,
                          .ld = N,
                          .ld_x = N,
                          .ld_y = N,
                          .n_rows = ROWS,
                          .n = N,
                          .n_taps = TAPS};
    for (int silu = 0; silu < 2; silu++) {
        memcpy(s, in, sizeof s);
        a.silu = silu;
        kernel_c.conv(&a);
        for (int t = 0; t < ROWS; t++)
            for (int i = 0; i < N; i++) {
                double sum = (double)bias[i];
                for (int j = 0; j < TAPS; j++)
                    sum += (double)w[j * N + i] * (double)in[(t + j) * N + i];
                expect_near(silu ? exact_silu(sum) : sum, (double)y[t * N + i], 5, 1e-6);
            }
        assert_memory_equal(s, in + ROWS * N, sizeof s);
    }
}

static void test_norms(void **state)
{
    (void)state;
    enum { N = 37 };
    float x[N], w[N], b[N], y[N];
    double square = 0, mean = 0, var = 0;
    fill(x, N);
    fill(w, N);
    fill(b, N);
    for (int i = 0; i < N; i++) {
        square += (double)x[i] * (double)x[i];
        mean += (double)x[i] / N;
    }
    for (int i = 0; i < N; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean) / N;
    expect_near(square, (double)kernel_c.sum_squares(x, N), square, 1e-6);
    kernel_c.rmsnorm(x, w, 0.01f, N, y);
    for (int i = 0; i < N; i++)
        expect_near((double)w[i] * (double)x[i] / sqrt(square / N + 0.01), (double)y[i],
                    2, 1e-6);
    kernel_c.layernorm(x, (const float *[]){w, b}, 0.01f, N, y);
    for (int i = 0; i < N; i++)
        expect_near((double)w[i] * ((double)x[i] - mean) / sqrt(var + 0.01) +
                        (double)b[i],
                    (double)y[i], 2, 1e-6);
}

static void test_rows(void **state)
{
    (void)state;
    enum { N = 40 };
    float x[N], y[N], r[N], cosine[N / 2], sine[N / 2];
    double sum = 0;
    fill(x, N);
    fill(r, N);
    for (int i = 0; i < N; i++)
        sum += exp((double)x[i] - (double)kernel_c.max(x, N));
    expect_near(sum, (double)kernel_c.sum_exp(x, kernel_c.max(x, N), N), sum, 1e-6);
    for (int i = 0; i < N / 2; i++) {
        cosine[i] = cosf((float)i);
        sine[i] = sinf((float)i);
    }
    memcpy(y, x, sizeof x);
    kernel_c.rope(y, cosine, sine, N);
    for (int i = 0; i < N / 2; i++) {
        double complex z =
            ((double)x[i] + (double)x[i + N / 2] * I) * cexp(I * (double)i);
        expect_near(creal(z), (double)y[i], 2, 1e-6);
        expect_near(cimag(z), (double)y[i + N / 2], 2, 1e-6);
    }
    memcpy(y, x, sizeof x);
    kernel_c.residual(r, x, N, y);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == fmaf(r[i], x[i], x[i]));
    kernel_c.axpy(0.5f, r, N, y);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == fmaf(0.5f, r[i], fmaf(r[i], x[i], x[i])));
    kernel_c.silu_mul(x, r, N, y);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == math_c_silu(x[i]) * r[i]);
    kernel_c.gelu_tanh_mul(x, r, N, y);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == math_c_gelu_tanh(x[i]) * r[i]);
}

/* A zero is +0, whatever its sign was; a NaN anywhere wins; of nothing it is -infinity.
 */
static void test_max(void **state)
{
    (void)state;
    enum { N = 70 };
    float x[N] = {0};
    assert_true(kernel_c.max(x, 0) == -INFINITY);
    for (int i = 0; i < N; i++)
        x[i] = -0.0f;
    float zero = kernel_c.max(x, N);
    assert_true(zero == 0.0f && !signbit(zero));
    for (int i = 0; i < N; i++) {
        x[i] = NAN;
        assert_true(isnan(kernel_c.max(x, N)));
        x[i] = 5.0f;
        assert_true(kernel_c.max(x, N) == 5.0f);
        x[i] = -INFINITY;
    }
    assert_true(kernel_c.max(x, N) == -INFINITY);
}

/* All 65,536 halves, at an odd address. */
static void test_widen(void **state)
{
    (void)state;
    enum { N = 65536 };
    static char x[2 * N + 1];
    static float y[N];
    for (uint32_t i = 0; i < N; i++)
        memcpy(x + 1 + 2 * i, &(uint16_t){(uint16_t)i}, 2);
    kernel_c.widen[DTYPE_F16](x + 1, N, y);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t e = i >> 10 & 31, f = i & 1023;
        double v = e ? ldexp(1024.0 + f, (int)e - 25) : ldexp(f, -24);
        v = e == 31 ? (f ? NAN : INFINITY) : v;
        float want = (float)(i >> 15 ? -v : v);
        assert_true((isnan(want) && isnan(y[i])) || memcmp(&want, &y[i], 4) == 0);
    }
    kernel_c.widen[DTYPE_BF16](x + 1, N, y);
    for (uint32_t i = 0; i < N; i++)
        assert_memory_equal(&y[i], &(uint32_t){i << 16}, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),    cmocka_unit_test(test_functions),
        cmocka_unit_test(test_linear), cmocka_unit_test(test_attn),
        cmocka_unit_test(test_ssd),    cmocka_unit_test(test_gss),
        cmocka_unit_test(test_dss),    cmocka_unit_test(test_gdn),
        cmocka_unit_test(test_conv),   cmocka_unit_test(test_norms),
        cmocka_unit_test(test_rows),   cmocka_unit_test(test_max),
        cmocka_unit_test(test_widen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
