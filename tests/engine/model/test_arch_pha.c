/* The shares of PHA's three branches, for weights that lie far from where they began.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/safetensors.h"
#include "engine/model/model.h"
#include "tests/lib/made_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int make(void **state)
{
    static const struct maker_sizes tiny = {11, 8, 1, 2, 1, 6, 32};
    (void)state;
    maker_open(&made_folder);
    maker_pha(&made_folder, &tiny, "gated");
    return 0;
}

static void write_mix(const float mix[3])
{
    struct weights w;
    assert_int_equal(safetensors_open(&w, made_folder.dir, NULL), 0);
    const struct tensor *t = weights_find(&w, "model.layers.0.mix.weight");
    const struct tensor *last = &w.tensors[w.n_tensors - 1];
    assert_non_null(t);
    long from_end = (long)t->begin - (long)(last->begin + last->bytes);
    weights_close(&w);
    FILE *f = fopen(maker_path(&made_folder, "model.safetensors"), "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, from_end, SEEK_END), 0);
    assert_int_equal(fwrite(mix, sizeof *mix, 3, f), 3);
    fclose(f);
}

static void shares_are_softplus_wherever_it_is(void **state)
{
    static const float mixes[][3] = {
        {1, 0, -1}, {19, 21, 30}, {-19, -20, -21}, {-40, -41, -42}, {-700, 3, -90}};
    (void)state;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        struct model model;
        double w[3], sum = 0;
        write_mix(mixes[i]);
        assert_int_equal(
            model_open(&model, &(struct model_options){.dir = made_folder.dir}, NULL), 0);
        for (int j = 0; j < 3; j++)
            sum += w[j] = log1p(exp(mixes[i][j]));
        for (int j = 0; j < 3; j++)
            assert_true(fabs(model.blocks[0].stages[0].branches[j].weight - w[j] / sum) <=
                        1e-7);
        model_close(&model);
    }
}

static void shares_that_do_not_exist_are_refused(void **state)
{
    static const float mixes[][3] = {
        {-800, -900, -1000}, {1, INFINITY, 1}, {1, NAN, 1}, {-INFINITY, -INFINITY, -800}};
    (void)state;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        struct model model;
        struct err err = {0};
        write_mix(mixes[i]);
        assert_int_equal(
            model_open(&model, &(struct model_options){.dir = made_folder.dir}, &err),
            -ERR_FORMAT);
        assert_non_null(strstr(err.text, "model.layers.0.mix.weight"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_softplus_wherever_it_is),
        cmocka_unit_test(shares_that_do_not_exist_are_refused),
    };
    return cmocka_run_group_tests(tests, make, made_folder_unmake);
}
