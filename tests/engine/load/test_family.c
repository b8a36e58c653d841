/*
 * What a family of architectures may spell its own way: other names of keys, text_config,
 * keys without effect and with one value, lists of layers, RoPE by type of layer, partial
 * RoPE, Python's bare floats. Every fault names its key, expected and found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/layer_list.h"
#include "tests/lib/made_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct hparam_family family;

static int make(void **state)
{
    (void)state;
    family = (struct hparam_family){.of_transformers = true};
    maker_open(&made_folder);
    return 0;
}

static const struct hparam_family *find(const char *model_type, struct err *err)
{
    (void)model_type, (void)err;
    return &family;
}

struct mine {
    double limit[2], five[5];
    int width;
    const struct json *any;
};

static const struct hparam_key keys[] = {
    {"time_step_limit", HP_REALS_2, offsetof(struct mine, limit), 0, INFINITY, NULL,
     false},
    {"five", HP_REALS_5, offsetof(struct mine, five), -9, 9, NULL, false},
    {"width", HP_AUTO, offsetof(struct mine, width), 1, 99, NULL, false},
    {"any", HP_JSON, offsetof(struct mine, any), 0, 0, NULL, false},
};

#define LEAST                                                                            \
    "\"vocab_size\":100,\"hidden_size\":64,\"num_hidden_layers\":4,"                     \
    "\"num_attention_heads\":4,\"max_position_embeddings\":256"

static int try_open(struct hparams *h, struct mine *mine, const char *text,
                    struct err *err)
{
    *mine = (struct mine){.width = 7};
    maker_text(&made_folder, "config.json", text);
    int rc = hparams_open(h, made_folder.dir, find, err);
    if (rc)
        return rc;
    rc = hparams_arch(h, keys, sizeof keys / sizeof *keys, mine, err);
    if (rc)
        hparams_close(h);
    return rc;
}

static struct hparams expect_text(struct mine *mine, const char *text)
{
    struct hparams h;
    struct err err = {0};
    if (try_open(&h, mine, text, &err))
        fail_msg("%s: %s", text, err.text);
    return h;
}

/* The least configuration with more members. */
static struct hparams expect_open(struct mine *mine, const char *more)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"model_type\":\"x\"," LEAST "%s%s}", *more ? "," : "",
             more);
    return expect_text(mine, text);
}

static void expect_fault(const char *more, const char *key, const char *expected,
                         const char *found)
{
    char text[2048];
    struct hparams h;
    struct mine mine;
    struct err err = {0};
    snprintf(text, sizeof text, "{\"model_type\":\"x\"," LEAST ",%s}", more);
    if (try_open(&h, &mine, text, &err) == 0) {
        hparams_close(&h);
        fail_msg("%s: opened", more);
    }
    const char *says[] = {"config.json", key, expected, found};
    for (int i = 0; i < 4; i++)
        if (!strstr(err.text, says[i]))
            fail_msg("%s: \"%s\" does not say \"%s\"", more, err.text, says[i]);
}

static void defaults_are_the_familys(void **state)
{
    struct mine mine;
    (void)state;
    family.eps_key = "norm_eps";
    family.n_kv_heads = 2;
    family.eps = 1e-5;
    family.theta = 1e6;
    family.head_dim = 128;
    family.tied = HEAD_TIED;
    struct hparams h = expect_open(&mine, "\"rms_norm_eps\":0.5");
    assert_true(h.rms_eps == 1e-5 && h.rope.theta == 1e6 && h.rope.partial == 1);
    assert_int_equal(h.head_dim, 128);
    assert_int_equal(h.n_kv_heads, 2);
    assert_true(h.tied);
    hparams_close(&h);
    h = expect_open(&mine, "\"norm_eps\":0.25,\"rope_theta\":5,\"head_dim\":16,"
                           "\"tie_word_embeddings\":false,"
                           "\"num_key_value_heads\":null");
    assert_int_equal(h.n_kv_heads, 4);
    assert_true(h.rms_eps == 0.25 && h.rope.theta == 5 && !h.tied);
    assert_int_equal(h.head_dim, 16);
    hparams_close(&h);
    family.n_kv_heads = 8;
    expect_fault("\"rope_theta\":5", "num_key_value_heads", "a divisor of",
                 "found nothing, which is 8");
    family.n_kv_heads = 0;
    family.tied = HEAD_NEVER_TIED;
    h = expect_open(&mine, "\"tie_word_embeddings\":true");
    assert_false(h.tied);
    hparams_close(&h);
    family.tied = HEAD_ALWAYS_TIED;
    h = expect_open(&mine, "");
    assert_true(h.tied);
    hparams_close(&h);
    expect_fault("\"tie_word_embeddings\":false", "tie_word_embeddings", "expected true",
                 "found false");
}

