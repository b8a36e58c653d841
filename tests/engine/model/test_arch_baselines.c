/*
 * The papers' baselines: keys of config.json, defaults, what they ask of the tensors.
 * Weights are random, so that a config alone decides.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/shape_case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define SIZES                                                                            \
    "\"vocab_size\":11,\"hidden_size\":8,\"num_hidden_layers\":3,"                       \
    "\"num_attention_heads\":2,\"intermediate_size\":6,\"max_position_embeddings\":32"

#define MODEL(type) "\"model_type\":\"" type "\"," SIZES

static void gss_hybrid_keys_are_checked(void **state)
{
    static const struct shape_fault bad[] = {
        {"", {"config.json (gss_hybrid)", "attention_layers", "a value"}},
        {"\"attention_layers\":1", {"attention_layers", "an array of integers", "1"}},
        {"\"attention_layers\":[3]", {"attention_layers", "from 0 to 2", "found 3"}},
        {"\"attention_layers\":[-1]", {"attention_layers", "from 0 to 2", "found -1"}},
        {"\"attention_layers\":[1,0,1]", {"attention_layers", "once", "1 twice"}},
        {"\"attention_layers\":[1.5]", {"attention_layers", "integers", "1.5"}},
        {"\"attention_layers\":[],\"gss_state_size\":0",
         {"gss_state_size", "from 1 to", "found 0"}},
        {"\"attention_layers\":[],\"gss_kind\":\"dss\"",
         {"config.json (gss_hybrid)", "gss_kind", "not a key"}},
    };
    (void)state;
    shape_case_expect_faults(MODEL("gss_hybrid"), bad, sizeof bad / sizeof *bad);
}

/* A GSS layer is one branch, with N = 512 and C = D/4 unless it is said. */
static void gss_hybrid_layers_are_of_two_kinds(void **state)
{
    struct model model;
    struct err err = {0};
    (void)state;
    if (shape_case_open(&model, MODEL("gss_hybrid"), "\"attention_layers\":[2,0]", &err))
        fail_msg("%s", err.text);
    const struct block *b = model.blocks;
    assert_int_equal(b[1].n_stages, 1);
    assert_ptr_equal(b[1].stages[0].branches[0].mixer.kind, &mixer_dss);
    assert_int_equal(b[1].stages[0].branches[0].mixer.need.fixed_bytes,
                     512 * 2 * LANES * sizeof(float));
    for (int i = 0; i <= 2; i += 2) {
        assert_int_equal(b[i].n_stages, 2);
        assert_ptr_equal(b[i].stages[0].branches[0].mixer.kind, &mixer_attn);
    }
    model_close(&model);
    if (shape_case_open(&model, MODEL("gss_hybrid"), "\"attention_layers\":[]", &err))
        fail_msg("%s", err.text);
    assert_int_equal(model.page_bytes, 0);
    model_close(&model);
}

static void hedgehog_keys_are_checked(void **state)
{
    static const struct shape_fault bad[] = {
        {"\"linear_attention_layers\":[3]",
         {"linear_attention_layers", "from 0 to 2", "found 3"}},
        {"\"feature_dim\":0", {"feature_dim", "from 1 to", "found 0"}},
        {"\"attention_layers\":[1]",
         {"config.json (hedgehog)", "attention_layers", "not a key"}},
    };
    (void)state;
    shape_case_expect_faults(MODEL("hedgehog"), bad, sizeof bad / sizeof *bad);
}

/* Every layer is linear unless some are listed, with f = head_dim unless it is said. */
static void hedgehog_layers_are_of_two_kinds(void **state)
{
    struct model model;
    struct err err = {0};
    (void)state;
    if (shape_case_open(&model, MODEL("hedgehog"), "", &err))
        fail_msg("%s", err.text);
    assert_int_equal(model.page_bytes, 0);
    assert_int_equal(model.blocks[2].stages[0].branches[0].mixer.need.fixed_bytes,
                     2 * 2 * 4 * 5 * sizeof(float));
    model_close(&model);
    if (shape_case_open(&model, MODEL("hedgehog"),
                        "\"linear_attention_layers\":[1],\"feature_dim\":3", &err))
        fail_msg("%s", err.text);
    assert_ptr_equal(model.blocks[0].stages[0].branches[0].mixer.kind, &mixer_attn);
    assert_ptr_equal(model.blocks[1].stages[0].branches[0].mixer.kind, &mixer_hedgehog);
    assert_int_equal(model.blocks[1].stages[0].branches[0].mixer.need.fixed_bytes,
                     2 * 2 * 3 * 5 * sizeof(float));
    model_close(&model);
}

static void h3_keys_are_checked(void **state)
{
    static const struct shape_fault bad[] = {
        {"\"ssm_state_size\":4", {"config.json (h3)", "attn_layer_idx", "a value"}},
        {"\"attn_layer_idx\":[]", {"config.json (h3)", "ssm_state_size", "a value"}},
        {"\"attn_layer_idx\":[],\"ssm_state_size\":5",
         {"ssm_state_size", "an even number", "found 5"}},
        {"\"attn_layer_idx\":[4],\"ssm_state_size\":4",
         {"attn_layer_idx", "from 0 to 2", "found 4"}},
        {"\"attn_layer_idx\":[],\"ssm_state_size\":4,\"num_key_value_heads\":1",
         {"num_key_value_heads", "num_attention_heads 2", "found 1"}},
        {"\"attn_layer_idx\":[],\"ssm_state_size\":4,\"head_dim\":8",
         {"head_dim", "8 / 2", "found 8"}},
        {"\"attn_layer_idx\":[],\"ssm_state_size\":4,\"tie_word_embeddings\":false",
         {"tie_word_embeddings", "expected true", "false"}},
        {"\"attn_layer_idx\":[],\"ssm_state_size\":4,\"attention_bias\":true",
         {"config.json (h3)", "attention_bias", "not a key"}},
    };
    (void)state;
    shape_case_expect_faults(MODEL("h3"), bad, sizeof bad / sizeof *bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gss_hybrid_keys_are_checked),
        cmocka_unit_test(gss_hybrid_layers_are_of_two_kinds),
        cmocka_unit_test(hedgehog_keys_are_checked),
        cmocka_unit_test(hedgehog_layers_are_of_two_kinds),
        cmocka_unit_test(h3_keys_are_checked),
    };
    return cmocka_run_group_tests(tests, made_folder_make, made_folder_unmake);
}
