/*
 * Every fault of a weight file is an error that names file, tensor, expected and found.
 * Headers are written by hand here; models with a wrong tensor are opened whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/safetensors.h"
#include "engine/model/model.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file[] = "model.safetensors";
static const char index_file[] = "model.safetensors.index.json";
static const char zeros[4096];

static int make(void **state)
{
    static struct maker m;
    maker_open(&m);
    *state = &m;
    return 0;
}

static int unmake(void **state)
{
    maker_close(*state);
    return 0;
}

static void expect_texts(const struct err *err, const char *const texts[])
{
    for (int i = 0; texts[i]; i++)
        if (!strstr(err->text, texts[i]))
            fail_msg("\"%s\" does not say \"%s\"", err->text, texts[i]);
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_fault(const struct maker *m, const char *const texts[])
{
    struct weights w;
    struct err err = {0};
    if (safetensors_open(&w, m->dir, &err) == 0) {
        weights_close(&w);
        fail_msg("opened, expected \"%s\"", texts[0]);
    }
    assert_true(err.code == ERR_FORMAT || err.code == ERR_IO);
    expect_texts(&err, texts);
    assert_null(w.store); /* nothing is kept */
    assert_null(w.tensors);
}

static void expect_header_fault(const struct maker *m, const char *header,
                                size_t data_bytes, const char *const texts[])
{
    maker_raw(m, file, header, zeros, data_bytes);
    expect_fault(m, texts);
}

static int take(struct weights *w, const char *name, int n_dims, const int64_t *shape,
                struct tensor **out, struct err *err)
{
    const struct tensor_spec s = {.name = name, .n_dims = n_dims, .shape = shape};
    return weights_take(w, &s, out, err);
}

/* ---- one file --------------------------------------------------------------- */

