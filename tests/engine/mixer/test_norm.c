/* Norms over rows, by w, by 1 + w and with a bias, against their definitions in f64.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/norm.h"

#include "engine/load/safetensors.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { N = 37, ROWS = 3 };
static const double eps = 1e-3;

struct bench {
    struct maker maker;
    struct weights weights;
    struct arena arena;
    struct bind bind;
    const float *w, *bias; /* of the file */
    float x[ROWS * N];
};

static void open_bench(struct bench *b)
{
    struct err err = {0};
    memset(b, 0, sizeof *b);
    maker_open(&b->maker);
    maker_vector(&b->maker, "l.n.weight", N, (struct maker_fill){0.5f, 0.1f});
    maker_vector(&b->maker, "l.n.bias", N, (struct maker_fill){0.5f, 0});
    maker_save(&b->maker, "model.safetensors");
    arena_init(&b->arena);
    assert_int_equal(safetensors_open(&b->weights, b->maker.dir, &err), 0);
    b->bind = (struct bind){.weights = &b->weights, .arena = &b->arena, .prefix = "l."};
    assert_int_equal(bind_vector(&b->w, &b->bind, "n.weight", N, &err), 0);
    assert_int_equal(bind_vector(&b->bias, &b->bind, "n.bias", N, &err), 0);
    for (int i = 0; i < ROWS * N; i++)
        b->x[i] = (float)(i * i % 23) / 9 - 1;
}

static void close_bench(struct bench *b)
{
    weights_close(&b->weights);
    arena_free(&b->arena);
    maker_close(&b->maker);
}

/* (x - mean) / sqrt(mean of squares about it + eps) · (w + plus) + bias. */
static void expect_rows(const struct bench *b, const struct norm *m, double plus,
                        bool layer)
{
    float y[ROWS * N];
    norm_rows(m, &kernel_c, b->x, y, 0, ROWS);
    for (int r = 0; r < ROWS; r++) {
        const float *x = b->x + r * N;
        double mean = 0, squares = 0;
        for (int i = 0; layer && i < N; i++)
            mean += (double)x[i] / N;
        for (int i = 0; i < N; i++)
            squares += (x[i] - mean) * (x[i] - mean) / N;
        for (int i = 0; i < N; i++) {
            double want = (x[i] - mean) / sqrt(squares + eps) * (b->w[i] + plus);
            want += layer ? (double)b->bias[i] : 0;
            assert_true(fabs(want - (double)y[r * N + i]) < 2e-6);
        }
    }
}

static void an_rms_norm_multiplies_by_its_weight(void **state)
{
    static struct bench b;
    struct norm m;
    struct err err = {0};
    (void)state;
    open_bench(&b);
    assert_int_equal(norm_bind(&m, &b.bind, "n.weight", N, eps, &err), 0);
    expect_rows(&b, &m, 0, false);
    close_bench(&b);
}

static void or_by_one_more_than_it(void **state)
{
    static struct bench b;
    struct norm m;
    struct err err = {0};
    (void)state;
    open_bench(&b);
    assert_int_equal(norm_bind_one_plus(&m, &b.bind, "n.weight", N, eps, &err), 0);
    expect_rows(&b, &m, 1, false);
    for (int i = 0; i < N; i++)
        assert_true(m.w[i] == 1 + b.w[i]);
    close_bench(&b);
}

static void a_layer_norm_has_mean_and_bias(void **state)
{
    static struct bench b;
    struct norm m;
    struct err err = {0};
    (void)state;
    open_bench(&b);
    assert_int_equal(norm_bind_layer(&m, &b.bind, "n", N, eps, &err), 0);
    expect_rows(&b, &m, 0, true);
    close_bench(&b);
}

static void a_weight_of_another_length_is_refused(void **state)
{
    static struct bench b;
    struct norm m;
    struct err err = {0};
    (void)state;
    open_bench(&b);
    assert_int_equal(norm_bind_one_plus(&m, &b.bind, "n.weight", N + 1, eps, &err),
                     -ERR_FORMAT);
    assert_non_null(strstr(err.text, "l.n.weight"));
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_rms_norm_multiplies_by_its_weight),
        cmocka_unit_test(or_by_one_more_than_it),
        cmocka_unit_test(a_layer_norm_has_mean_and_bias),
        cmocka_unit_test(a_weight_of_another_length_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
