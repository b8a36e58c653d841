/*
 * The gated short convolution against its formula in f64, with biases and without, and
 * the same bytes for any cut, number of threads and kernel set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/shortconv.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { D = 37, TAPS = 3, SEQS = 3, TOKENS = 29, ROWS = SEQS * TOKENS };

static void open_steps(struct mixer_steps *b)
{
    static const struct maker_fill around_zero = {0.5f, 0};
    mixer_steps_open(b, D, SEQS, TOKENS);
    maker_matrix(&b->maker, "i.weight", 3 * D, D);
    maker_vector(&b->maker, "i.bias", 3 * D, around_zero);
    maker_tensor(&b->maker, "c.weight", 3, (int64_t[]){D, 1, TAPS}, NULL, around_zero);
    maker_vector(&b->maker, "c.bias", D, around_zero);
    maker_matrix(&b->maker, "o.weight", D, D);
    maker_vector(&b->maker, "o.bias", D, around_zero);
    mixer_steps_load(b);
}

static struct mixer_steps_linear linear(const struct mixer_steps *b, const char *weight,
                                        const char *bias, int n_out)
{
    return (struct mixer_steps_linear){mixer_steps_values(b, weight),
                                       bias ? mixer_steps_values(b, bias) : NULL, D,
                                       n_out};
}

static void define(const struct mixer_steps *b, bool bias, double *want)
{
    static double x[ROWS * D], in[ROWS][3 * D], mixed[ROWS * D];
    const float *w = mixer_steps_values(b, "c.weight");
    const float *cb = mixer_steps_values(b, "c.bias");
    struct mixer_steps_linear i = linear(b, "i.weight", bias ? "i.bias" : NULL, 3 * D);
    struct mixer_steps_linear o = linear(b, "o.weight", bias ? "o.bias" : NULL, D);
    for (int k = 0; k < ROWS * D; k++)
        x[k] = (double)b->x[k];
    mixer_steps_multiply(x, ROWS, &i, in[0]);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < D; c++) {
            double sum = bias ? (double)cb[c] : 0;
            for (int back = 0; back < TAPS && back <= r % TOKENS; back++)
                sum += (double)w[c * TAPS + TAPS - 1 - back] * in[r - back][c] *
                       in[r - back][2 * D + c];
            mixed[r * D + c] = in[r][D + c] * sum;
        }
    mixer_steps_multiply(mixed, ROWS, &o, want);
}

static void it_is_its_formula(void **state)
{
    static double want[ROWS * D];
    struct mixer_steps b;
    (void)state;
    open_steps(&b);
    for (int bias = 0; bias < 2; bias++) {
        struct shortconv_spec s = {"i", "c", "o", TAPS, bias};
        define(&b, bias, want);
        mixer_steps_bind(&b, &mixer_shortconv, &s, &kernel_c, 2);
        mixer_steps_run(&b, 2);
        mixer_steps_expect(&b, want, 5e-6);
        mixer_steps_expect_same(&b, &mixer_shortconv, &s);
    }
    mixer_steps_close(&b);
}

static void its_state_and_cost_are_counted(void **state)
{
    const struct engine_batch step = {.n_seqs = 2, .n_rows = 5};
    const struct shortconv_spec s = {"i", "c", "o", TAPS, false};
    struct mixer_steps b;
    struct engine_cost sum = {0};
    (void)state;
    open_steps(&b);
    mixer_steps_bind(&b, &mixer_shortconv, &s, &kernel_c, 1);
    mixer_shortconv.cost(&b.mx, &step, &sum);
    assert_int_equal(b.mx.need.fixed_bytes, 4 * (TAPS - 1) * D);
    assert_true(sum.weight_bytes == 4 * 4 * D * D);
    assert_true(sum.state_bytes == 2 * 2 * 4 * (TAPS - 1) * D);
    assert_true(sum.f32_ops == 10 * (2 * 4 * D * D + 2 * TAPS * D));
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_its_formula),
        cmocka_unit_test(its_state_and_cost_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
