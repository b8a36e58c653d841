/*
 * The families with gated DeltaNet: keys of config.json, which layers follow from them,
 * and what is refused. Weights are random unless a folder is made.
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
    "\"vocab_size\":11,\"hidden_size\":16,\"num_hidden_layers\":6,"                      \
    "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"intermediate_size\":6"

/* A model of the type, with random weights, and these members beside SIZES. */
static int open_shape(struct model *model, const char *type, const char *more,
                      struct err *err)
{
    char members[1024];
    snprintf(members, sizeof members, "\"model_type\":\"%s\"," SIZES, type);
    return shape_case_open(model, members, more, err);
}

static void expect_says(const struct err *err, const char *what,
                        const char *const says[3])
{
    for (int k = 0; k < 3 && says[k]; k++)
        if (!strstr(err->text, says[k]))
            fail_msg("%s: \"%s\" does not say \"%s\"", what, err->text, says[k]);
}

/* G for each layer of gated DeltaNet, A for each of attention. */
static void expect_layers(const char *type, const char *more, const char *letters)
{
    struct model model;
    struct err err = {0};
    if (open_shape(&model, type, more, &err))
        fail_msg("%s: %s", more, err.text);
    assert_int_equal(model.hp.n_layers, strlen(letters));
    for (int i = 0; i < model.hp.n_layers; i++) {
        const struct mixer *mx = &model.blocks[i].stages[0].branches[0].mixer;
        assert_ptr_equal(mx->kind, letters[i] == 'G' ? &mixer_gdn : &mixer_attn);
    }
    model_close(&model);
}

static void layers_follow_the_list_or_the_period(void **state)
{
    (void)state;
    expect_layers("qwen3_5_text", "", "GGGAGG");
    expect_layers("qwen3_5_text", "\"full_attention_interval\":2", "GAGAGA");
    expect_layers("qwen3_5_text",
                  "\"full_attention_interval\":2,\"layer_types\":[\"full_attention\","
                  "\"linear_attention\",\"linear_attention\",\"linear_attention\","
                  "\"linear_attention\",\"full_attention\"]",
                  "AGGGGA");
    expect_layers("olmo_hybrid", "", "GGGAGG");
    expect_layers("olmo_hybrid",
                  "\"layer_types\":[\"mamba\",\"attention\",\"linear_attention\","
                  "\"full_attention\",\"mamba\",\"mamba\"]",
                  "GAGAGG");
}

/* S in panels of 16 columns, and J - 1 rows of q, k and v. */
static size_t state_bytes(size_t hk, size_t hv, size_t dk, size_t dv, size_t taps)
{
    size_t conv = (taps - 1) * (2 * hk * dk + hv * dv);
    return (hv * dk * ((dv + 15) / 16 * 16) + conv) * sizeof(float);
}

static void expect_state(const char *type, const char *more, size_t bytes)
{
    struct model model;
    struct err err = {0};
    if (open_shape(&model, type, more, &err))
        fail_msg("%s: %s", more, err.text);
    const struct mixer *mx = &model.blocks[0].stages[0].branches[0].mixer;
    assert_int_equal(mx->need.fixed_bytes, bytes);
    model_close(&model);
}

static void absent_sizes_are_the_familys(void **state)
{
    (void)state;
    expect_state("qwen3_5_text", "", state_bytes(16, 32, 128, 128, 4));
    expect_state("qwen3_5_text",
                 "\"linear_num_key_heads\":3,\"linear_num_value_heads\":6,"
                 "\"linear_key_head_dim\":5,\"linear_value_head_dim\":7,"
                 "\"linear_conv_kernel_dim\":3",
                 state_bytes(3, 6, 5, 7, 3));
    expect_state("olmo_hybrid", "", state_bytes(2, 2, 6, 12, 4));
    expect_state("olmo_hybrid", "\"linear_num_value_heads\":4,\"linear_key_head_dim\":5",
                 state_bytes(2, 4, 5, 10, 4));
}

