/*
 * The configurations of Mamba-2, Granite, Granite hybrids, Bamba and LFM2: what each
 * refuses, in words that name the key, what was expected and what was found; what absent
 * keys are; and the widths that LFM2 rounds. Weights are random: only sizes matter.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/shape_case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define SIZES "\"vocab_size\":20,\"hidden_size\":16,\"num_hidden_layers\":2,"

#define EXPECT_FAULTS(base, list)                                                        \
    shape_case_expect_faults(base, list, sizeof list / sizeof *list)

/* Fails the test when it does not open; the caller closes it. */
static struct model opened(const char *base, const char *more)
{
    struct model model;
    struct err err = {0};
    if (shape_case_open(&model, base, more, &err))
        fail_msg("%s: %s", more, err.text);
    return model;
}

static void expect_opens(const char *base, const char *more)
{
    struct model model = opened(base, more);
    model_close(&model);
}

/* ---- the families ----------------------------------------------------------- */

static const char mamba2[] =
    SIZES "\"model_type\":\"mamba2\",\"num_heads\":8,\"head_dim\":4,\"state_size\":6";

static void mamba2_keys_are_checked(void **state)
{
    static const struct shape_fault faults[] = {
        {"\"expand\":3", {"expand", "3 x hidden_size = 48", "found 8 x 4"}},
        {"\"n_groups\":3",
         {"config.json: backbone.layers.0.mixer", "3 groups divide", "found 8"}},
        {"\"rms_norm\":false", {"rms_norm", "expected true", "found false"}},
        {"\"hidden_act\":\"gelu\"", {"hidden_act", "\"silu\"", "\"gelu\""}},
        {"\"use_bias\":1", {"use_bias", "true or false", "found 1"}},
        {"\"conv_kernel\":0", {"conv_kernel", "from 1 to", "found 0"}},
        {"\"time_step_limit\":[0.1]", {"time_step_limit", "2 numbers", "a list of 1"}},
        {"\"time_step_limit\":[-1,2]", {"time_step_limit[0]", "from 0", "found -1"}},
        {"\"mamba_d_conv\":4", {"config.json (mamba2)", "mamba_d_conv", "not a key"}},
    };
    (void)state;
    EXPECT_FAULTS(mamba2, faults);
    expect_opens(mamba2, "\"norm_before_gate\":true,\"time_step_scale\":1.0,"
                         "\"time_step_init_scheme\":\"random\",\"intermediate_size\":32");
}

/* Taps 4, groups 8: convolution states of 3 rows of 32 + 2 * 8 * 6 channels, and 8 heads
 * of 4 x 6, in two layers. */
static void mamba2_needs_no_pages(void **state)
{
    (void)state;
    struct model model = opened(mamba2, "");
    assert_int_equal(model.page_bytes, 0);
    assert_int_equal(model.slot_bytes, 2 * 4 * (3 * (32 + 96) + 8 * 4 * 6));
    assert_int_equal(model.hp.max_position, 1 << 20);
    model_close(&model);
}

static const char granite[] =
    SIZES "\"model_type\":\"granite\",\"num_attention_heads\":2,"
          "\"intermediate_size\":12,\"max_position_embeddings\":64";

static void granite_keys_are_checked(void **state)
{
    static const struct shape_fault faults[] = {
        {"\"logits_scaling\":0", {"logits_scaling", "from 1e-12", "found 0"}},
        {"\"residual_multiplier\":\"x\"", {"residual_multiplier", "a number", "\"x\""}},
        {"\"mamba_n_heads\":2", {"config.json (granite)", "mamba_n_heads", "not a key"}},
    };
    (void)state;
    EXPECT_FAULTS(granite, faults);
    struct model model =
        opened(granite, "\"logits_scaling\":8,\"embedding_multiplier\":3,"
                        "\"residual_multiplier\":0.5");
    assert_true(model.logit_scale == 0.125f && model.embed.scale == 3);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            assert_true(model.blocks[i].stages[k].branches[0].weight == 0.5f);
    model_close(&model);
}

static const char hybrid[] =
    SIZES "\"model_type\":\"granitemoehybrid\",\"num_attention_heads\":2,"
          "\"mamba_n_heads\":4,\"mamba_d_state\":6,\"max_position_embeddings\":64";

#define NO_EXPERTS "\"num_local_experts\":0,"

static void granitemoehybrid_keys_are_checked(void **state)
{
    static const struct shape_fault faults[] = {
        {"", {"num_local_experts", "expected 0", "found 8"}},
        {"\"num_local_experts\":62", {"num_local_experts", "experts", "found 62"}},
        {NO_EXPERTS "\"layer_types\":[\"mamba\"]",
         {"layer_types", "each of 2 layers", "found 1"}},
        {NO_EXPERTS "\"layer_types\":[\"mamba\",\"conv\"]",
         {"layer_types", "layer 1", "\"conv\""}},
        {NO_EXPERTS "\"position_embedding_type\":\"alibi\"",
         {"position_embedding_type", "\"nope\" \"rope\"", "\"alibi\""}},
        {NO_EXPERTS "\"mamba_d_head\":9",
         {"mamba_expand", "2 x hidden_size = 32", "found 4 x 9"}},
        {NO_EXPERTS "\"mamba_d_head\":\"many\"",
         {"mamba_d_head", "an integer", "\"many\""}},
        {NO_EXPERTS "\"mamba_n_groups\":3",
         {"model.layers.0.mamba", "3 groups divide", "found 4"}},
        {NO_EXPERTS "\"embedding_multiplier\":0", {"embedding_multiplier", "from", "0"}},
        {NO_EXPERTS "\"normalization_function\":\"layernorm\"",
         {"normalization_function", "rmsnorm", "layernorm"}},
    };
    (void)state;
    EXPECT_FAULTS(hybrid, faults);
    expect_opens(hybrid, NO_EXPERTS "\"mamba_d_head\":\"auto\"");
    /* Without a layer of Mamba-2 its sizes need not fit. */
    expect_opens(hybrid, NO_EXPERTS "\"mamba_d_head\":9,"
                                    "\"layer_types\":[\"attention\",\"full_attention\"]");
}

