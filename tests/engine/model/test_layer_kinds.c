/*
 * A model of sizes: what it says of weights, states and pages is what the opened model
 * has, for every golden folder in every format; and its layers in words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/layer_kinds.h"
#include "tests/lib/golden.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void open_model(struct model *m, const struct model_options *o)
{
    struct err err = {0};
    if (model_open(m, o, &err) != 0)
        fail_msg("%s", err.text);
}

/* Of matrices; what else a model holds differs by the padding of each. */
static void expect_same_matrices(const struct model *a, const struct model *b)
{
    struct holding x, y;
    model_holding(a, &x);
    model_holding(b, &y);
    assert_int_equal(x.types, y.types);
    for (int t = 0; t < DTYPE_N; t++)
        if (t != DTYPE_F32)
            assert_int_equal(x.bytes[t], y.bytes[t]);
    size_t p = model_weights_bytes(a), q = model_weights_bytes(b);
    assert_true((p < q ? q - p : p - q) <= 128 * b->weights.n_tensors);
}

static void check_sizes(const char *dir, int context, enum engine_weights weights,
                        enum engine_kv kv)
{
    struct model sizes, whole;
    struct model_options o = {
        .dir = dir, .context = context, .weights = weights, .kv = kv};
    open_model(&whole, &o);
    o.sizes = true;
    open_model(&sizes, &o);
    assert_int_equal(sizes.n_params, whole.n_params);
    assert_int_equal(sizes.slot_bytes, whole.slot_bytes);
    assert_int_equal(sizes.page_bytes, whole.page_bytes);
    expect_same_matrices(&sizes, &whole);
    model_close(&sizes);
    model_close(&whole);
}

static void sizes_are_those_of_the_opened_model(void **state)
{
    (void)state;
    static struct golden all[GOLDEN_MAX];
    size_t n = golden_all(all);
    for (size_t i = 0; i < n; i++)
        for (int w = ENGINE_WEIGHTS_OWN; w <= ENGINE_WEIGHTS_Q4; w++)
            check_sizes(all[i].dir, all[i].context, (enum engine_weights)w,
                        (enum engine_kv)(w % ENGINE_KV_N));
    golden_free(all, n);
}

static void layers_are_told_in_words(void **state)
{
    (void)state;
    struct model m;
    struct engine_layer_kind kinds[2];
    const struct model_options o = {.dir = "tests/golden/transxssm-default",
                                    .sizes = true};
    open_model(&m, &o);
    assert_int_equal(layer_kinds(&m, kinds, 2), 2);
    assert_string_equal(kinds[0].mixers, "SSD, feed-forward");
    assert_string_equal(kinds[1].mixers, "attention, feed-forward");
    assert_int_equal(kinds[0].n + kinds[1].n, m.hp.n_layers);
    assert_true(kinds[0].state_bytes > 0 && kinds[0].page_bytes == 0);
    assert_true(kinds[1].state_bytes == 0 && kinds[1].page_bytes > 0);
    assert_int_equal(layer_kinds(&m, kinds, 1), 1);
    assert_int_equal(kinds[0].n, m.hp.n_layers);
    model_close(&m);
}

static void windows_are_told_with_their_layers(void **state)
{
    (void)state;
    struct model m;
    struct engine_layer_kind kinds[2];
    const struct model_options o = {.dir = "tests/golden/gemma3_text-tied",
                                    .sizes = true};
    open_model(&m, &o);
    assert_int_equal(layer_kinds(&m, kinds, 2), 2);
    assert_string_equal(kinds[0].mixers, "attention (window of 32), feed-forward");
    assert_string_equal(kinds[1].mixers, "attention, feed-forward");
    assert_true(kinds[0].n == 4 && kinds[0].state_bytes > 0 && kinds[0].page_bytes == 0);
    assert_true(kinds[1].n == 1 && kinds[1].state_bytes == 0 && kinds[1].page_bytes > 0);
    model_close(&m);
}

/* Half a terabyte of weights. */
static void a_shape_of_any_size_opens(void **state)
{
    (void)state;
    char path[] = "/tmp/ssmd-shape-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    struct model m;
    const struct model_options o = {.shape = path, .sizes = true, .context = 64};
    fputs(
        "{\"model_type\":\"llama\",\"vocab_size\":250000,\"hidden_size\":16384,"
        "\"intermediate_size\":53248,\"num_hidden_layers\":40,"
        "\"num_attention_heads\":128,\"max_position_embeddings\":64,\"num_key_value_heads\":8}",
        f);
    fclose(f);
    open_model(&m, &o);
    assert_true(m.n_params > 100 * (int64_t)1000000000);
    assert_true(model_weights_bytes(&m) >= 4 * (size_t)m.n_params);
    assert_int_equal(m.page_bytes, 40 * 16 * 2 * 8 * 128 * sizeof(float));
    model_close(&m);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_opened_model),
        cmocka_unit_test(layers_are_told_in_words),
        cmocka_unit_test(windows_are_told_with_their_layers),
        cmocka_unit_test(a_shape_of_any_size_opens),
    };
    return cmocka_run_group_tests_name("layer kinds", tests, NULL, NULL);
}
