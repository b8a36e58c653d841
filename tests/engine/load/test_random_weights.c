/* Random weights: there when asked for, of the right spread, the same every time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/random_weights.h"

#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const float *take(struct weights *w, const char *name, int n_dims,
                         const int64_t *shape)
{
    const struct tensor_spec s = {.name = name, .n_dims = n_dims, .shape = shape};
    struct tensor *t = NULL;
    struct err err = {0};
    assert_int_equal(weights_take(w, &s, &t, &err), 0);
    assert_int_equal(t->type, DTYPE_F32);
    assert_string_equal(t->name, name);
    assert_true(t->used);
    return t->data;
}

static const float *matrix(struct weights *w, const char *name, int64_t n_out,
                           int64_t n_in)
{
    return take(w, name, 2, (const int64_t[]){n_out, n_in});
}

static void matrices_have_the_variance_of_their_width(void **state)
{
    (void)state;
    static const int64_t widths[] = {32, 768, 2048};
    struct weights w;
    struct err err;
    assert_int_equal(random_weights_open(&w, &err), 0);
    for (int i = 0; i < 3; i++) {
        char name[16] = "m0.weight";
        size_t n = (size_t)(100 * widths[i]);
        double sum = 0, squares = 0, most = 0;
        name[1] = (char)('0' + i);
        const float *x = matrix(&w, name, 100, widths[i]);
        for (size_t k = 0; k < n; k++) {
            sum += x[k];
            squares += (double)x[k] * x[k];
            most = fmax(most, fabs(x[k]));
        }
        double spread = 1 / (double)widths[i], noise = 4 / sqrt((double)n);
        assert_true(fabs(sum / (double)n) < sqrt(spread) * noise);
        assert_true(fabs(squares / (double)n / spread - 1) < noise);
        assert_true(most <= sqrt(3 * spread));
    }
    weights_close(&w);
}

static void vectors_are_ones_but_for_some_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        float lo, hi;
    } cases[] = {
        {"model.layers.0.input_layernorm.weight", 1, 1},
        {"model.layers.0.post_sequence_residual.weight", 1, 1},
        {"model.layers.3.mix.weight", 1, 1},
        {"model.layers.0.ssd.A", -1, -0.1f},
        {"model.layers.0.gss.a_log", -5, -1},
        {"model.layers.0.mamba.A_log", 0, 2.78f},
        {"model.layers.0.mamba.dt_bias", -6.91f, -2.24f},
        {"model.layers.0.mamba.conv1d.bias", 0, 0},
        {"model.layers.0.gss.dss_norm.bias", 0, 0},
        {"model.layers.0.attn.logit_scale", 2.3f, 2.3f},
    };
    struct weights w;
    struct err err;
    assert_int_equal(random_weights_open(&w, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float *x = take(&w, cases[i].name, 1, (const int64_t[]){64});
        for (int k = 0; k < 64; k++)
            assert_true(x[k] >= cases[i].lo && x[k] <= cases[i].hi);
    }
    weights_close(&w);
}

static void the_same_every_time_and_no_two_alike(void **state)
{
    (void)state;
    enum { N = 48 * 96 };
    struct weights w, again;
    struct err err;
    assert_int_equal(random_weights_open(&w, &err), 0);
    assert_int_equal(random_weights_open(&again, &err), 0);
    const float *a = matrix(&w, "a.weight", 48, 96), *b = matrix(&w, "b.weight", 48, 96);
    const float *a2 = matrix(&again, "a.weight", 48, 96);
    assert_memory_equal(a, a2, N * sizeof *a);
    assert_memory_not_equal(a, b, N * sizeof *a);
    uint64_t hash = 0, hash_again = 1;
    assert_int_equal(weights_hash(&w, &hash, &err), 0);
    assert_int_equal(weights_hash(&again, &hash_again, &err), 0);
    assert_true(hash == hash_again && hash != 0);
    weights_close(&w);
    weights_close(&again);
}

static void a_tensor_stays_while_others_are_taken(void **state)
{
    (void)state;
    struct weights w;
    struct err err;
    char name[32];
    assert_int_equal(random_weights_open(&w, &err), 0);
    const float *small = matrix(&w, "small.weight", 2, 64);
    float copy[128];
    memcpy(copy, small, sizeof copy);
    for (int i = 0; i < 500; i++) { /* tables grow, and so does the block of the width */
        snprintf(name, sizeof name, "t%d.weight", i);
        matrix(&w, name, 2 + i * 16, 64);
    }
    assert_memory_equal(copy, small, sizeof copy);
    assert_int_equal(w.n_tensors, 501);
    weights_close(&w);
}

static void looking_makes_nothing(void **state)
{
    (void)state;
    struct weights w;
    struct err err;
    assert_int_equal(random_weights_open(&w, &err), 0);
    assert_null(weights_find(&w, "lm_head.weight"));
    matrix(&w, "lm_head.weight", 4, 32);
    struct tensor *t = weights_find(&w, "lm_head.weight");
    assert_non_null(t);
    assert_false(weights_keep(&w, t)); /* the blocks are freed below */
    assert_int_equal(weights_kept_bytes(&w), 0);
    assert_int_equal(weights_finish(&w, NULL, &err), 0);
    weights_release_pages(&w);
    weights_close(&w);
}

static void what_cannot_be_held_is_refused(void **state)
{
    (void)state;
    const int64_t huge[] = {INT64_MAX / 2, 3, 1 << 24};
    struct tensor_spec s = {.name = "x", .n_dims = 3, .shape = huge};
    struct tensor *t = NULL;
    struct weights w;
    struct err err = {0};
    assert_int_equal(random_weights_open(&w, &err), 0);
    assert_int_equal(weights_take(&w, &s, &t, &err), -ERR_MEMORY);
    s.n_dims = 1;
    assert_int_equal(weights_take(&w, &s, &t, &err), -ERR_MEMORY);
    assert_non_null(strstr(err.text, "x"));
    weights_close(&w);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    const int64_t shape[] = {8, 32};
    const struct tensor_spec matrix = {.name = "m", .n_dims = 2, .shape = shape};
    const struct tensor_spec vector = {.name = "v.bias", .n_dims = 1, .shape = shape};
    for (long n = 1;; n++) {
        struct tensor *t = NULL;
        struct weights w = {0};
        struct err err = {0};
        mem_fail_after(n);
        int rc = random_weights_open(&w, &err);
        if (rc == 0)
            rc = weights_take(&w, &matrix, &t, &err);
        if (rc == 0)
            rc = weights_take(&w, &vector, &t, &err);
        mem_fail_after(0);
        weights_close(&w);
        if (rc == 0)
            return;
        assert_int_equal(rc, -ERR_MEMORY);
        assert_true(n < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_have_the_variance_of_their_width),
        cmocka_unit_test(vectors_are_ones_but_for_some_names),
        cmocka_unit_test(the_same_every_time_and_no_two_alike),
        cmocka_unit_test(a_tensor_stays_while_others_are_taken),
        cmocka_unit_test(looking_makes_nothing),
        cmocka_unit_test(what_cannot_be_held_is_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