static const char bamba[] =
    SIZES "\"model_type\":\"bamba\",\"num_attention_heads\":2,\"num_key_value_heads\":2,"
          "\"mamba_n_heads\":4,\"mamba_d_state\":6,"
          "\"intermediate_size\":12,\"max_position_embeddings\":64";

static void bamba_keys_are_checked(void **state)
{
    static const struct shape_fault faults[] = {
        {"\"attn_layer_indices\":[2]",
         {"attn_layer_indices", "layers from 0 to 1", "found 2"}},
        {"\"attn_layer_indices\":[1,1]", {"attn_layer_indices", "each once", "found 1"}},
        {"\"attn_layer_indices\":1", {"attn_layer_indices", "a list", "found 1"}},
        {"\"mamba_d_head\":9", {"mamba_expand", "2 x hidden_size = 32", "found 4 x 9"}},
        {"\"layer_types\":[\"mamba\",\"mamba\"]",
         {"config.json (bamba)", "layer_types", "not a key"}},
    };
    (void)state;
    EXPECT_FAULTS(bamba, faults);
    expect_opens(bamba, "\"attn_layer_indices\":[0],\"attn_rotary_emb\":64");
}

static const char lfm2[] =
    SIZES "\"model_type\":\"lfm2\",\"num_attention_heads\":2,\"num_key_value_heads\":2,"
          "\"max_position_embeddings\":64";

static void lfm2_keys_are_checked(void **state)
{
    static const struct shape_fault faults[] = {
        {"\"block_ff_dim\":9,\"conv_dim\":5", {"conv_dim", "hidden_size", "found 5"}},
        {"\"block_ff_dim\":9,\"num_heads\":3",
         {"num_heads", "num_attention_heads", "found 3"}},
        {"\"block_ff_dim\":9,\"block_use_swiglu\":false",
         {"block_use_swiglu", "expected true", "found false"}},
        {"\"block_ff_dim\":9,\"layer_types\":[\"conv\",\"mamba\"]",
         {"layer_types", "layer 1", "\"mamba\""}},
        {"\"block_ff_dim\":9,\"full_attn_idxs\":[5]",
         {"full_attn_idxs", "layers from 0 to 1", "found 5"}},
        {"\"block_ff_dim\":1,\"block_ffn_dim_multiplier\":null",
         {"intermediate_size", "a width from 1", "found 0"}},
        {"\"block_ff_dim\":4194304,\"block_ffn_dim_multiplier\":9.5",
         {"intermediate_size", "after its adjustment", "found 26564096"}},
    };
    (void)state;
    EXPECT_FAULTS(lfm2, faults);
}

/* int(2 · 100 / 3) = 66; · 1.5 = 99. */
static void lfm2_widths_are_rounded(void **state)
{
    static const struct {
        const char *more;
        int size;
    } cases[] = {
        {"\"intermediate_size\":100", 256},
        {"\"block_ff_dim\":100,\"intermediate_size\":7", 256},
        {"\"block_ff_dim\":100,\"block_ffn_dim_multiplier\":null", 66},
        {"\"block_ff_dim\":100,\"block_ffn_dim_multiplier\":1.5,\"block_multiple_of\":10",
         100},
        {"\"block_ff_dim\":100,\"block_ffn_dim_multiplier\":1.5,\"block_multiple_of\":33",
         99},
        {"\"block_ff_dim\":100,\"block_auto_adjust_ff_dim\":false", 100},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model model = opened(lfm2, cases[i].more);
        if (model.hp.ffn_size != cases[i].size)
            fail_msg("%s: expected %d, found %d", cases[i].more, cases[i].size,
                     model.hp.ffn_size);
        model_close(&model);
    }
}

/* A list of kinds wins over one of indices; without both every layer is attention. */
static void lfm2_layers_are_as_listed(void **state)
{
    static const struct {
        const char *more;
        int n_attn;
    } cases[] = {
        {"\"block_ff_dim\":9", 2},
        {"\"block_ff_dim\":9,\"full_attn_idxs\":[1]", 1},
        {"\"block_ff_dim\":9,\"full_attn_idxs\":[]", 0},
        {"\"block_ff_dim\":9,\"full_attn_idxs\":[0,1],\"layer_types\":[\"conv\",\"conv\"]",
         0},
        {"\"block_ff_dim\":9,\"full_attn_idxs\":null,"
         "\"layer_types\":[\"conv\",\"full_attention\"]",
         1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model model = opened(lfm2, cases[i].more);
        size_t bytes = (size_t)cases[i].n_attn * 2 * 2 * PAGE_TOKENS * 8 * 4;
        if (model.page_bytes != bytes)
            fail_msg("%s: expected pages of %zu bytes, found %zu", cases[i].more, bytes,
                     model.page_bytes);
        model_close(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mamba2_keys_are_checked),
        cmocka_unit_test(mamba2_needs_no_pages),
        cmocka_unit_test(granite_keys_are_checked),
        cmocka_unit_test(granitemoehybrid_keys_are_checked),
        cmocka_unit_test(bamba_keys_are_checked),
        cmocka_unit_test(lfm2_keys_are_checked),
        cmocka_unit_test(lfm2_widths_are_rounded),
        cmocka_unit_test(lfm2_layers_are_as_listed),
    };
    return cmocka_run_group_tests(tests, made_folder_make, made_folder_unmake);
}
