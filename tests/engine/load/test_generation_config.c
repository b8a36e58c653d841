/*
 * generation_config.json: its token ids win over those of config.json, one id or a list;
 * its sampling values, asked for, are defaults. Errors name the file, the key, what was expected
 * and what was found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/generation_config.h"

#include "engine/base/log.h"
#include "tests/lib/made_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char file_name[] = "generation_config.json";
static const struct token_ids outer = {.bos = 1, .eos = {2}, .n_eos = 1};
enum { VOCAB = 100 };

static struct generation_config read_text(const char *text)
{
    struct generation_config g;
    struct err err = {0};
    maker_text(&made_folder, file_name, text);
    if (generation_config_open(&g, made_folder.dir, &outer, VOCAB, &err))
        fail_msg("%s: %s", text, err.text);
    unlink(maker_path(&made_folder, file_name));
    return g;
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_fault(const char *text, const char *const says[])
{
    struct generation_config g;
    struct err err = {0};
    maker_text(&made_folder, file_name, text);
    if (generation_config_open(&g, made_folder.dir, &outer, VOCAB, &err) != -ERR_FORMAT)
        fail_msg("%s: opened, expected \"%s\"", text, says[0]);
    assert_non_null(strstr(err.text, file_name));
    for (int i = 0; says[i]; i++)
        if (!strstr(err.text, says[i]))
            fail_msg("\"%s\" does not say \"%s\"", err.text, says[i]);
    unlink(maker_path(&made_folder, file_name));
}

static void without_the_file_the_ids_of_config_json_hold(void **state)
{
    struct generation_config g;
    struct err err = {0};
    (void)state;
    assert_int_equal(generation_config_open(&g, made_folder.dir, &outer, VOCAB, &err), 0);
    assert_memory_equal(&g.ids, &outer, sizeof outer);
}

static void its_token_ids_win(void **state)
{
    (void)state;
    struct generation_config g =
        read_text("{\"eos_token_id\":[5,6,7],\"temperature\":0.6,\"anything\":{}}");
    assert_int_equal(g.ids.bos, 1);
    assert_int_equal(g.ids.n_eos, 3);
    assert_int_equal(g.ids.eos[0], 5);
    assert_int_equal(g.ids.eos[2], 7);
    g = read_text("{\"bos_token_id\":9,\"eos_token_id\":null}");
    assert_int_equal(g.ids.bos, 9);
    assert_int_equal(g.ids.n_eos, 1);
    assert_int_equal(g.ids.eos[0], 2);
    g = read_text("{\"eos_token_id\":99,\"bos_token_id\":null}");
    assert_int_equal(g.ids.bos, 1);
    assert_int_equal(g.ids.n_eos, 1);
    assert_int_equal(g.ids.eos[0], 99);
}

static void token_ids_lie_inside_the_vocabulary(void **state)
{
    static const char *const bad[] = {"100", "-1", "1.0", "\"2\"", "true", "{}"};
    char text[128];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"eos_token_id\":[3,%s]}", bad[i]);
        expect_fault(text, SAYS("eos_token_id", "inside the vocabulary of 100", "found"));
        snprintf(text, sizeof text, "{\"bos_token_id\":%s}", bad[i]);
        expect_fault(text, SAYS("bos_token_id", "inside the vocabulary of 100"));
    }
    expect_fault("{\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
                 SAYS("eos_token_id", "at most 16", "found 17"));
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    expect_fault("[]", SAYS("expected an object", "an array"));
    expect_fault("{", SAYS("JSON"));
}

/* A file that is there says something, whether it can be read or not. */
static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    struct generation_config g;
    struct err err = {0};
    (void)state;
    assert_int_equal(symlink(file_name, maker_path(&made_folder, file_name)),
                     0); /* a circle */
    assert_int_equal(generation_config_open(&g, made_folder.dir, &outer, VOCAB, &err),
                     -ERR_IO);
    assert_non_null(strstr(err.text, file_name));
    unlink(maker_path(&made_folder, file_name));
}

/* A path that would fill the text alone must not push the reason out. */
static void a_long_path_leaves_room_for_the_reason(void **state)
{
    struct generation_config g;
    struct err err = {0};
    char dir[1024];
    (void)state;
    int n = snprintf(dir, sizeof dir, "%s", made_folder.dir);
    for (int i = 0; i < 300; i++)
        n += snprintf(dir + n, sizeof dir - (size_t)n, "/.");
    maker_text(&made_folder, file_name, "{\"eos_token_id\":-1}");
    assert_int_equal(generation_config_open(&g, dir, &outer, VOCAB, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "eos_token_id"));
    assert_non_null(strstr(err.text, "found -1"));
    unlink(maker_path(&made_folder, file_name));
}

/* ---- sampling values -------------------------------------------------------- */

static char logged[4096];

static void hear(enum log_level level, const char *event, const char *fields)
{
    (void)level;
    size_t n = strlen(logged);
    snprintf(logged + n, sizeof logged - n, "%s %s\n", event, fields);
}