static void what_a_family_lacks_need_not_be_there(void **state)
{
    static const char bare[] =
        "{\"model_type\":\"x\",\"vocab_size\":9,\"hidden_size\":6,\"layers\":\"MM*\"}";
    static const char *const lists[] = {"absent", "layers", NULL};
    struct mine mine;
    struct hparams h;
    struct err err = {0};
    (void)state;
    family.max_position = 512;
    family.no_attention = true;
    family.lists = lists;
    assert_int_equal(try_open(&h, &mine, bare, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "num_hidden_layers: expected a value"));
    family.depth_by_list = true;
    h = expect_text(&mine, bare);
    assert_int_equal(h.n_layers, 3);
    assert_int_equal(h.max_position, 512);
    assert_int_equal(h.n_heads, 0);
    hparams_close(&h);
}

static void other_spellings_are_the_same_key(void **state)
{
    static const struct hparam_alias aliases[] = {
        {"d_model", "hidden_size", false},
        {"block_ff_dim", "intermediate_size", true},
        {NULL, NULL, false}};
    struct mine mine;
    (void)state;
    family.aliases = aliases;
    struct hparams h = expect_open(&mine, "\"d_model\":64,\"block_ff_dim\":30,"
                                          "\"intermediate_size\":20");
    assert_int_equal(h.hidden_size, 64);
    assert_int_equal(h.ffn_size, 30);
    hparams_close(&h);
    h = expect_text(&mine, "{\"model_type\":\"x\",\"vocab_size\":9,\"d_model\":8,"
                           "\"num_hidden_layers\":1,\"num_attention_heads\":2,"
                           "\"max_position_embeddings\":4,\"hidden_size\":null}");
    assert_int_equal(h.hidden_size, 8);
    hparams_close(&h);
    expect_fault("\"d_model\":32", "d_model", "the value of hidden_size", "found 32");
}

static void text_config_wins_over_the_top_level(void **state)
{
    static const char nested[] =
        "{\"model_type\":\"x\",\"tie_word_embeddings\":true,\"eos_token_id\":5,"
        "\"hidden_size\":8,\"vision_config\":{\"depth\":2},\"image_token_id\":7,"
        "\"text_config\":{\"model_type\":\"y\"," LEAST ",\"bos_token_id\":3}}";
    struct mine mine;
    struct hparams h;
    struct err err = {0};
    (void)state;
    assert_int_equal(try_open(&h, &mine, nested, &err), -ERR_FORMAT);
    family.nested = true;
    h = expect_text(&mine, nested);
    assert_int_equal(h.hidden_size, 64);
    assert_int_equal(h.ids.bos, 3);
    assert_int_equal(h.ids.eos[0], 5);
    assert_true(h.tied);
    hparams_close(&h);
    assert_int_equal(
        try_open(&h, &mine,
                 "{\"model_type\":\"x\",\"text_config\":{" LEAST ",\"window\":3}}", &err),
        -ERR_FORMAT);
    assert_non_null(strstr(err.text, "window: not a key"));
    expect_fault("\"text_config\":[]", "text_config", "an object", "an array");
    expect_fault("\"head_dim\":8,\"text_config\":{" LEAST "}", "head_dim",
                 "expected in text_config", "found at the top level");
    expect_fault("\"rms_norm_eps\":0.5,\"text_config\":{" LEAST "}", "rms_norm_eps",
                 "expected in text_config", "found at the top level");
}

