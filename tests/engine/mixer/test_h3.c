/*
 * H3 against its equations, run here in f64 and complex arithmetic with the states that
 * the paper has: the shift SSM as N numbers that move, not as the filter that the mixer
 * makes of it. And its attention, whose three projections are one matrix. Both give the
 * same bytes for any cut, number of threads and kernel set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/attn.h"
#include "engine/mixer/h3.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { D = 24, N = 10, M = N / 2, HEADS = 3, ROWS = 40 };

static void add_modes(struct maker *m, const char *prefix, struct maker_fill c)
{
    char name[64];
    const int64_t shape_c[] = {1, D, M, 2}, shape_b[] = {D, M, 2}, modes[] = {D, M};
    snprintf(name, sizeof name, "%skernel.kernel.C", prefix);
    maker_tensor(m, name, 4, shape_c, NULL, c);
    snprintf(name, sizeof name, "%skernel.kernel.B", prefix);
    maker_tensor(m, name, 3, shape_b, NULL, (struct maker_fill){0.5f, 0.5f});
    snprintf(name, sizeof name, "%skernel.kernel.inv_A_real", prefix);
    maker_tensor(m, name, 2, modes, NULL, (struct maker_fill){0.5f, -0.7f});
    snprintf(name, sizeof name, "%skernel.kernel.A_imag", prefix);
    maker_tensor(m, name, 2, modes, NULL, (struct maker_fill){6, 6});
    snprintf(name, sizeof name, "%skernel.kernel.log_dt", prefix);
    maker_vector(m, name, D, (struct maker_fill){1.5f, -2.2f});
}

static void add_linears(struct maker *m, const char *prefix)
{
    static const char *const names[] = {"q_proj", "k_proj", "v_proj", "output_linear"};
    char name[64];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s.weight", prefix, names[i]);
        maker_matrix(m, name, D, D);
        snprintf(name, sizeof name, "%s%s.bias", prefix, names[i]);
        maker_vector(m, name, D, (struct maker_fill){0.2f, 0});
    }
}

/* q, k and v as three matrices, and the same numbers as one. */
static void add_attention(struct maker *m)
{
    static float w[3 * D * D], bias[3 * D];
    const int64_t all[] = {3 * D, D}, part[] = {D, D}, row[] = {D}, rows[] = {3 * D};
    static const char *const names[] = {"q", "k", "v"};
    char name[32];
    for (int i = 0; i < 3 * D * D; i++)
        w[i] = (float)(i * 37 % 211) / 105.5f - 1;
    for (int i = 0; i < 3 * D; i++)
        bias[i] = (float)(i * 29 % 73) / 36.5f - 1;
    maker_tensor(m, "Wqkv.weight", 2, all, w, (struct maker_fill){0, 0});
    maker_tensor(m, "Wqkv.bias", 1, rows, bias, (struct maker_fill){0, 0});
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s.weight", names[i]);
        maker_tensor(m, name, 2, part, w + (size_t)i * D * D, (struct maker_fill){0, 0});
        snprintf(name, sizeof name, "%s.bias", names[i]);
        maker_tensor(m, name, 1, row, bias + (size_t)i * D, (struct maker_fill){0, 0});
    }
    maker_matrix(m, "out_proj.weight", D, D);
}

/* "fir.": B = e_0, the diagonal SSM and every product but that with v = q = 1 away. */
static void add_filter(struct maker *m)
{
    static const struct maker_fill zero = {0, 0}, one = {0, 1}, spread = {0.5f, 0};
    static float b[D * N], identity[D * D];
    const int64_t square[] = {D, D}, row[] = {D}, shift[] = {D, N}, out[] = {1, D, N};
    for (size_t i = 0; i < D; i++)
        identity[i * D + i] = b[i * N] = 1;
    maker_tensor(m, "fir.q_proj.weight", 2, square, NULL, zero);
    maker_tensor(m, "fir.q_proj.bias", 1, row, NULL, one);
    maker_tensor(m, "fir.v_proj.weight", 2, square, NULL, zero);
    maker_tensor(m, "fir.v_proj.bias", 1, row, NULL, one);
    maker_tensor(m, "fir.k_proj.weight", 2, square, identity, zero);
    maker_tensor(m, "fir.k_proj.bias", 1, row, NULL, zero);
    maker_tensor(m, "fir.output_linear.weight", 2, square, identity, zero);
    maker_tensor(m, "fir.output_linear.bias", 1, row, NULL, zero);
    maker_tensor(m, "fir.ssm_k_kernel.kernel.B", 2, shift, b, zero);
    maker_tensor(m, "fir.ssm_k_kernel.kernel.C", 3, out, NULL, spread);
    maker_tensor(m, "fir.ssm_k_D", 1, row, NULL, zero);
    add_modes(m, "fir.", zero);
    maker_tensor(m, "fir.D", 1, row, NULL, one);
}