static int defaults_of(struct gen_defaults *d, const char *text, struct err *err)
{
    *err = (struct err){0};
    logged[0] = '\0';
    log_set_sink(hear);
    maker_text(&made_folder, file_name, text);
    int rc = generation_config_defaults(d, made_folder.dir, err);
    log_set_sink(NULL);
    unlink(maker_path(&made_folder, file_name));
    return rc;
}

static void expect_none(const struct gen_defaults *d)
{
    assert_true(isnan(d->temperature) && isnan(d->top_p) && isnan(d->min_p));
    assert_true(isnan(d->typical_p) && isnan(d->repetition_penalty));
    assert_true(isnan(d->presence_penalty) && isnan(d->frequency_penalty));
    assert_int_equal(d->top_k, -1);
}

static void what_is_not_said_is_no_default(void **state)
{
    struct gen_defaults d;
    struct err err = {0};
    (void)state;
    assert_int_equal(generation_config_defaults(&d, made_folder.dir, &err), 0);
    expect_none(&d);
    assert_int_equal(defaults_of(&d,
                                 "{\"eos_token_id\":[1],\"temperature\":null,"
                                 "\"transformers_version\":\"5\"}",
                                 &err),
                     0);
    expect_none(&d);
    assert_string_equal(logged,
                        "model_defaults \"honoured\":\"\",\"not_honoured\":\"\"\n");
}

static void every_sampling_value_is_read(void **state)
{
    struct gen_defaults d;
    struct err err;
    (void)state;
    assert_int_equal(
        defaults_of(&d,
                    "{\"temperature\":0.5,\"top_p\":0.25,\"min_p\":0.125,"
                    "\"typical_p\":0.75,\"repetition_penalty\":1.5,\"top_k\":20,"
                    "\"presence_penalty\":-1,\"frequency_penalty\":2,\"do_sample\":true}",
                    &err),
        0);
    assert_true(d.temperature == 0.5f && d.top_p == 0.25f && d.min_p == 0.125f);
    assert_true(d.typical_p == 0.75f && d.repetition_penalty == 1.5f && d.top_k == 20);
    assert_true(d.presence_penalty == -1 && d.frequency_penalty == 2);
    assert_int_equal(defaults_of(&d, "{\"top_k\":-1}", &err), 0);
    assert_int_equal(d.top_k, 0);
}

static void a_model_that_does_not_sample_is_greedy(void **state)
{
    static const char *const texts[] = {"{\"do_sample\":false}",
                                        "{\"do_sample\":false,\"temperature\":0.6}",
                                        "{\"temperature\":0.6,\"do_sample\":false}"};
    struct gen_defaults d;
    struct err err;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(defaults_of(&d, texts[i], &err), 0);
        assert_true(d.temperature == 0);
    }
}

static void one_line_names_what_is_not_honoured(void **state)
{
    struct gen_defaults d;
    struct err err;
    (void)state;
    assert_int_equal(defaults_of(&d,
                                 "{\"num_beams\":4,\"temperature\":0.5,"
                                 "\"my\\\"key\":{},\"pad_token_id\":0}",
                                 &err),
                     0);
    assert_string_equal(logged, "model_defaults \"honoured\":\"temperature 0.5\","
                                "\"not_honoured\":\"num_beams, my\\\"key\"\n");
}

static void a_value_that_no_request_could_have_is_an_error(void **state)
{
    static const char *const bad[][2] = {
        {"temperature", "2.5"},
        {"temperature", "-1"},
        {"temperature", "\"0.6\""},
        {"top_p", "0"},
        {"top_p", "1.5"},
        {"min_p", "-0.5"},
        {"typical_p", "0"},
        {"top_k", "2.5"},
        {"top_k", "-2"},
        {"do_sample", "1"},
        {"repetition_penalty", "0"},
    };
    struct gen_defaults d;
    struct err err;
    char text[128];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"%s\":%s}", bad[i][0], bad[i][1]);
        assert_int_equal(defaults_of(&d, text, &err), -ERR_FORMAT);
        assert_non_null(strstr(err.text, file_name));
        assert_non_null(strstr(err.text, bad[i][0]));
        assert_non_null(strstr(err.text, "found"));
        struct generation_config g = read_text(text); /* not asked for: no error */
        assert_int_equal(g.ids.n_eos, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_file_the_ids_of_config_json_hold),
        cmocka_unit_test(its_token_ids_win),
        cmocka_unit_test(token_ids_lie_inside_the_vocabulary),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_long_path_leaves_room_for_the_reason),
        cmocka_unit_test(what_is_not_said_is_no_default),
        cmocka_unit_test(every_sampling_value_is_read),
        cmocka_unit_test(a_model_that_does_not_sample_is_greedy),
        cmocka_unit_test(one_line_names_what_is_not_honoured),
        cmocka_unit_test(a_value_that_no_request_could_have_is_an_error),
    };
    return cmocka_run_group_tests(tests, made_folder_make, made_folder_unmake);
}