static void keys_have_no_effect_or_one_value(void **state)
{
    static const char *const no_effect[] = {"moe_*", "sliding_window", NULL};
    static const struct hparam_only only[] = {{"num_heads", "=num_attention_heads"},
                                              {"hidden_act", "gelu 2 [] null"},
                                              {NULL, NULL}};
    struct mine mine;
    (void)state;
    family.no_effect = no_effect;
    family.only = only;
    struct hparams h = expect_open(&mine, "\"moe_x\":1,\"sliding_window\":4,"
                                          "\"num_heads\":4,\"hidden_act\":\"gelu\","
                                          "\"mtp_layers\":[1],\"time_step_min\":0.1,"
                                          "\"attn_output_gate\":true,\"other_eps\":1");
    hparams_close(&h);
    h = expect_open(&mine, "\"is_llama_config\":true,\"transformers.js_config\":{},"
                           "\"_attn_implementation_autoset\":true,"
                           "\"unsloth_version\":\"1\",\"unsloth_fixed\":true,"
                           "\"rope_interleaved\":false,\"attention_chunk_size\":null");
    hparams_close(&h);
    expect_fault("\"rope_interleaved\":true", "rope_interleaved", "expected false",
                 "found true");
    expect_fault("\"attention_chunk_size\":8", "attention_chunk_size", "expected null",
                 "found 8");
    h = expect_open(&mine, "\"hidden_act\":[]");
    hparams_close(&h);
    h = expect_open(&mine, "\"hidden_act\":null");
    hparams_close(&h);
    expect_fault("\"num_heads\":5", "num_heads", "num_attention_heads", "found 5");
    expect_fault("\"hidden_act\":\"silu\"", "hidden_act", "\"gelu\" or 2 or [] or null",
                 "found \"silu\"");
    expect_fault("\"hidden_act\":\"2\"", "hidden_act", "expected", "found \"2\"");
    expect_fault("\"attn_output_gate\":false", "attn_output_gate", "expected true",
                 "found false");
    expect_fault("\"final_logit_softcapping\":30.0", "final_logit_softcapping",
                 "expected null", "found 30");
    expect_fault("\"something\":1", "something", "not a key", "config.json (x)");
    family.of_transformers = false;
    expect_fault("\"time_step_min\":0.1", "time_step_min", "not a key", "");
}

/* Whatever else is in the file: its sizes are of no use to somebody who has it. */
static void a_quantised_checkpoint_is_refused_as_one(void **state)
{
    struct mine mine;
    (void)state;
    struct hparams h = expect_open(&mine, "\"quantization_config\":null");
    hparams_close(&h);
    expect_fault("\"quantization_config\":{\"bits\":4,\"quant_method\":\"gptq\"},"
                 "\"head_dim\":0",
                 "quantization_config", "a quantised checkpoint", "found \"gptq\"");
    expect_fault("\"quantization_config\":8", "quantization_config", "expected none",
                 "found 8");
    expect_fault("\"compression_config\":{}", "compression_config", "expected none",
                 "an object");
    family.nested = true;
    expect_fault("\"text_config\":{\"quantization_config\":{\"quant_method\":\"fp8\"}}",
                 "quantization_config", "expected none", "found \"fp8\"");
}

static void lists_of_numbers_and_infinity_are_read(void **state)
{
    struct mine mine;
    (void)state;
    struct hparams h =
        expect_open(&mine, "\"time_step_limit\":[0.5, Infinity],\"five\":[1,2,3,-4,5.5],"
                           "\"width\":\"auto\",\"any\":{\"a\":\"Infinity \\\" NaN\"}");
    assert_true(mine.limit[0] == 0.5 && isinf(mine.limit[1]));
    assert_true(mine.five[3] == -4 && mine.five[4] == 5.5);
    assert_int_equal(mine.width, 0);
    assert_string_equal(json_as_string(json_get(mine.any, "a"), NULL), "Infinity \" NaN");
    hparams_close(&h);
    h = expect_open(&mine, "\"time_step_limit\":[0,{\"__float__\":\"Infinity\"}]");
    assert_true(isinf(mine.limit[1]));
    hparams_close(&h);
    expect_fault("\"time_step_limit\":[0]", "time_step_limit", "a list of 2 numbers",
                 "found a list of 1");
    expect_fault("\"time_step_limit\":3", "time_step_limit", "a list of 2", "found 3");
    expect_fault("\"time_step_limit\":[0,-Infinity]", "time_step_limit[1]", "from 0", "");
    expect_fault("\"time_step_limit\":[NaN,1]", "time_step_limit[0]", "from 0", "");
    expect_fault("\"five\":[1,2,3,4,Infinity]", "five[4]", "from -9 to 9", "");
    expect_fault("\"five\":[1,2,\"3\",4,5]", "five[2]", "a number", "found \"3\"");
    expect_fault("\"width\":\"wide\"", "width", "an integer", "found \"wide\"");
    expect_fault("\"five\":Infinit", "config.json", "line", "");
}