static void open_steps(struct mixer_steps *b, int n_seqs)
{
    static const struct maker_fill spread = {0.5f, 0};
    const int64_t shift[] = {D, N}, out[] = {1, D, N};
    struct maker *m = &b->maker;
    mixer_steps_open(b, D, n_seqs, ROWS);
    add_linears(m, "");
    maker_tensor(m, "ssm_k_kernel.kernel.B", 2, shift, NULL, spread);
    maker_tensor(m, "ssm_k_kernel.kernel.C", 3, out, NULL, spread);
    maker_vector(m, "ssm_k_D", D, spread);
    add_modes(m, "", spread);
    maker_vector(m, "D", D, spread);
    add_filter(m);
    add_attention(m);
    mixer_steps_load(b);
}

static void project(const struct mixer_steps *b, const char *name, const double *in,
                    double *out)
{
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    const struct mixer_steps_linear l = {mixer_steps_values(b, weight),
                                         mixer_steps_values(b, bias), D, D};
    mixer_steps_multiply(in, ROWS, &l, out);
}

/* k'_t of channel d, by N states that move by one each token. */
static void define_shift(const struct mixer_steps *b, int d, const double *k, double *out)
{
    const float *bs = mixer_steps_values(b, "ssm_k_kernel.kernel.B") + d * N;
    const float *cs = mixer_steps_values(b, "ssm_k_kernel.kernel.C") + d * N;
    double p[N] = {0}, skip = mixer_steps_values(b, "ssm_k_D")[d];
    for (int t = 0; t < ROWS; t++) {
        double x = k[t * D + d], sum = skip * x;
        for (int n = N - 1; n >= 0; n--)
            p[n] = (n > 0 ? p[n - 1] : 0) + (double)bs[n] * x;
        for (int n = 0; n < N; n++)
            sum += (double)cs[n] * p[n];
        out[t] = sum;
    }
}

static double complex at(const float *x, int i)
{
    return (double)x[2 * i] + I * (double)x[2 * i + 1];
}

/* y_t of channel d for the input z. */
static void define_diagonal(const struct mixer_steps *b, int d, const double *z,
                            double *out)
{
    const float *re = mixer_steps_values(b, "kernel.kernel.inv_A_real") + d * M;
    const float *im = mixer_steps_values(b, "kernel.kernel.A_imag") + d * M;
    const float *bs = mixer_steps_values(b, "kernel.kernel.B") + d * M * 2;
    const float *cs = mixer_steps_values(b, "kernel.kernel.C") + d * M * 2;
    double dt = exp((double)mixer_steps_values(b, "kernel.kernel.log_dt")[d]);
    double skip = mixer_steps_values(b, "D")[d];
    double complex s[M] = {0};
    for (int t = 0; t < ROWS; t++) {
        out[t] = skip * z[t];
        for (int n = 0; n < M; n++) {
            double complex a = -exp((double)re[n]) + I * (double)im[n];
            double complex below = 1 - dt * a / 2;
            s[n] = (1 + dt * a / 2) / below * s[n] + dt * at(bs, n) / below * z[t];
            out[t] += 2 * creal(at(cs, n) * s[n]);
        }
    }
}