static const char two[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"a\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}";

static void a_whole_file_opens_and_its_tensors_are_taken_once_by_shape(void **state)
{
    const struct maker *m = *state;
    const int64_t right[] = {2, 3}, wrong[] = {3, 2}, four[] = {4};
    struct tensor *t;
    struct weights w;
    struct err err = {0};
    maker_raw(m, file, two, zeros, 32);
    assert_int_equal(safetensors_open(&w, m->dir, &err), 0);
    assert_int_equal(w.n_tensors, 2);
    assert_int_equal(take(&w, "b", 2, wrong, &t, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS(file, "tensor b", "expected shape [3, 2]", "found [2, 3]"));
    assert_int_equal(take(&w, "b", 1, four, &t, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS("expected shape [4]", "found [2, 3]"));
    assert_int_equal(take(&w, "c", 1, four, &t, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS("tensor c", "expected [4]", "found nothing"));
    assert_int_equal(take(&w, "b", 2, right, &t, &err), 0);
    assert_int_equal(t->type, DTYPE_F32);
    assert_true(weights_keep(&w, t));
    assert_int_equal(weights_kept_bytes(&w), 24);
    assert_int_equal(t->bytes, 24);
    assert_int_equal(weights_finish(&w, NULL, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS(file, "tensor a", "surplus"));
    assert_int_equal(take(&w, "a", 1, four, &t, &err), 0);
    assert_int_equal(t->type, DTYPE_BF16);
    assert_int_equal(weights_finish(&w, NULL, &err), 0);
    weights_close(&w);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    const struct maker *m = *state;
    unsigned char all[8 + sizeof two - 1 + 32] = {sizeof two - 1};
    memcpy(all + 8, two, sizeof two - 1);
    for (size_t len = 0; len < sizeof all; len++) {
        maker_file(m, file, all, len);
        expect_fault(m, SAYS(file));
    }
    unsigned char more[sizeof all + 1] = {0};
    memcpy(more, all, sizeof all);
    maker_file(m, file, more, sizeof more);
    expect_fault(m, SAYS(file, "expected 32 bytes", "found 33"));
}

static void a_header_length_beyond_the_file_is_refused(void **state)
{
    static const unsigned char sizes[][8] = {
        {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
        {0, 0, 0, 0, 0, 0, 0, 0x80},
        {0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
        {0xFF, 0xFF, 0xFF, 0x7F, 0, 0, 0, 0},
        {41, 0, 0, 0, 0, 0, 0, 0},
    };
    const struct maker *m = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char all[48] = {0};
        memcpy(all, sizes[i], 8);
        memcpy(all + 8, "{}", 2);
        maker_file(m, file, all, sizeof all);
        expect_fault(m, SAYS(file, "header length", "at most 40"));
    }
    /* more than any header may have, in a file that is (sparsely) that long */
    unsigned char big[8] = {1, 0, 0x40, 6};
    maker_file(m, file, big, 8);
    assert_int_equal(truncate(maker_path(m, file), 110 << 20), 0);
    expect_fault(m, SAYS(file, "header length", "at most 104857600", "104857601"));
}

static void a_header_that_is_no_header_is_refused(void **state)
{
    const struct maker *m = *state;
    expect_header_fault(m, "", 0, SAYS(file, "header", "JSON"));
    expect_header_fault(m, "{\"a\":", 0, SAYS(file, "header", "JSON", "line 1"));
    expect_header_fault(m, "[]", 0,
                        SAYS(file, "header", "expected an object", "an array"));
    expect_header_fault(m, "{}", 4, SAYS(file, "no tensors", "4 bytes"));
    expect_header_fault(m, "{} x", 0, SAYS(file, "header", "JSON"));
    expect_header_fault(m, "{\"a\":1,\"a\":2}", 0, SAYS(file, "header", "duplicate"));
    expect_header_fault(m, "{\"\\ud800\":1}", 0, SAYS(file, "header", "JSON"));
    expect_header_fault(m, "{\"a\\u0000b\":1}", 0, SAYS(file, "header"));
    expect_header_fault(m, "{\"\":{}}", 0, SAYS(file, "tensor name"));
    char *deep = malloc(20001);
    assert_non_null(deep);
    memset(deep, '[', 20000);
    deep[20000] = '\0';
    expect_header_fault(m, deep, 0, SAYS(file, "header"));
    free(deep);
}

/* {"x": {...}} with one field replaced. */
static const char *tensor_with(const char *dtype, const char *shape, const char *offsets)
{
    static char text[512];
    snprintf(text, sizeof text, "{\"x\":{\"dtype\":%s,\"shape\":%s,\"data_offsets\":%s}}",
             dtype, shape, offsets);
    return text;
}

static void a_tensor_that_contradicts_itself_is_refused(void **state)
{
    static const struct {
        const char *dtype, *shape, *offsets, *says;
    } bad[] = {
        {"\"F64X\"", "[2]", "[0,16]", "dtype: expected F32, F16 or BF16, found \"F64X\""},
        {"7", "[2]", "[0,8]", "dtype: expected a string, found an integer"},
        {"\"F32\"", "4", "[0,16]", "shape: expected an array"},
        {"\"F32\"", "[1,1,1,1,1,1,1,1,4]", "[0,16]", "at most 8 sizes"},
        {"\"F32\"", "[-4]", "[0,16]", "a negative one"},
        {"\"F32\"", "[4.0]", "[0,16]", "a real number"},
        {"\"F32\"", "[\"4\"]", "[0,16]", "a string"},
        {"\"F32\"", "[4611686018427387904,4611686018427387904]", "[0,16]", "overflows"},
        {"\"F32\"", "[4611686018427387905]", "[0,4]", "data_offsets: expected"},
        {"\"F32\"", "[4]", "[0,15]", "expected 16 bytes for 4 values of F32, found 15"},
        {"\"F16\"", "[4]", "[0,16]", "expected 8 bytes for 4 values of F16, found 16"},
        {"\"F32\"", "[]", "[0,16]", "expected 4 bytes for 1 values"},
        {"\"F32\"", "[4]", "[0]", "two integers"},
        {"\"F32\"", "[4]", "[0,16,32]", "two integers"},
        {"\"F32\"", "[4]", "[0,16.0]", "two integers"},
        {"\"F32\"", "[4]", "{\"0\":0}", "two integers"},
        {"\"F32\"", "[4]", "[-16,0]", "found [-16, 0]"},
        {"\"F32\"", "[4]", "[16,0]", "found [16, 0]"},
        {"\"F32\"", "[4]", "[4,20]", "end 20 is past the 16 bytes"},
        {"\"F32\"", "[4]", "[0,9223372036854775807]", "past the 16 bytes"},
    };
    const struct maker *m = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_header_fault(m, tensor_with(bad[i].dtype, bad[i].shape, bad[i].offsets),
                            16, SAYS(file, "tensor x", bad[i].says));
    expect_header_fault(m, "{\"x\":[]}", 0, SAYS(file, "tensor x", "expected an object"));
    expect_header_fault(m, "{\"x\":{}}", 0, SAYS(file, "tensor x", "dtype", "nothing"));
    expect_header_fault(m, "{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0,
                        SAYS(file, "duplicate"));
    expect_header_fault(m, tensor_with("\"F32\"", "[99999999999999999999]", "[0,0]"), 0,
                        SAYS(file, "JSON"));
}

#define U(name, n, begin, end)                                                           \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #n "],\"data_offsets\":[" #begin        \
    "," #end "]}"

static void tensors_must_tile_the_data(void **state)
{
    const struct maker *m = *state;
    expect_header_fault(
        m, "{" U("a", 8, 0, 8) "," U("b", 8, 4, 12) "}", 12,
        SAYS(file, "tensor b overlaps tensor a", "begins at 4", "expected 8"));
    expect_header_fault(m, "{" U("a", 8, 0, 8) "," U("b", 8, 0, 8) "}", 8,
                        SAYS(file, "overlaps"));
    expect_header_fault(m, "{" U("a", 8, 0, 8) "," U("b", 2, 4, 6) "}", 8,
                        SAYS(file, "tensor b overlaps tensor a"));
    expect_header_fault(
        m, "{" U("a", 4, 0, 4) "," U("b", 4, 8, 12) "}", 12,
        SAYS(file, "tensor b", "expected to begin at 4", "found 8", "hole"));
    expect_header_fault(m, "{" U("a", 4, 4, 8) "}", 8, SAYS(file, "tensor a", "hole"));
    expect_header_fault(m, "{" U("a", 4, 0, 4) "}", 9,
                        SAYS(file, "expected 4 bytes", "found 9"));
    expect_header_fault(m, "{" U("a", 8, 0, 8) "," U("e", 0, 3, 3) "}", 8,
                        SAYS(file, "tensor e overlaps tensor a"));
}

static void empty_tensors_and_unordered_names_are_whole(void **state)
{
    const struct maker *m = *state;
    struct weights w;
    maker_raw(m, file, "{" U("z", 4, 4, 8) "," U("e", 0, 4, 4) "," U("a", 4, 0, 4) "}",
              zeros, 8);
    assert_int_equal(safetensors_open(&w, m->dir, NULL), 0);
    assert_int_equal(w.n_tensors, 3);
    weights_close(&w);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    const struct maker *m = *state;
    unlink(maker_path(m, file));
    expect_fault(m, SAYS(m->dir, file, index_file, "neither"));
    assert_int_equal(mkdir(maker_path(m, file), 0700), 0);
    expect_fault(m, SAYS(file, "regular file"));
    rmdir(maker_path(m, file));
    struct maker nowhere = {.dir = "/nonexistent/folder"};
    expect_fault(&nowhere, SAYS("/nonexistent/folder", file));
}

static void values_of_other_types_are_refused_where_they_are_used(void **state)
{
    const struct maker *m = *state;
    const int64_t shape[] = {2};
    struct tensor *t;
    struct weights w;
    struct err err = {0};
    maker_raw(m, file, tensor_with("\"F64\"", "[2]", "[0,16]"), zeros, 16);
    assert_int_equal(safetensors_open(&w, m->dir, &err), 0);
    assert_int_equal(take(&w, "x", 1, shape, &t, &err), -ERR_FORMAT);
    expect_texts(&err, SAYS(file, "tensor x", "expected F32, F16 or BF16", "found F64"));
    weights_close(&w);
}

static void rotary_tables_in_the_file_are_read_over(void **state)
{
    const struct maker *m = *state;
    struct weights w;
    struct err err = {0};
    maker_raw(
        m, file,
        "{\"model.layers.0.self_attn.rotary_emb.inv_freq\":{\"dtype\":\"F32\",\"shape\":[2],"
        "\"data_offsets\":[0,8]}}",
        zeros, 8);
    assert_int_equal(safetensors_open(&w, m->dir, &err), 0);
    assert_int_equal(weights_finish(&w, NULL, &err), 0);
    weights_close(&w);
}

/* ---- shards ----------------------------------------------------------------- */

static void write_shards(const struct maker *m, const char *map)
{
    char text[1024];
    unlink(maker_path(m, file));
    maker_raw(m, "s1.safetensors", "{" U("a", 4, 0, 4) "," U("b", 4, 4, 8) "}", zeros, 8);
    maker_raw(m, "s2.safetensors", "{" U("c", 4, 0, 4) "}", zeros, 4);
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":12},\"weight_map\":%s}",
             map);
    maker_text(m, index_file, text);
}

#define AB "\"a\":\"s1.safetensors\",\"b\":\"s1.safetensors\""

static void shards_open_by_their_index(void **state)
{
    const struct maker *m = *state;
    struct weights w;
    struct err err = {0};
    write_shards(m, "{" AB ",\"c\":\"s2.safetensors\"}");
    assert_int_equal(safetensors_open(&w, m->dir, &err), 0);
    assert_string_equal(weights_find(&w, "c")->file, "s2.safetensors");
    assert_string_equal(weights_find(&w, "b")->file, "s1.safetensors");
    assert_null(weights_find(&w, "d"));
    weights_close(&w);
}

static void an_index_that_names_wrongly_is_refused(void **state)
{
    static const struct {
        const char *map;
        const char *says[5];
    } bad[] = {
        {"{" AB ",\"c\":\"s3.safetensors\"}",
         {"tensor c", "expected in s3.safetensors", "found no such file"}},
        {"{" AB ",\"c\":\"../s2.safetensors\"}", {"tensor c", "plain name", "../s2"}},
        {"{" AB ",\"c\":\"sub/s2.safetensors\"}", {"tensor c", "plain name", "sub/s2"}},
        {"{" AB ",\"c\":\"/etc/passwd\"}", {"tensor c", "plain name", "/etc/passwd"}},
        {"{" AB ",\"c\":\"..\"}", {"tensor c", "plain name", ".."}},
        {"{" AB ",\"c\":\"\"}", {"tensor c", "plain name"}},
        {"{" AB ",\"c\":3}", {"tensor c", "plain name", "an integer"}},
        {"{" AB ",\"c\":null}", {"tensor c", "plain name", "null"}},
        {"{" AB ",\"c\":\"s1.safetensors\"}", {"tensor c", "nowhere"}},
        {"{\"a\":\"s2.safetensors\",\"b\":\"s1.safetensors\",\"c\":\"s2.safetensors\"}",
         {"tensor a", "expected in s2.safetensors", "found s1.safetensors"}},
        {"{" AB ",\"c\":\"s2.safetensors\",\"d\":\"s2.safetensors\"}",
         {"tensor d", "s2.safetensors", "nowhere"}},
        {"{\"a\":\"s1.safetensors\",\"c\":\"s2.safetensors\"}",
         {"tensor b", "s1.safetensors"}},
        {"{}", {"weight_map", "object with members"}},
        {"[]", {"weight_map", "an array"}},
        {"{\"a\":\"s1.safetensors\",\"a\":\"s1.safetensors\"}", {"duplicate"}},
    };
    const struct maker *m = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_shards(m, bad[i].map);
        expect_fault(m, SAYS(index_file, bad[i].says[0]));
        expect_fault(m, (const char *const *)bad[i].says);
    }
    maker_text(m, index_file, "{");
    expect_fault(m, SAYS(index_file, "JSON"));
    maker_text(m, index_file, "[]");
    expect_fault(m, SAYS(index_file, "weight_map", "nothing"));
}

static void a_tensor_in_two_shards_is_refused(void **state)
{
    const struct maker *m = *state;
    write_shards(m, "{" AB ",\"c\":\"s2.safetensors\"}");
    maker_raw(m, "s2.safetensors", "{" U("c", 4, 0, 4) "," U("a", 4, 4, 8) "}", zeros, 8);
    expect_fault(m, SAYS("tensor a", "both", "s1.safetensors", "s2.safetensors"));
}

/* ---- whole models ----------------------------------------------------------- */

static const struct maker_sizes tiny = {11, 8, 1, 2, 1, 6, 32};

static void expect_model_fault(const struct maker *m, const char *const texts[])
{
    struct model model;
    struct err err = {0};
    if (model_open(&model, &(struct model_options){.dir = m->dir}, &err) == 0) {
        model_close(&model);
        fail_msg("opened, expected \"%s\"", texts[0]);
    }
    assert_int_equal(err.code, ERR_FORMAT);
    expect_texts(&err, texts);
}

/* The made file again with `from` in its header replaced by `to` of the same length. */
static void patch_header(const struct maker *m, const char *from, const char *to)
{
    FILE *f = fopen(maker_path(m, file), "rb+");
    char *text = calloc(1, 1 << 16);
    assert_non_null(f);
    assert_non_null(text);
    assert_int_equal(strlen(from), strlen(to));
    size_t n = fread(text, 1, (1 << 16) - 1, f), at = 0;
    while (at + strlen(from) <= n && memcmp(text + at, from, strlen(from)) != 0)
        at++;
    assert_true(at + strlen(from) <= n);
    fseek(f, (long)at, SEEK_SET);
    fwrite(to, 1, strlen(to), f);
    fclose(f);
    free(text);
}

static void a_model_whose_tensors_are_wrong_is_refused(void **state)
{
    struct maker *m = *state;
    struct model model;
    static const struct {
        const char *from, *to, *says[5];
    } bad[] = {
        {"input_layernorm",
         "input_layernorx",
         {"model.layers.0.input_layernorm.weight", "expected [8]", "found nothing"}},
        {"q_proj.weight\":{\"dtype\":\"F32\",\"shape\":[8,8]",
         "q_proj.weight\":{\"dtype\":\"F32\",\"shape\":[4,16",
         {file}},
        {"k_proj.weight\":{\"dtype\":\"F32\",\"shape\":[4,8]",
         "k_proj.weight\":{\"dtype\":\"F32\",\"shape\":[8,4]",
         {file, "model.layers.0.self_attn.k_proj.weight", "expected shape [4, 8]",
          "found [8, 4]"}},
        {"norm.weight\":{\"dtype\":\"F32\"",
         "norm.weight\":{\"dtype\":\"I32\"",
         {file, "expected F32, F16 or BF16", "found I32"}},
        {"\"lm_head.weight\"",
         "\"lm_tail.weight\"",
         {"lm_head.weight", "expected [11, 8]", "found nothing"}},
    };
    maker_llama(m, &tiny);
    assert_int_equal(model_open(&model, &(struct model_options){.dir = m->dir}, NULL), 0);
    model_close(&model);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        maker_llama(m, &tiny);
        patch_header(m, bad[i].from, bad[i].to);
        if (i == 1) /* no longer JSON: only the file is named */
            expect_fault(m, SAYS(file));
        else
            expect_model_fault(m, (const char *const *)bad[i].says);
    }
}

static void a_surplus_tensor_is_refused(void **state)
{
    struct maker *m = *state;
    maker_transxssm(m, &tiny);
    maker_vector(m, "nobody.asked", 3, (struct maker_fill){1, 0});
    maker_save(m, "unused"); /* forgets it */
    maker_vector(m, "model.layers.0.ssd.D", 3, (struct maker_fill){1, 0});
    maker_transxssm(m, &tiny); /* the same file with one more */
    expect_model_fault(m, SAYS(file, "model.layers.0.ssd.D", "surplus"));
}

/* A TransXSSM is tied unless it says otherwise: a head in the file must be the embedding.
 */
static void a_tied_head_must_be_the_embedding(void **state)
{
    struct maker *m = *state;
    const int64_t shape[] = {11, 8}, turned[] = {8, 11};
    float values[88];
    struct model model;
    struct err err = {0};
    for (int wrong = 0; wrong < 2; wrong++) {
        uint64_t seed = m->seed;
        maker_matrix(m, "x", 11, 8);
        memcpy(values, m->data, sizeof values);
        maker_save(m, "unused");
        values[87] += (float)wrong;
        maker_tensor(m, "lm_head.weight", 2, shape, values, (struct maker_fill){0, 0});
        m->seed =
            seed; /* the embedding comes first in the model: the same numbers again */
        maker_transxssm(m, &tiny);
        if (wrong)
            expect_model_fault(
                m, SAYS(file, "lm_head.weight", "tie_word_embeddings", "same values"));
        else
            assert_int_equal(
                model_open(&model, &(struct model_options){.dir = m->dir}, &err), 0);
    }
    int64_t n_params = model.n_params;
    model_close(&model);
    maker_transxssm(m, &tiny);
    assert_int_equal(model_open(&model, &(struct model_options){.dir = m->dir}, &err), 0);
    assert_true(n_params == model.n_params); /* the same numbers count once */
    model_close(&model);
    maker_tensor(m, "lm_head.weight", 2, turned, values, (struct maker_fill){0, 0});
    maker_transxssm(m, &tiny);
    expect_model_fault(m, SAYS(file, "lm_head.weight", "[11, 8]", "[8, 11]"));
}

static void the_hash_sees_every_byte(void **state)
{
    struct maker *m = *state;
    struct weights w;
    uint64_t first, second;
    char data[32] = {0};
    maker_raw(m, file, two, data, 32);
    assert_int_equal(safetensors_open(&w, m->dir, NULL), 0);
    assert_int_equal(weights_hash(&w, &first, NULL), 0);
    weights_close(&w);
    for (int i = 0; i < 32; i++) {
        data[i] ^= 1;
        maker_raw(m, file, two, data, 32);
        data[i] ^= 1;
        assert_int_equal(safetensors_open(&w, m->dir, NULL), 0);
        assert_int_equal(weights_hash(&w, &second, NULL), 0);
        weights_close(&w);
        assert_true(first != second);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_whole_file_opens_and_its_tensors_are_taken_once_by_shape),
        CASE(a_file_cut_anywhere_is_refused),
        CASE(a_header_length_beyond_the_file_is_refused),
        CASE(a_header_that_is_no_header_is_refused),
        CASE(a_tensor_that_contradicts_itself_is_refused),
        CASE(tensors_must_tile_the_data),
        CASE(empty_tensors_and_unordered_names_are_whole),
        CASE(what_is_no_regular_file_is_refused),
        CASE(values_of_other_types_are_refused_where_they_are_used),
        CASE(rotary_tables_in_the_file_are_read_over),
        CASE(shards_open_by_their_index),
        CASE(an_index_that_names_wrongly_is_refused),
        CASE(a_tensor_in_two_shards_is_refused),
        CASE(a_model_whose_tensors_are_wrong_is_refused),
        CASE(a_surplus_tensor_is_refused),
        CASE(a_tied_head_must_be_the_embedding),
        CASE(the_hash_sees_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
