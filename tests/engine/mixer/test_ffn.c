/*
 * Feed-forward layers of every kind against their formulas in f64: with biases and
 * without, with one matrix for gate and up, with a factor on the gate; and the same bytes
 * for any cut, number of threads and kernel set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/ffn.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { D = 19, SIZE = 37, SEQS = 2, TOKENS = 9, ROWS = SEQS * TOKENS };

static void open_steps(struct mixer_steps *b)
{
    static const struct maker_fill around_zero = {0.5f, 0};
    mixer_steps_open(b, D, SEQS, TOKENS);
    maker_matrix(&b->maker, "gate.weight", SIZE, D);
    maker_matrix(&b->maker, "up.weight", SIZE, D);
    maker_matrix(&b->maker, "down.weight", D, SIZE);
    maker_matrix(&b->maker, "both.weight", 2 * SIZE, D);
    maker_vector(&b->maker, "gate.bias", SIZE, around_zero);
    maker_vector(&b->maker, "up.bias", SIZE, around_zero);
    maker_vector(&b->maker, "down.bias", D, around_zero);
    maker_vector(&b->maker, "both.bias", 2 * SIZE, around_zero);
    mixer_steps_load(b);
}

/* Rows [row0, row0 + n_out) of the tensor of that name. */
static struct mixer_steps_linear linear(const struct mixer_steps *b, const char *name,
                                        bool bias, int row0, int n_out, int n_in)
{
    char weight[32] = {0}, vector[32] = {0};
    strcat(strcpy(weight, name), ".weight");
    strcat(strcpy(vector, name), ".bias");
    return (struct mixer_steps_linear){mixer_steps_values(b, weight) + row0 * n_in,
                                       bias ? mixer_steps_values(b, vector) + row0 : NULL,
                                       n_in, n_out};
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double activation(const struct ffn_spec *s, double gate, double up)
{
    gate *= s->gate_scale != 0 ? (double)s->gate_scale : 1;
    switch (s->kind) {
    case FFN_SWIGLU:
        return gate / (1 + exp(-gate)) * up;
    case FFN_GEGLU_TANH:
        return gelu_tanh(gate) * up;
    case FFN_RELU2:
        return up > 0 ? up * up : 0;
    case FFN_GELU_TANH:
        return gelu_tanh(up);
    }
    return NAN;
}

static void define(const struct mixer_steps *b, const struct ffn_spec *s, double *out)
{
    double x[ROWS * D], gate[ROWS * SIZE], up[ROWS * SIZE], inner[ROWS * SIZE];
    bool both = s->gate_up != NULL;
    struct mixer_steps_linear g = linear(b, both ? "both" : "gate", s->bias, 0, SIZE, D);
    struct mixer_steps_linear u =
        linear(b, both ? "both" : "up", s->bias, both ? SIZE : 0, SIZE, D);
    struct mixer_steps_linear d = linear(b, "down", s->bias, 0, D, SIZE);
    for (int i = 0; i < ROWS * D; i++)
        x[i] = (double)b->x[i];
    mixer_steps_multiply(x, ROWS, &g, gate);
    mixer_steps_multiply(x, ROWS, &u, up);
    for (int i = 0; i < ROWS * SIZE; i++)
        inner[i] = activation(s, gate[i], up[i]);
    mixer_steps_multiply(inner, ROWS, &d, out);
}

static void every_kind_is_its_formula(void **state)
{
    static const struct ffn_spec specs[] = {
        {.kind = FFN_SWIGLU},
        {.kind = FFN_SWIGLU, .bias = true},
        {.kind = FFN_SWIGLU, .gate_up = "both"},
        {.kind = FFN_SWIGLU, .gate_up = "both", .bias = true},
        {.kind = FFN_SWIGLU, .bias = true, .gate_scale = 0.37f},
        {.kind = FFN_GEGLU_TANH},
        {.kind = FFN_GEGLU_TANH, .bias = true, .gate_scale = -1.7f},
        {.kind = FFN_RELU2},
        {.kind = FFN_RELU2, .bias = true},
        {.kind = FFN_GELU_TANH},
        {.kind = FFN_GELU_TANH, .bias = true},
    };
    struct mixer_steps b;
    double want[ROWS * D];
    (void)state;
    open_steps(&b);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct ffn_spec s = specs[i];
        s.gate = "gate";
        s.up = "up";
        s.down = "down";
        s.size = SIZE;
        define(&b, &s, want);
        mixer_steps_bind(&b, &mixer_ffn, &s, &kernel_c, 2);
        mixer_steps_run(&b, 3);
        mixer_steps_expect(&b, want, 1e-5);
        mixer_steps_expect_same(&b, &mixer_ffn, &s);
    }
    mixer_steps_close(&b);
}

/* Two bytes a weight and two operations: gate and up count whether they are one or two. */
static void the_cost_is_that_of_the_matrices(void **state)
{
    static const struct ffn_spec specs[] = {
        {FFN_SWIGLU, "gate", "up", NULL, "down", SIZE, false, 0},
        {FFN_SWIGLU, NULL, NULL, "both", "down", SIZE, false, 0},
        {FFN_RELU2, NULL, "up", NULL, "down", SIZE, false, 0},
    };
    const struct engine_batch step = {.n_seqs = 2, .n_rows = 5};
    struct mixer_steps b;
    (void)state;
    open_steps(&b);
    for (int i = 0; i < 3; i++) {
        struct engine_cost sum = {0};
        int n = (i == 2 ? 2 : 3) * D * SIZE;
        mixer_steps_bind(&b, &mixer_ffn, &specs[i], &kernel_c, 1);
        mixer_ffn.cost(&b.mx, &step, &sum);
        assert_true(sum.weight_bytes == 4 * n && sum.f32_ops == 2 * 10 * n);
        assert_true(sum.state_bytes == 0);
    }
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_its_formula),
        cmocka_unit_test(the_cost_is_that_of_the_matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