static void rope_is_partial_where_the_family_is(void **state)
{
    struct mine mine;
    (void)state;
    expect_fault("\"partial_rotary_factor\":0.5", "partial_rotary_factor", "expected 1",
                 "found 0.5");
    family.partial = 0.25;
    struct hparams h = expect_open(&mine, "");
    assert_true(h.rope.partial == 0.25);
    hparams_close(&h);
    h = expect_open(&mine, "\"partial_rotary_factor\":0.5");
    assert_true(h.rope.partial == 0.5);
    hparams_close(&h);
    h = expect_open(&mine, "\"partial_rotary_factor\":0.5,\"rope_parameters\":{"
                           "\"partial_rotary_factor\":0.75,\"rope_theta\":null,"
                           "\"mrope_section\":[1,2],\"rope_type\":\"default\"}");
    assert_true(h.rope.partial == 0.75 && h.rope.theta_null && h.rope.theta == 10000);
    hparams_close(&h);
    expect_fault("\"partial_rotary_factor\":0", "partial_rotary_factor", "above 0",
                 "found 0");
    expect_fault("\"rope_parameters\":{\"partial_rotary_factor\":2}",
                 "rope_parameters.partial_rotary_factor", "at most 1", "found 2");
    family.partial_fixed = true;
    h = expect_open(&mine, "\"partial_rotary_factor\":0.5");
    assert_true(h.rope.partial == 0.25);
    hparams_close(&h);
    h = expect_open(&mine, "\"partial_rotary_factor\":0.5,\"rope_parameters\":{"
                           "\"partial_rotary_factor\":0.75}");
    assert_true(h.rope.partial == 0.75);
    hparams_close(&h);
    family.no_rope = true;
    h = expect_open(&mine, "\"rope_scaling\":7,\"partial_rotary_factor\":3");
    hparams_close(&h);
}

static void rope_differs_by_type_of_layer(void **state)
{
    struct mine mine;
    (void)state;
    family.rope_by_type = true;
    family.theta = 1e6;
    family.theta_local = 1e4;
    struct hparams h = expect_open(&mine, "");
    assert_true(h.rope.theta == 1e6 && h.rope_local.theta == 1e4);
    hparams_close(&h);
    h = expect_open(&mine, "\"rope_theta\":50,\"rope_local_base_freq\":60,"
                           "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8}");
    assert_true(h.rope.theta == 50 && h.rope_local.theta == 60);
    assert_true(h.rope.kind == ROPE_LINEAR && h.rope_local.kind == ROPE_DEFAULT);
    hparams_close(&h);
    h = expect_open(&mine,
                    "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\","
                    "\"factor\":4,\"rope_theta\":70},\"sliding_attention\":{"
                    "\"rope_type\":\"default\",\"rope_theta\":80}}");
    assert_true(h.rope.theta == 70 && h.rope_local.theta == 80);
    assert_true(h.rope.factor == 4 && h.rope_local.kind == ROPE_DEFAULT);
    hparams_close(&h);
    expect_fault("\"rope_parameters\":{\"sliding_attention\":{\"rope_type\":\"linear\"}}",
                 "rope_parameters.sliding_attention.factor", "expected a number", "");
    expect_fault("\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":8}",
                 "rope_parameters.rope_type", "expected full_attention", "");
    expect_fault("\"rope_parameters\":{\"full_attention\":{},\"factor\":8}",
                 "rope_parameters.factor", "expected full_attention", "");
    h = expect_open(&mine, "\"rope_parameters\":{}");
    hparams_close(&h);
}

/* ---- lists of layers -------------------------------------------------------- */

enum { NONE, RED, BLUE };

