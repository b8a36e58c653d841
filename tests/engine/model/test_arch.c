/*
 * The architectures' keys of config.json: types, ranges, what they demand of the tensors,
 * and sizes that are absurd together. Errors name the folder, the key or tensor, what was
 * expected and what was found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/model/arch.h"
#include "engine/model/model.h"
#include "tests/lib/made_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void expect_texts(const struct err *err, const char *const texts[])
{
    assert_int_equal(err->code, ERR_FORMAT);
    made_folder_expect_says(err, texts);
}

static const struct maker_sizes tiny = {11, 8, 1, 2, 1, 6, 32};

/* The config of the made model with more members; -ERR_FORMAT with these texts, or 0. */
static void expect_model(const char *more, int wanted, const char *const texts[])
{
    char text[4096] = "";
    struct model model;
    struct err err = {0};
    FILE *f = fopen(maker_path(&made_folder, "config.json"), "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, 2048, f);
    fclose(f);
    snprintf(text + n - 1, sizeof text - n, ",%s}", more);
    maker_text(&made_folder, "config.json", text);
    int rc = model_open(&model, &(struct model_options){.dir = made_folder.dir}, &err);
    if (rc == 0)
        model_close(&model);
    if (rc != wanted)
        fail_msg("%s: expected %d, found %d: %s", more, wanted, rc, err.text);
    if (texts)
        expect_texts(&err, texts);
}

struct arch_fault {
    const char *more, *says[3];
};

static void transxssm_keys_are_checked(void **state)
{
    static const struct arch_fault bad[] = {
        {"\"hidden_bias\":1", {"hidden_bias", "true or false", "found 1"}},
        {"\"rope_on_ssd\":\"no\"", {"rope_on_ssd", "true or false", "\"no\""}},
        {"\"rope_on_attn\":0", {"rope_on_attn", "true or false", "found 0"}},
        {"\"ssd_state_dim\":3", {"ssd_state_dim", "an even number", "found 3"}},
        {"\"ssd_state_dim\":0", {"ssd_state_dim", "from 1 to", "found 0"}},
        {"\"ssd_state_dim\":6", {"ssd.c_proj", "expected shape [12, 8]", "[8, 8]"}},
        {"\"head_dim\":8", {"head_dim", "8 / 2", "found 8"}},
        {"\"hidden_bias\":true", {"ssd.c_proj.bias", "expected [8]", "nothing"}},
        {"\"gss_kind\":\"dss\"", {"config.json (TransXSSM)", "gss_kind", "not a key"}},
        {"\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[1,1]}",
         {"short_factor", "expected 2 numbers", "found 1"}},
        {"\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,-1],"
         "\"long_factor\":[1,1]}",
         {"short_factor[1]", "a positive number", "expected"}},
        {"\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1],"
         "\"long_factor\":[1,1],\"original_max_position_embeddings\":1}",
         {"original_max_position_embeddings", "more than 1", "found 1"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        maker_transxssm(&made_folder, &tiny);
        expect_model(
            bad[i].more, -ERR_FORMAT,
            SAYS(made_folder.dir, bad[i].says[0], bad[i].says[1], bad[i].says[2]));
    }
    maker_transxssm(&made_folder, &tiny);
    expect_model("\"rope_on_ssd\":false,\"rope_on_attn\":false,\"hidden_bias\":false", 0,
                 NULL);
}

static void pha_keys_are_checked(void **state)
{
    static const struct arch_fault bad[] = {
        {"\"attention_score\":\"sum\"",
         {"attention_score", "\"cosine\" \"dot\"", "\"sum\""}},
        {"\"embed_scale\":\"auto\"", {"embed_scale", "a number", "\"auto\""}},
        {"\"residual_alpha\":null,\"ffn_residual\":3",
         {"ffn_residual", "true or false", "3"}},
        {"\"final_norm\":0", {"final_norm", "true or false", "found 0"}},
        {"\"gss_gate_size\":0", {"gss_gate_size", "from 1 to", "found 0"}},
        {"\"gss_hidden_size\":-1", {"gss_hidden_size", "from 1 to", "found -1"}},
        {"\"final_norm\":false", {"model.norm.weight", "surplus", ""}},
        {"\"attention_score\":\"dot\"", {"attn.logit_scale", "surplus", ""}},
        {"\"attn_layer_period\":2",
         {"config.json (pha)", "attn_layer_period", "not a key"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        maker_pha(&made_folder, &tiny, i % 2 ? "gated" : "dss");
        expect_model(
            bad[i].more, -ERR_FORMAT,
            SAYS(made_folder.dir, bad[i].says[0], bad[i].says[1], bad[i].says[2]));
    }
    maker_pha(&made_folder, &tiny, "dss");
    expect_model("\"residual_alpha\":1,\"ffn_residual\":false,\"embed_scale\":2", 0,
                 NULL);
}

static void llama_keys_are_checked(void **state)
{
    static const struct arch_fault bad[] = {
        {"\"attention_bias\":1", {"attention_bias", "true or false", "found 1"}},
        {"\"mlp_bias\":true", {"mlp.gate_proj.bias", "expected [6]", "nothing"}},
        {"\"head_dim\":6", {"q_proj.weight", "expected shape [12, 8]", "[8, 8]"}},
        {"\"head_dim\":3", {"width", "an even number", "found 3"}},
        {"\"hidden_bias\":true", {"config.json (llama)", "hidden_bias", "not a key"}},
        {"\"tie_word_embeddings\":true",
         {"lm_head.weight", "tie_word_embeddings", "same"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        maker_llama(&made_folder, &tiny);
        expect_model(
            bad[i].more, -ERR_FORMAT,
            SAYS(made_folder.dir, bad[i].says[0], bad[i].says[1], bad[i].says[2]));
    }
}

/* Sizes that are each allowed, but not together: no product may overflow, and nothing
 * large may be made before the tensors were compared. */
static void sizes_that_multiply_beyond_reason_are_refused(void **state)
{
    struct model model;
    struct err err = {0};
    (void)state;
    maker_llama(&made_folder, &tiny);
    maker_text(&made_folder, "config.json",
               "{\"model_type\":\"llama\",\"vocab_size\":11,\"hidden_size\":8,"
               "\"num_hidden_layers\":1,\"num_attention_heads\":65536,\"head_dim\":65536,"
               "\"intermediate_size\":6,\"max_position_embeddings\":32}");
    assert_int_equal(
        model_open(&model, &(struct model_options){.dir = made_folder.dir}, &err),
        -ERR_FORMAT);
    expect_texts(&err, SAYS("config.json", "head_dim", "65536 x 65536"));
    maker_text(
        &made_folder, "config.json",
        "{\"model_type\":\"TransXSSM\",\"vocab_size\":11,\"hidden_size\":65536,"
        "\"num_hidden_layers\":1,\"num_attention_heads\":65536,\"ssd_state_dim\":65536,"
        "\"rope_on_ssd\":false,\"rope_on_attn\":false,"
        "\"intermediate_size\":6,\"max_position_embeddings\":32}");
    assert_int_equal(
        model_open(&model, &(struct model_options){.dir = made_folder.dir}, &err),
        -ERR_FORMAT);
    expect_texts(&err, SAYS("config.json", "ssd_state_dim", "found 65536"));
}

/* Nothing but the type is asked of a model that is not served; the error names what is. */
static void what_is_not_served_is_refused_with_the_nearest(void **state)
{
    static const struct {
        const char *type, *says[2];
    } bad[] = {
        {"mamba", {"found \"mamba\"", "Mamba-1 is not served"}},
        {"lama", {"found \"lama\"", "the nearest is llama"}},
        {"falcon_h2", {"found \"falcon_h2\"", "the nearest is falcon_h1"}},
        {"jamba", {"found \"jamba\"", "Mamba-1"}},
        {"bert", {"an encoder", "the nearest is llama"}},
        {"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", {"zzzz", ""}},
        {"", {"found \"\"", ""}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[160];
        struct model model;
        struct err err = {0};
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"}", bad[i].type);
        maker_text(&made_folder, "config.json", text);
        assert_int_equal(
            model_open(&model, &(struct model_options){.dir = made_folder.dir}, &err),
            -ERR_FORMAT);
        expect_texts(&err,
                     SAYS("config.json", "model_type: expected TransXSSM, pha, llama",
                          bad[i].says[0], bad[i].says[1]));
        if (i == 5)
            assert_null(strstr(err.text, "nearest"));
    }
}

/* As transformers' configuration classes have them; 0: as many as heads. */
static void absent_key_value_heads_are_those_of_the_family(void **state)
{
    static const struct {
        const char *type;
        int n;
    } all[] = {
        {"llama", 0},   {"qwen2", 32},           {"qwen3", 32},     {"mistral", 8},
        {"smollm3", 4}, {"gemma3_text", 4},      {"nemotron_h", 8}, {"falcon_h1", 8},
        {"granite", 0}, {"granitemoehybrid", 0}, {"bamba", 8},      {"lfm2", 8},
        {"qwen3_5", 4}, {"qwen3_5_text", 4},     {"olmo_hybrid", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct hparam_family *family = arch_family(all[i].type, NULL);
        assert_non_null(family);
        if (family->n_kv_heads != all[i].n)
            fail_msg("%s: expected %d, found %d", all[i].type, all[i].n,
                     family->n_kv_heads);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transxssm_keys_are_checked),
        cmocka_unit_test(pha_keys_are_checked),
        cmocka_unit_test(llama_keys_are_checked),
        cmocka_unit_test(sizes_that_multiply_beyond_reason_are_refused),
        cmocka_unit_test(what_is_not_served_is_refused_with_the_nearest),
        cmocka_unit_test(absent_key_value_heads_are_those_of_the_family),
    };
    return cmocka_run_group_tests(tests, made_folder_make, made_folder_unmake);
}
