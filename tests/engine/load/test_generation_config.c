/*
 * generation_config.json: its token ids win over those of config.json, one id or a list;
 * a file that is there must be readable. Errors name the file, the key, what was expected
 * and what was found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/generation_config.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char file_name[] = "generation_config.json";
static const struct token_ids outer = {.bos = 1, .eos = {2}, .n_eos = 1};
enum { VOCAB = 100 };

static struct maker m;

static int make(void **state)
{
    (void)state;
    maker_open(&m);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    maker_close(&m);
    return 0;
}

static struct generation_config read_text(const char *text)
{
    struct generation_config g;
    struct err err = {0};
    maker_text(&m, file_name, text);
    if (generation_config_open(&g, m.dir, &outer, VOCAB, &err))
        fail_msg("%s: %s", text, err.text);
    unlink(maker_path(&m, file_name));
    return g;
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_fault(const char *text, const char *const says[])
{
    struct generation_config g;
    struct err err = {0};
    maker_text(&m, file_name, text);
    if (generation_config_open(&g, m.dir, &outer, VOCAB, &err) != -ERR_FORMAT)
        fail_msg("%s: opened, expected \"%s\"", text, says[0]);
    assert_non_null(strstr(err.text, file_name));
    for (int i = 0; says[i]; i++)
        if (!strstr(err.text, says[i]))
            fail_msg("\"%s\" does not say \"%s\"", err.text, says[i]);
    unlink(maker_path(&m, file_name));
}

static void without_the_file_the_ids_of_config_json_hold(void **state)
{
    struct generation_config g;
    struct err err = {0};
    (void)state;
    assert_int_equal(generation_config_open(&g, m.dir, &outer, VOCAB, &err), 0);
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
    assert_int_equal(symlink(file_name, maker_path(&m, file_name)), 0); /* a circle */
    assert_int_equal(generation_config_open(&g, m.dir, &outer, VOCAB, &err), -ERR_IO);
    assert_non_null(strstr(err.text, file_name));
    unlink(maker_path(&m, file_name));
}

/* A path that would fill the text alone must not push the reason out. */
static void a_long_path_leaves_room_for_the_reason(void **state)
{
    struct generation_config g;
    struct err err = {0};
    char dir[1024];
    (void)state;
    int n = snprintf(dir, sizeof dir, "%s", m.dir);
    for (int i = 0; i < 300; i++)
        n += snprintf(dir + n, sizeof dir - (size_t)n, "/.");
    maker_text(&m, file_name, "{\"eos_token_id\":-1}");
    assert_int_equal(generation_config_open(&g, dir, &outer, VOCAB, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "eos_token_id"));
    assert_non_null(strstr(err.text, "found -1"));
    unlink(maker_path(&m, file_name));
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
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
