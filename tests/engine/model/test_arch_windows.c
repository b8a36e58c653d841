/*
 * The families whose layers attend, some of them within a window: keys of config.json,
 * which layers follow from them, and what is refused. Weights are random.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/shape_case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define LAYERS "\"num_hidden_layers\":6,"
#define SIZES                                                                            \
    "\"vocab_size\":11,\"hidden_size\":16,\"num_attention_heads\":2,"                    \
    "\"num_key_value_heads\":1,\"intermediate_size\":6,\"max_position_embeddings\":64"

/* A model of the type, with random weights, and these members beside SIZES. */
static int open_shape(struct model *model, const char *type, const char *more,
                      struct err *err)
{
    char members[1024];
    snprintf(members, sizeof members, "\"model_type\":\"%s\"," LAYERS SIZES, type);
    return shape_case_open(model, members, more, err);
}

static void expect_open(struct model *model, const char *type, const char *more)
{
    struct err err = {0};
    if (open_shape(model, type, more, &err))
        fail_msg("%s: %s: %s", type, more, err.text);
}

enum { FAR = 1 << 20 };

/* Keys that a token far into a text sees, by what reading them costs. */
static double window_of(const struct mixer *mx)
{
    struct engine_batch first = {.n_seqs = 1, .n_rows = 1}, far = first;
    struct engine_cost one = {0}, all = {0};
    far.depth = FAR;
    mx->kind->cost(mx, &first, &one);
    mx->kind->cost(mx, &far, &all);
    return all.kv_bytes / one.kv_bytes;
}

/* F for each layer without a window, W for one of 24, D for one of 4,096. */
static void expect_layers(const char *type, const char *more, const char *letters)
{
    struct model model;
    char found[7] = "";
    expect_open(&model, type, more);
    for (int i = 0; i < 6; i++) {
        const struct mixer *mx = &model.blocks[i].stages[0].branches[0].mixer;
        assert_ptr_equal(mx->kind, &mixer_attn);
        double w = window_of(mx);
        found[i] = w > FAR ? 'F' : w == 24 ? 'W' : w == 4096 ? 'D' : '?';
        assert_int_equal(mx->need.ring != NULL, found[i] == 'W');
    }
    if (strcmp(found, letters) != 0)
        fail_msg("%s: %s: expected %s, found %s", type, more, letters, found);
    model_close(&model);
}

#define LIST                                                                             \
    "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\","      \
    "\"sliding_attention\",\"full_attention\",\"full_attention\"]"
#define USE "\"use_sliding_window\":true,\"sliding_window\":24"

static void windows_follow_the_list_or_the_rule(void **state)
{
    (void)state;
    expect_layers("llama", "", "FFFFFF");
    expect_layers("mistral", "\"sliding_window\":24", "WWWWWW");
    expect_layers("mistral", "\"sliding_window\":null", "FFFFFF");
    expect_layers("mistral", "", "DDDDDD");
    for (int i = 0; i < 2; i++) {
        const char *qwen = i ? "qwen3" : "qwen2";
        expect_layers(qwen, USE ",\"max_window_layers\":2", "FFWWWW");
        expect_layers(qwen, USE ",\"max_window_layers\":0", "WWWWWW");
        expect_layers(qwen, USE, "FFFFFF");
        expect_layers(qwen, "\"use_sliding_window\":true,\"max_window_layers\":4",
                      "FFFFDD");
        expect_layers(qwen, USE "," LIST, "WFFWFF");
        expect_layers(qwen, "\"sliding_window\":24,\"max_window_layers\":2", "FFFFFF");
        expect_layers(qwen, "\"sliding_window\":24," LIST, "FFFFFF");
        expect_layers(qwen,
                      "\"use_sliding_window\":true,\"sliding_window\":null,"
                      "\"max_window_layers\":2",
                      "FFFFFF");
    }
    expect_layers("smollm3", USE, "FFFWFF");
    expect_layers("smollm3", USE ",\"no_rope_layer_interval\":2", "FWFWFW");
    expect_layers("smollm3", USE ",\"no_rope_layers\":[0,1,1,1,1,0]", "WFFFFW");
    expect_layers("smollm3", USE "," LIST, "WFFWFF");
    expect_layers("smollm3", "\"sliding_window\":24", "FFFFFF");
    expect_layers("smollm3", "\"use_sliding_window\":true", "FFFFFF");
    expect_layers("gemma3_text", "\"sliding_window\":24", "WWWWWF");
    expect_layers("gemma3_text", "\"sliding_window\":24,\"sliding_window_pattern\":2",
                  "WFWFWF");
    expect_layers("gemma3_text", "\"sliding_window\":24," LIST, "WFFWFF");
    expect_layers("gemma3_text", "", "DDDDDF");
}