static void h3_is_a_shift_and_a_diagonal_recurrence(void **state)
{
    static double in[ROWS * D], q[ROWS * D], k[ROWS * D], v[ROWS * D], want[ROWS * D];
    struct mixer_steps b;
    double moved[ROWS], y[ROWS];
    (void)state;
    open_steps(&b, 1);
    mixer_steps_bind(&b, &mixer_h3, &(struct h3_spec){N}, &kernel_c, 2);
    for (int i = 0; i < ROWS * D; i++)
        in[i] = b.x[i];
    project(&b, "q_proj", in, q);
    project(&b, "k_proj", in, k);
    project(&b, "v_proj", in, v);
    for (int d = 0; d < D; d++) {
        define_shift(&b, d, k, moved);
        for (int t = 0; t < ROWS; t++)
            moved[t] *= v[t * D + d];
        define_diagonal(&b, d, moved, y);
        for (int t = 0; t < ROWS; t++)
            q[t * D + d] *= y[t];
    }
    project(&b, "output_linear", q, want);
    mixer_steps_run(&b, 0);
    mixer_steps_expect(&b, want, 1e-5);
    mixer_steps_close(&b);
}

/* Tap j is Cs[j], and there are N of them. */
static void the_shift_with_b_of_the_first_state_is_a_filter(void **state)
{
    struct mixer_steps b;
    double want[ROWS * D];
    (void)state;
    open_steps(&b, 1);
    const float *cs = mixer_steps_values(&b, "fir.ssm_k_kernel.kernel.C");
    b.bind.prefix = "fir.";
    mixer_steps_bind(&b, &mixer_h3, &(struct h3_spec){N}, &kernel_c, 2);
    for (int t = 0; t < ROWS; t++)
        for (int d = 0; d < D; d++) {
            double sum = 0;
            for (int j = 0; j < N && j <= t; j++)
                sum += (double)cs[d * N + j] * (double)b.x[(t - j) * D + d];
            want[t * D + d] = sum;
        }
    mixer_steps_run(&b, 0);
    mixer_steps_expect(&b, want, 1e-6);
    mixer_steps_close(&b);
}

static void one_matrix_of_q_k_v_gives_the_bits_of_three(void **state)
{
    struct mixer_steps b;
    float three[ROWS * D];
    struct attn_spec spec = {.q = "q",
                             .k = "k",
                             .v = "v",
                             .o = "out_proj",
                             .n_heads = HEADS,
                             .n_kv_heads = HEADS,
                             .head_dim = D / HEADS,
                             .bias = true};
    (void)state;
    open_steps(&b, 1);
    mixer_steps_bind(&b, &mixer_attn, &spec, &kernel_c, 2);
    mixer_steps_run(&b, 0);
    memcpy(three, b.y, sizeof three);
    spec.qkv = "Wqkv";
    mixer_steps_bind(&b, &mixer_attn, &spec, &kernel_c, 2);
    mixer_steps_run(&b, 0);
    assert_memory_equal(three, b.y, sizeof three);
    mixer_steps_expect_same(&b, &mixer_attn, &spec);
    mixer_steps_close(&b);
}

static void cuts_threads_and_sets_change_nothing(void **state)
{
    struct mixer_steps b;
    (void)state;
    open_steps(&b, 3);
    mixer_steps_expect_same(&b, &mixer_h3, &(struct h3_spec){N});
    mixer_steps_close(&b);
}

/* Four matrices; N taps and M modes with four coefficients a channel; the state is the
 * modes and N - 1 rows. */
static void its_cost_is_counted(void **state)
{
    const struct engine_batch s = {.n_seqs = 2, .n_rows = 5};
    struct mixer_steps b;
    struct engine_cost sum = {0};
    (void)state;
    open_steps(&b, 1);
    mixer_steps_bind(&b, &mixer_h3, &(struct h3_spec){N}, &kernel_c, 1);
    mixer_h3.cost(&b.mx, &s, &sum);
    assert_true(sum.weight_bytes == 4.0 * D * (4 * D + N + 4 * M));
    assert_true(sum.state_bytes == 2 * 2 * 4.0 * D * (2 * M + N - 1));
    assert_true(sum.f32_ops == 10.0 * D * (2 * 4 * D + 2 * N + 11 * M));
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h3_is_a_shift_and_a_diagonal_recurrence),
        cmocka_unit_test(the_shift_with_b_of_the_first_state_is_a_filter),
        cmocka_unit_test(one_matrix_of_q_k_v_gives_the_bits_of_three),
        cmocka_unit_test(cuts_threads_and_sets_change_nothing),
        cmocka_unit_test(its_cost_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