static const struct layer_word words[] = {
    {"red", RED}, {"blue", BLUE}, {"R", RED}, {"B", BLUE}, {NULL, 0}};

typedef int read_fn(const struct hparams *h, uint8_t *kinds, struct err *err);

static int by_words(const struct hparams *h, uint8_t *kinds, struct err *err)
{
    return layer_list_words(h, "any", words, kinds, err);
}

static int by_letters(const struct hparams *h, uint8_t *kinds, struct err *err)
{
    return layer_list_letters(h, "any", words, kinds, err);
}

static int by_indices(const struct hparams *h, uint8_t *kinds, struct err *err)
{
    return layer_list_indices(h, "any", BLUE, kinds, err);
}

static int by_flags(const struct hparams *h, uint8_t *kinds, struct err *err)
{
    return layer_list_flags(h, "any", RED, BLUE, kinds, err);
}

static void layers_are_listed_in_four_ways(void **state)
{
    static const struct {
        read_fn *read;
        const char *list;
        uint8_t kinds[4]; /* all NONE: refused, */
        const char *says; /* with this text */
    } all[] = {
        {by_words, "[\"red\",\"blue\",\"blue\",\"red\"]", {RED, BLUE, BLUE, RED}, NULL},
        {by_words, "null", {NONE}, NULL},
        {by_words, "[\"red\"]", {NONE}, "one entry for each of 4 layers, found 1"},
        {by_words,
         "[\"red\",\"blue\",\"green\",\"red\"]",
         {NONE},
         "layer 2: expected one of \"red\", \"blue\", \"R\", \"B\", found \"green\""},
        {by_words, "[\"red\",1,\"blue\",\"red\"]", {NONE}, "layer 1: expected one of"},
        {by_words, "\"RRRR\"", {NONE}, "a list, found \"RRRR\""},
        {by_letters, "\"RBRB\"", {RED, BLUE, RED, BLUE}, NULL},
        {by_letters, "\"RBR\"", {NONE}, "one letter for each of 4 layers, found 3"},
        {by_letters, "\"RB\\u0000R\"", {NONE}, "layer 2: expected one of"},
        {by_letters, "[]", {NONE}, "a string"},
        {by_indices, "[3,0]", {BLUE, NONE, NONE, BLUE}, NULL},
        {by_indices, "[4]", {NONE}, "layers from 0 to 3, each once, found 4"},
        {by_indices, "[1,1]", {NONE}, "each once, found 1"},
        {by_indices, "[-1]", {NONE}, "found -1"},
        {by_indices, "[\"1\"]", {NONE}, "found \"1\""},
        {by_flags, "[1,0,0,1]", {BLUE, RED, RED, BLUE}, NULL},
        {by_flags, "[1,0,0,2]", {NONE}, "0 or 1 for every layer, found 2"},
        {by_flags, "[1,0,0]", {NONE}, "one entry for each of 4 layers, found 3"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char more[160];
        struct mine mine;
        struct err err = {0};
        uint8_t kinds[4] = {NONE};
        snprintf(more, sizeof more, "\"any\":%s", all[i].list);
        struct hparams h = expect_open(&mine, more);
        int rc = all[i].read(&h, kinds, &err);
        hparams_close(&h);
        assert_int_equal(rc, all[i].says ? -ERR_FORMAT : 0);
        if (all[i].says && !strstr(err.text, all[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", more, err.text, all[i].says);
        if (!all[i].says)
            assert_memory_equal(kinds, all[i].kinds, sizeof kinds);
    }
    uint8_t kinds[7] = {NONE};
    layer_list_every(7, 3, BLUE, kinds);
    assert_memory_equal(kinds, ((uint8_t[]){0, 0, BLUE, 0, 0, BLUE, 0}), 7);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, made_folder_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_the_familys),
        TEST(what_a_family_lacks_need_not_be_there),
        TEST(other_spellings_are_the_same_key),
        TEST(text_config_wins_over_the_top_level),
        TEST(keys_have_no_effect_or_one_value),
        TEST(a_quantised_checkpoint_is_refused_as_one),
        TEST(lists_of_numbers_and_infinity_are_read),
        TEST(rope_is_partial_where_the_family_is),
        TEST(rope_differs_by_type_of_layer),
        TEST(layers_are_listed_in_four_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
