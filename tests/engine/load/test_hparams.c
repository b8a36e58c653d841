/*
 * config.json: every key's type and range, unknown keys,
 * values that a format implies, every RoPE variant, and what wins where two files speak.
 * Errors name the file, the key, what was expected and what was found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/hparams.h"
#include "tests/lib/made_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char least[] =
    "\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,"
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"intermediate_size\":96,\"max_position_embeddings\":256";

/* The least config with more members behind it. */
static void write_config(const char *more)
{
    char text[8192];
    snprintf(text, sizeof text, "{%s%s%s}", least, *more ? "," : "", more);
    maker_text(&made_folder, "config.json", text);
}

/* The least config with the value of one key replaced; NULL: left out. */
static void write_with(const char *key, const char *value)
{
    char text[4096], quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(least, quoted);
    assert_non_null(at);
    const char *end = strchr(at, ',') ? strchr(at, ',') : at + strlen(at);
    int head = (int)(at - least);
    if (value)
        snprintf(text, sizeof text, "{%.*s%s%s%s}", head, least, quoted, value, end);
    else if (*end)
        snprintf(text, sizeof text, "{%.*s%s}", head, least, end + 1);
    else
        snprintf(text, sizeof text, "{%.*s}", head - 1, least);
    maker_text(&made_folder, "config.json", text);
}

struct mine {
    int count, word;
    double number;
    bool flag;
    const struct json *list;
};

static const char *const words[] = {"red", "green", NULL};
static const struct hparam_key my_keys[] = {
    {"my_count", HP_INT, offsetof(struct mine, count), 1, 10, NULL, false},
    {"my_number", HP_REAL, offsetof(struct mine, number), -1, 1, NULL, false},
    {"my_flag", HP_BOOL, offsetof(struct mine, flag), 0, 0, NULL, false},
    {"my_word", HP_WORD, offsetof(struct mine, word), 0, 0, words, false},
    {"my_list", HP_INTS, offsetof(struct mine, list), 0, 0, NULL, false},
};

static const struct hparam_family *all(const char *model_type, struct err *err)
{
    static const struct hparam_family plain = {0};
    (void)model_type, (void)err;
    return &plain;
}

static int read_all(struct hparams *h, struct mine *mine, struct err *err)
{
    int rc = hparams_open(h, made_folder.dir, all, err);
    if (rc)
        return rc;
    *mine = (struct mine){0};
    rc = hparams_arch(h, my_keys, sizeof my_keys / sizeof *my_keys, mine, err);
    if (rc)
        hparams_close(h);
    return rc;
}

static void expect_texts(const struct err *err, const char *const texts[])
{
    assert_int_equal(err->code, ERR_FORMAT);
    made_folder_expect_says(err, texts);
}

static void expect_fault(const char *const texts[])
{
    struct hparams h;
    struct mine mine;
    struct err err = {0};
    if (read_all(&h, &mine, &err) == 0) {
        hparams_close(&h);
        fail_msg("opened, expected \"%s\"", texts[0]);
    }
    expect_texts(&err, texts);
}

static struct hparams expect_open(struct mine *mine)
{
    struct hparams h;
    struct err err = {0};
    if (read_all(&h, mine, &err))
        fail_msg("%s", err.text);
    return h;
}

/* ---- common keys ------------------------------------------------------------ */

static void the_least_config_has_the_formats_defaults(void **state)
{
    struct mine mine;
    (void)state;
    write_config("");
    struct hparams h = expect_open(&mine);
    assert_string_equal(h.arch, "llama");
    assert_int_equal(h.n_kv_heads, 4);
    assert_int_equal(h.head_dim, 0);
    assert_true(h.rms_eps == 1e-6);
    assert_true(h.rope.theta == 10000);
    assert_int_equal(h.rope.kind, ROPE_DEFAULT);
    assert_false(h.tied);
    assert_int_equal(h.ids.bos, -1);
    assert_int_equal(h.ids.n_eos, 0);
    hparams_close(&h);
}

