/* What people give as a model: folders pass, everything else is named.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/model_path.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct maker m;

static int open_folder(void **state)
{
    (void)state;
    maker_open(&m);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    maker_close(&m);
    return 0;
}

#define POINTER "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 42\n"

static void expect_refused(const char *path, const char *a, const char *b)
{
    struct err err = {0};
    assert_int_equal(model_path_check(path, &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "model");
    if (!strstr(err.text, a) || !strstr(err.text, b))
        fail_msg("expected \"%s\" and \"%s\" in: %s", a, b, err.text);
}

static void expect_passed(const char *path)
{
    struct err err = {0};
    if (model_path_check(path, &err))
        fail_msg("%s", err.text);
}

/* A file given by its own path. */
static void given(const char *name, const char *text, const char *says)
{
    maker_text(&m, name, text);
    char path[512];
    snprintf(path, sizeof path, "%s", maker_path(&m, name));
    expect_refused(path, says, name);
    unlink(path);
}

static void files_are_named_by_what_they_are(void **state)
{
    (void)state;
    given("model-q4.gguf", "GGUF\003", "a GGUF file");
    given("blob", "GGUF\003", "a GGUF file"); /* whatever its name is */
    given("model.safetensors", "\x10", "a single .safetensors file; give the folder");
    given("model.safetensors", POINTER, "a Git LFS pointer");
    given("pytorch_model.bin", "PK\003\004", "pickled weights");
    given("model.pth", "PK\003\004", "pickled weights");
    given("notes.txt", "hello", "a file");
    given("empty", "", "a file");
}

static void names_that_are_no_folder(void **state)
{
    char path[512];
    (void)state;
    expect_refused("mistralai/Mistral-7B-v0.1", "not a folder", "does not download");
    expect_refused("https://example.org/a/b", "not a folder", "does not download");
    expect_refused("/nonexistent", "/nonexistent", "No such file");
    expect_refused("./org/name", "./org/name", "No such file");
    expect_refused("a/b/c", "a/b/c", "No such file");
    expect_refused("engine/modle", "engine/modle", "No such file"); /* a slip */
    expect_refused("name", "name", "No such file");
    maker_text(&m, "file", "x");
    snprintf(path, sizeof path, "%s/inside", maker_path(&m, "file"));
    expect_refused(path, "file/inside", "Not a directory");
}

/* One file more in the folder. */
static void with(const char *name, const char *text, const char *says)
{
    maker_text(&m, name, text);
    expect_refused(m.dir, says, m.dir);
    unlink(maker_path(&m, name));
}

static void folders_of_other_weights_are_named(void **state)
{
    (void)state;
    expect_passed(m.dir); /* what is not there is told by who reads it */
    with("x-q8.gguf", "GGUF\003", "a GGUF file");
    maker_text(&m, "config.json", "{}");
    with("x-q8.gguf", "GGUF\003", "a GGUF file");
    with("pytorch_model.bin", "PK\003\004", "pytorch_model.bin");
    with("pytorch_model-00001-of-00002.bin", "PK\003\004", "pytorch_model.bin");
    with("model-00001-of-00002.safetensors", "\x10", "model.safetensors.index.json");
    with("model.safetensors-00001-of-00001.safetensors", "\x10", "not complete");
    maker_text(&m, "model.safetensors", "\x10");
    maker_text(&m, "pytorch_model.bin", "PK\003\004"); /* beside what is read */
    maker_text(&m, "x-q8.gguf", "GGUF\003");
    expect_passed(m.dir);
}

static void pointers_in_a_folder_are_named(void **state)
{
    static const char *const read[] = {"config.json",
                                       "tokenizer.json",
                                       "model.safetensors",
                                       "model.safetensors.index.json",
                                       "model-00002-of-00002.safetensors",
                                       "model.safetensors-00001-of-00001.safetensors"};
    (void)state;
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        maker_text(&m, read[i], POINTER);
        expect_refused(m.dir, read[i], "a Git LFS pointer");
        unlink(maker_path(&m, read[i]));
    }
    maker_text(&m, "model.safetensors", "\x10");
    maker_text(&m, "consolidated.safetensors", POINTER); /* is not read */
    expect_passed(m.dir);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_folder, close_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(files_are_named_by_what_they_are),
        IN_A_FOLDER(names_that_are_no_folder),
        IN_A_FOLDER(folders_of_other_weights_are_named),
        IN_A_FOLDER(pointers_in_a_folder_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