static void keys_are_checked(void **state)
{
    static const struct {
        const char *type, *more, *says[3];
    } bad[] = {
        {"qwen3_5_text",
         "\"linear_num_key_heads\":3,\"linear_num_value_heads\":4",
         {"linear_num_value_heads", "multiple of linear_num_key_heads 3", "found 4"}},
        {"qwen3_5_text",
         "\"linear_num_value_heads\":65536,\"linear_value_head_dim\":65536",
         {"linear_*_head_dim", "16777216", "4294971392"}},
        {"qwen3_5_text",
         "\"full_attention_interval\":0",
         {"full_attention_interval", "from 1 to", "found 0"}},
        {"qwen3_5_text",
         "\"layer_types\":[\"full_attention\"]",
         {"layer_types", "6", "1"}},
        {"qwen3_5_text",
         "\"layer_types\":[\"conv\",\"mamba\",\"mamba\",\"mamba\",\"mamba\",\"mamba\"]",
         {"layer_types", "linear_attention", "conv"}},
        {"qwen3_5_text",
         "\"attn_output_gate\":false",
         {"attn_output_gate", "true", "false"}},
        {"qwen3_5_text", "\"mlp_only_layers\":[1]", {"mlp_only_layers", "[]", "array"}},
        {"qwen3_5_text", "\"num_experts\":8", {"num_experts", "not a key", NULL}},
        {"qwen3_5_text",
         "\"linear_allow_neg_eigval\":true",
         {"config.json (qwen3_5_text)", "linear_allow_neg_eigval", "not a key"}},
        {"qwen3_5", "", {"text_config", "an object", "qwen3_5_text"}},
        {"qwen3_5", "\"text_config\":[]", {"text_config", "an object", "array"}},
        {"olmo_hybrid",
         "\"linear_allow_neg_eigval\":1",
         {"linear_allow_neg_eigval", "true or false", "1"}},
        {"olmo_hybrid", "\"sliding_window\":64", {"sliding_window", "null", "64"}},
        {"olmo_hybrid",
         "\"full_attention_interval\":4",
         {"config.json (olmo_hybrid)", "full_attention_interval", "not a key"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct model model;
        struct err err = {0};
        assert_int_equal(open_shape(&model, bad[i].type, bad[i].more, &err), -ERR_FORMAT);
        expect_says(&err, bad[i].more, bad[i].says);
    }
}

static void text_config_wins(void **state)
{
    struct model model;
    struct err err = {0};
    (void)state;
    if (open_shape(&model, "qwen3_5",
                   "\"vision_config\":{\"depth\":1},\"image_token_id\":3,"
                   "\"text_config\":{\"vocab_size\":11,\"hidden_size\":16,"
                   "\"num_attention_heads\":2,\"num_key_value_heads\":2,"
                   "\"intermediate_size\":6,\"max_position_embeddings\":32,"
                   "\"num_hidden_layers\":2,\"head_dim\":12,"
                   "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":1e7,"
                   "\"partial_rotary_factor\":0.5,\"mrope_section\":[1,1,1],"
                   "\"mrope_interleaved\":true},\"full_attention_interval\":1}",
                   &err))
        fail_msg("%s", err.text);
    assert_int_equal(model.hp.n_layers, 2);
    assert_int_equal(model.hp.head_dim, 12);
    assert_true(model.hp.rope.partial == 0.5 && model.hp.rope.theta == 1e7);
    assert_ptr_equal(model.blocks[0].stages[0].branches[0].mixer.kind, &mixer_attn);
    model_close(&model);
}

static void a_folder_of_images_alone_is_refused(void **state)
{
    struct model model;
    struct err err = {0};
    const char *const says[3] = {"model.language_model", "found model.visual.*",
                                 "not served"};
    (void)state;
    maker_text(&made_folder, "config.json",
               "{\"model_type\":\"qwen3_5\",\"text_config\":{" SIZES "}}");
    maker_tensor(&made_folder, "model.visual.patch_embed.proj.weight", 2,
                 (int64_t[]){4, 4}, NULL, (struct maker_fill){1, 0});
    maker_save(&made_folder, "model.safetensors");
    assert_int_equal(
        model_open(&model, &(struct model_options){.dir = made_folder.dir}, &err),
        -ERR_FORMAT);
    expect_says(&err, "images alone", says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(layers_follow_the_list_or_the_period,
                                        made_folder_make, made_folder_unmake),
        cmocka_unit_test_setup_teardown(absent_sizes_are_the_familys, made_folder_make,
                                        made_folder_unmake),
        cmocka_unit_test_setup_teardown(keys_are_checked, made_folder_make,
                                        made_folder_unmake),
        cmocka_unit_test_setup_teardown(text_config_wins, made_folder_make,
                                        made_folder_unmake),
        cmocka_unit_test_setup_teardown(a_folder_of_images_alone_is_refused,
                                        made_folder_make, made_folder_unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