static void every_common_key_has_a_type_and_a_range(void **state)
{
    static const struct {
        const char *key, *bad[8];
    } keys[] = {
        {"vocab_size", {"0", "-5", "1.5", "\"100\"", "true", "[100]", "16777217", NULL}},
        {"hidden_size", {"0", "-64", "64.0", "\"64\"", "{}", "1048577", NULL}},
        {"num_hidden_layers", {"0", "4097", "2.5", "false", NULL}},
        {"num_attention_heads", {"0", "-1", "65537", "\"4\"", NULL}},
        {"intermediate_size", {"0", "4194305", "96.5", "[]", NULL}},
        {"max_position_embeddings", {"0", "268435457", "-1", "\"x\"", NULL}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int k = 0; keys[i].bad[k]; k++) {
            write_with(keys[i].key, keys[i].bad[k]);
            expect_fault(SAYS("config.json", keys[i].key, "expected an integer from 1 to",
                              "found"));
        }
    write_with("vocab_size", "0");
    expect_fault(SAYS(made_folder.dir, "vocab_size", "found 0"));
    write_with("vocab_size", "\"many\"");
    expect_fault(SAYS("vocab_size", "found \"many\""));
}

static void optional_common_keys_are_checked_too(void **state)
{
    static const struct {
        const char *more, *key, *found;
    } bad[] = {
        {"\"num_key_value_heads\":0", "num_key_value_heads", "found 0"},
        {"\"num_key_value_heads\":3", "num_key_value_heads", "found 3"},
        {"\"num_key_value_heads\":8", "num_key_value_heads", "divisor"},
        {"\"head_dim\":0", "head_dim", "found 0"},
        {"\"head_dim\":\"16\"", "head_dim", "found \"16\""},
        {"\"rms_norm_eps\":\"1e-5\"", "rms_norm_eps", "a number from 0 to 1"},
        {"\"rms_norm_eps\":-1e-5", "rms_norm_eps", "found -1"},
        {"\"rms_norm_eps\":2", "rms_norm_eps", "found 2"},
        {"\"rope_theta\":0.5", "rope_theta", "found 0.5"},
        {"\"rope_theta\":1e16", "rope_theta", "found 1"},
        {"\"rope_theta\":true", "rope_theta", "found true"},
        {"\"tie_word_embeddings\":1", "tie_word_embeddings", "found 1"},
        {"\"tie_word_embeddings\":\"yes\"", "tie_word_embeddings", "true or false"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_config(bad[i].more);
        expect_fault(SAYS("config.json", bad[i].key, bad[i].found));
    }
}

static void what_is_required_must_be_there(void **state)
{
    static const char *const keys[] = {"vocab_size", "hidden_size", "num_hidden_layers",
                                       "num_attention_heads", "max_position_embeddings"};
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        write_with(keys[i], NULL);
        expect_fault(SAYS("config.json", keys[i], "expected a value", "found nothing"));
        write_with(keys[i], "null");
        expect_fault(SAYS("config.json", keys[i], "expected a value", "found null"));
    }
    write_with("model_type", NULL);
    expect_fault(SAYS("config.json", "model_type", "expected a string", "nothing"));
    write_with("model_type", "7");
    expect_fault(SAYS("config.json", "model_type", "found 7"));
}

static void what_is_no_object_is_no_config(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "7",
                                      "{\"model_type\":\"llama\"} x",
                                      "{\"a\":1,\"a\":1}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\xff}"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        maker_text(&made_folder, "config.json", bad[i]);
        expect_fault(SAYS("config.json"));
    }
    write_config("\"vocab_size\":100");
    expect_fault(SAYS("config.json", "duplicate"));
    struct hparams h;
    struct err err = {0};
    assert_int_equal(hparams_open(&h, "/nonexistent", all, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/config.json"));
}

static const struct hparam_family *none(const char *model_type, struct err *err)
{
    err_set(err, ERR_FORMAT, "model_type: expected none, found \"%s\"", model_type);
    return NULL;
}

/* Nothing else is known of a model of another kind: not even its size may be asked. */
static void the_type_is_asked_before_any_other_key(void **state)
{
    struct hparams h;
    struct err err = {0};
    (void)state;
    maker_text(&made_folder, "config.json", "{\"model_type\":\"falcon_h1\"}");
    assert_int_equal(hparams_open(&h, made_folder.dir, none, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS("config.json", "model_type", "falcon_h1"));
    assert_null(strstr(err.text, "vocab_size"));
    write_with("vocab_size", "0");
    assert_int_equal(hparams_open(&h, made_folder.dir, none, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS("config.json", "model_type", "\"llama\""));
}

/* ---- known keys and others -------------------------------------------------- */

static void a_key_that_nobody_knows_is_refused(void **state)
{
    static const char *const unknown[] = {"attn_layer_period", "window",  "Hidden_size",
                                          "hidden_sizes",      "outputs", "quantizations",
                                          "output_multiplier"};
    char more[128];
    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        snprintf(more, sizeof more, "\"%s\":1", unknown[i]);
        write_config(more);
        expect_fault(SAYS("config.json (llama)", unknown[i], "not a key"));
    }
}

static void keys_without_effect_are_read_over(void **state)
{
    struct mine mine;
    (void)state;
    write_config(
        "\"auto_map\":{\"x\":\"y\"},\"_name_or_path\":\"a/b\",\"id2label\":{},"
        "\"label2id\":{},\"output_hidden_states\":true,\"output_attentions\":false,"
        "\"return_dict\":true,\"architectures\":[\"X\"],\"dtype\":\"float32\","
        "\"torch_dtype\":\"bfloat16\",\"transformers_version\":\"5\","
        "\"initializer_range\":0.02,\"use_cache\":true,\"attention_dropout\":0.1,"
        "\"hidden_dropout\":0,\"ssd_chunk_size\":256,\"pad_token_id\":null");
    struct hparams h = expect_open(&mine);
    hparams_close(&h);
}

static void implied_values_are_accepted_and_others_refused(void **state)
{
    static const struct {
        const char *key, *good, *bad[4], *expected;
    } keys[] = {
        {"hidden_act", "\"silu\"", {"\"gelu\"", "null", "1"}, "expected \"silu\""},
        {"sliding_window", "null", {"4096", "0", "false"}, "expected null"},
        {"dynamic_mask_ratio", "0", {"0.5", "null", "\"0\""}, "expected 0"},
        {"pretraining_tp", "1", {"2", "0", "true"}, "expected 1"},
        {"partial_rotary_factor", "1.0", {"0.5", "2", "null"}, "expected 1"},
    };
    char more[128];
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct mine mine;
        snprintf(more, sizeof more, "\"%s\":%s", keys[i].key, keys[i].good);
        write_config(more);
        struct hparams h = expect_open(&mine);
        hparams_close(&h);
        for (int k = 0; k < 3; k++) {
            snprintf(more, sizeof more, "\"%s\":%s", keys[i].key, keys[i].bad[k]);
            write_config(more);
            expect_fault(SAYS("config.json", keys[i].key, keys[i].expected, "found"));
        }
    }
}

static void an_architectures_keys_are_read_by_their_table(void **state)
{
    static const struct {
        const char *more, *says[3];
    } bad[] = {
        {"\"my_count\":0", {"my_count", "an integer from 1 to 10", "found 0"}},
        {"\"my_count\":11", {"my_count", "an integer from 1 to 10", "found 11"}},
        {"\"my_count\":2.0", {"my_count", "an integer", "found 2"}},
        {"\"my_number\":1.5", {"my_number", "a number from -1 to 1", "found 1.5"}},
        {"\"my_number\":\"1\"", {"my_number", "a number", "found \"1\""}},
        {"\"my_flag\":0", {"my_flag", "true or false", "found 0"}},
        {"\"my_flag\":\"true\"", {"my_flag", "true or false", "found \"true\""}},
        {"\"my_word\":\"blue\"",
         {"my_word", "one of \"red\" \"green\"", "found \"blue\""}},
        {"\"my_word\":1", {"my_word", "one of", "found 1"}},
        {"\"my_list\":3", {"my_list", "an array of integers", "found 3"}},
        {"\"my_list\":[1,2.5]", {"my_list", "an array of integers", "found 2.5"}},
    };
    struct mine mine;
    (void)state;
    write_config("\"my_count\":3,\"my_number\":1,\"my_flag\":true,\"my_word\":\"green\","
                 "\"my_list\":[4,5]");
    struct hparams h = expect_open(&mine);
    assert_int_equal(mine.count, 3);
    assert_true(mine.number == 1);
    assert_true(mine.flag);
    assert_int_equal(mine.word, 1);
    assert_int_equal(json_as_int(json_at(mine.list, 1)), 5);
    hparams_close(&h);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_config(bad[i].more);
        expect_fault(
            SAYS("config.json (llama)", bad[i].says[0], bad[i].says[1], bad[i].says[2]));
    }
}

/* ---- rope ------------------------------------------------------------------- */

static struct hparams open_rope(const char *key, const char *object)
{
    char more[2048];
    struct mine mine;
    snprintf(more, sizeof more, "\"rope_theta\":5000,\"%s\":%s", key, object);
    write_config(more);
    return expect_open(&mine);
}

static void expect_rope_fault(const char *key, const char *object,
                              const char *const texts[])
{
    char more[2048];
    snprintf(more, sizeof more, "\"%s\":%s", key, object);
    write_config(more);
    expect_fault(texts);
}

static void every_rope_variant_is_read(void **state)
{
    static const struct {
        enum rope_kind kind;
        const char *object;
    } good[] = {
        {ROPE_DEFAULT, "{\"rope_type\":\"default\"}"},
        {ROPE_DEFAULT, "{}"},
        {ROPE_LINEAR, "{\"type\":\"linear\",\"factor\":2}"},
        {ROPE_LINEAR, "{\"rope_type\":\"linear\",\"type\":\"yarn\",\"factor\":2}"},
        {ROPE_DYNAMIC, "{\"rope_type\":\"dynamic\",\"factor\":2.0}"},
        {ROPE_LLAMA3, "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
                      "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}"},
        {ROPE_YARN,
         "{\"rope_type\":\"yarn\",\"factor\":4,\"beta_fast\":16,\"beta_slow\":2,"
         "\"attention_factor\":1.25}"},
        {ROPE_LONG,
         "{\"rope_type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[2,2],"
         "\"attention_factor\":null}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (int newer = 0; newer < 2; newer++) {
            struct hparams h =
                open_rope(newer ? "rope_parameters" : "rope_scaling", good[i].object);
            assert_int_equal(h.rope.kind, good[i].kind);
            assert_true(h.rope.theta == 5000);
            hparams_close(&h);
        }
    struct hparams h = open_rope("rope_scaling", good[6].object);
    assert_true(h.rope.factor == 4 && h.rope.beta_fast == 16 && h.rope.beta_slow == 2);
    assert_true(h.rope.attention_factor == 1.25 && h.rope.original == 0);
    hparams_close(&h);
    h = open_rope("rope_scaling", "null");
    assert_int_equal(h.rope.kind, ROPE_DEFAULT);
    hparams_close(&h);
}

static void the_newer_name_wins(void **state)
{
    (void)state;
    struct hparams h = open_rope(
        "rope_parameters", "{\"rope_type\":\"linear\",\"factor\":3,\"rope_theta\":77}");
    assert_true(h.rope.theta == 77 && h.rope.factor == 3);
    hparams_close(&h);
}

/* Which of two scalings is meant cannot be known. */
static void both_names_at_once_are_refused(void **state)
{
    struct mine mine;
    (void)state;
    write_config("\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":3},"
                 "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}");
    expect_fault(SAYS("rope_scaling", "beside rope_parameters", "an object"));
    write_config("\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":3},"
                 "\"rope_scaling\":null");
    struct hparams h = expect_open(&mine);
    assert_true(h.rope.factor == 3);
    hparams_close(&h);
}