static void absent_keys_are_the_familys(void **state)
{
    static const struct {
        const char *type;
        int head_dim;
        double theta;
        bool tied;
    } all[] = {
        {"llama", 8, 1e4, false},  {"mistral", 8, 1e4, false},
        {"qwen2", 8, 1e4, false},  {"qwen3", 128, 1e4, false},
        {"smollm3", 8, 2e6, true}, {"gemma3_text", 256, 1e6, true},
    };
    struct model model;
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        expect_open(&model, all[i].type, "");
        assert_int_equal(model.hp.head_dim, all[i].head_dim);
        assert_true(model.hp.rope.theta == all[i].theta);
        assert_int_equal(model.tied, all[i].tied);
        assert_true(model.hp.rms_eps == 1e-6);
        model_close(&model);
    }
    expect_open(&model, "gemma3_text",
                "\"rope_local_base_freq\":300,\"rope_scaling\":{\"rope_type\":\"linear\","
                "\"factor\":8}");
    assert_true(model.hp.rope_local.theta == 300 && model.hp.rope.factor == 8);
    assert_true(model.hp.rope_local.kind == ROPE_DEFAULT && model.embed.scale == 4);
    model_close(&model);
}

static void keys_are_checked(void **state)
{
    static const struct {
        const char *type, *more, *says[3];
    } bad[] = {
        {"llama", "\"sliding_window\":24", {"sliding_window", "null", "24"}},
        {"mistral", "\"sliding_window\":0", {"sliding_window", "from 1", "0"}},
        {"mistral", "\"sliding_window\":\"all\"", {"sliding_window", "all", NULL}},
        {"mistral", LIST, {"config.json (mistral)", "layer_types", "not a key"}},
        {"mistral", "\"attention_bias\":true", {"attention_bias", "not a key", NULL}},
        {"qwen2", "\"attention_bias\":false", {"attention_bias", "not a key", NULL}},
        {"qwen2", "\"use_sliding_window\":1", {"use_sliding_window", "true", "1"}},
        {"qwen3",
         "\"layer_types\":[\"full_attention\"]",
         {"layer_types", "6 layers", "found 1"}},
        {"qwen3",
         "\"layer_types\":[\"conv\",\"conv\",\"conv\",\"conv\",\"conv\",\"conv\"]",
         {"layer_types: layer 0", "sliding_attention", "conv"}},
        {"qwen3", "\"max_window_layers\":-1", {"max_window_layers", "from 0", "-1"}},
        {"qwen3", "\"num_experts\":8", {"num_experts", "not a key", NULL}},
        {"smollm3", "\"no_rope_layers\":[1,1]", {"no_rope_layers", "6 layers", "2"}},
        {"smollm3",
         "\"no_rope_layers\":[1,1,1,2,1,1]",
         {"no_rope_layers", "0 or 1", "2"}},
        {"smollm3",
         "\"no_rope_layer_interval\":0",
         {"no_rope_layer_interval", "0", NULL}},
        {"gemma3_text",
         "\"final_logit_softcapping\":30",
         {"final_logit_softcapping", "null", "30"}},
        {"gemma3_text",
         "\"use_bidirectional_attention\":true",
         {"use_bidirectional_attention", "false", "true"}},
        {"gemma3_text",
         "\"query_pre_attn_scalar\":0",
         {"query_pre_attn_scalar", "found 0", NULL}},
        {"gemma3_text",
         "\"sliding_window_pattern\":0",
         {"sliding_window_pattern", "from 1", "0"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct model model;
        struct err err = {0};
        assert_int_equal(open_shape(&model, bad[i].type, bad[i].more, &err), -ERR_FORMAT);
        for (int k = 0; k < 3 && bad[i].says[k]; k++)
            if (!strstr(err.text, bad[i].says[k]))
                fail_msg("%s: %s: \"%s\" does not say \"%s\"", bad[i].type, bad[i].more,
                         err.text, bad[i].says[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(windows_follow_the_list_or_the_rule,
                                        made_folder_make, made_folder_unmake),
        cmocka_unit_test_setup_teardown(absent_keys_are_the_familys, made_folder_make,
                                        made_folder_unmake),
        cmocka_unit_test_setup_teardown(keys_are_checked, made_folder_make,
                                        made_folder_unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