static void a_rope_object_that_is_not_honoured_is_refused(void **state)
{
    static const struct {
        const char *object, *says[3];
    } bad[] = {
        {"7", {"expected an object", "found 7"}},
        {"[]", {"expected an object", "an array"}},
        {"{\"rope_type\":\"ntk\"}", {"rope_type", "one of", "found \"ntk\""}},
        {"{\"type\":3}", {"rope_type", "one of", "found 3"}},
        {"{\"type\":\"linear\"}", {"factor", "expected a number", "\"linear\""}},
        {"{\"type\":\"dynamic\"}", {"factor", "expected a number", "\"dynamic\""}},
        {"{\"type\":\"yarn\"}", {"factor", "expected a number", "\"yarn\""}},
        {"{\"type\":\"llama3\",\"factor\":8}",
         {"low_freq_factor", "\"llama3\"", "expected"}},
        {"{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1}",
         {"high_freq_factor", "\"llama3\"", "expected"}},
        {"{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}",
         {"high_freq_factor", "more than", "found 4"}},
        {"{\"type\":\"longrope\",\"short_factor\":[1]}",
         {"longrope", "long_factor", "needs"}},
        {"{\"type\":\"longrope\",\"short_factor\":3,\"long_factor\":[1]}",
         {"short_factor", "an array of numbers", "found 3"}},
        {"{\"type\":\"linear\",\"factor\":0}",
         {"factor", "a positive number", "found 0"}},
        {"{\"type\":\"linear\",\"factor\":-2}",
         {"factor", "a positive number", "found -2"}},
        {"{\"type\":\"linear\",\"factor\":\"2\"}",
         {"factor", "a positive number", "\"2\""}},
        {"{\"type\":\"linear\",\"factor\":2,\"beta_fast\":3}",
         {"beta_fast", "not known", "\"linear\""}},
        {"{\"type\":\"linear\",\"factor\":2,\"low_freq_factor\":3}",
         {"low_freq_factor", "not known", "\"linear\""}},
        {"{\"type\":\"llama3\",\"short_factor\":[1]}",
         {"short_factor", "not known", "\"llama3\""}},
        {"{\"type\":\"yarn\",\"factor\":2,\"mscale\":1}",
         {"mscale", "not known", "\"yarn\""}},
        {"{\"type\":\"yarn\",\"factor\":2,\"attention_factor\":0}",
         {"attention_factor", "a positive number", "found 0"}},
        {"{\"type\":\"yarn\",\"factor\":2,\"original_max_position_embeddings\":0}",
         {"original_max_position_embeddings", "a positive number", "found 0"}},
        {"{\"factor\":2}", {"factor", "not known", "\"default\""}},
        {"{\"rope_theta\":0.1}", {"rope_theta", "a positive number", "found 0.1"}},
        {"{\"partial_rotary_factor\":0.5}",
         {"partial_rotary_factor", "expected 1", "0.5"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_rope_fault("rope_scaling", bad[i].object,
                          SAYS("config.json", bad[i].says[0], bad[i].says[1],
                               i < 2 ? "rope_scaling" : bad[i].says[2]));
        expect_rope_fault(
            "rope_parameters", bad[i].object,
            SAYS("config.json: rope_parameters", bad[i].says[0], bad[i].says[1]));
    }
}

/* ---- token ids -------------------------------------------------------------- */

static void token_ids_lie_inside_the_vocabulary(void **state)
{
    static const char *const bad[] = {"100", "-1", "1.0", "\"2\"", "true", "{}"};
    char more[128];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(more, sizeof more, "\"bos_token_id\":%s", bad[i]);
        write_config(more);
        expect_fault(SAYS("config.json", "bos_token_id", "an id inside the vocabulary"));
        snprintf(more, sizeof more, "\"eos_token_id\":[3,%s]", bad[i]);
        write_config(more);
        expect_fault(SAYS("config.json", "eos_token_id", "an id inside the vocabulary"));
    }
    write_config("\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]");
    expect_fault(SAYS("config.json", "eos_token_id", "at most 16", "found 17"));
}

/* A path that would fill the text alone must not push the reason out. */
static void a_long_path_leaves_room_for_the_reason(void **state)
{
    struct hparams h;
    struct err err = {0};
    char dir[1024];
    (void)state;
    int n = snprintf(dir, sizeof dir, "%s", made_folder.dir);
    for (int i = 0; i < 300; i++)
        n += snprintf(dir + n, sizeof dir - (size_t)n, "/.");
    write_with("vocab_size", "0");
    assert_int_equal(hparams_open(&h, dir, all, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS("vocab_size", "found 0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_config_has_the_formats_defaults),
        cmocka_unit_test(every_common_key_has_a_type_and_a_range),
        cmocka_unit_test(optional_common_keys_are_checked_too),
        cmocka_unit_test(the_type_is_asked_before_any_other_key),
        cmocka_unit_test(what_is_required_must_be_there),
        cmocka_unit_test(what_is_no_object_is_no_config),
        cmocka_unit_test(a_key_that_nobody_knows_is_refused),
        cmocka_unit_test(keys_without_effect_are_read_over),
        cmocka_unit_test(implied_values_are_accepted_and_others_refused),
        cmocka_unit_test(an_architectures_keys_are_read_by_their_table),
        cmocka_unit_test(every_rope_variant_is_read),
        cmocka_unit_test(the_newer_name_wins),
        cmocka_unit_test(both_names_at_once_are_refused),
        cmocka_unit_test(a_rope_object_that_is_not_honoured_is_refused),
        cmocka_unit_test(token_ids_lie_inside_the_vocabulary),
        cmocka_unit_test(a_long_path_leaves_room_for_the_reason),
    };
    return cmocka_run_group_tests(tests, made_folder_make, made_folder_unmake);
}
