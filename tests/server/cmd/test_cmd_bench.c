/* The exit code of a benchmark that cannot open its engines: whose fault it was.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/cmd.h"

#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char shape_text[] =
    "{\"model_type\":\"llama\",\"vocab_size\":32,\"hidden_size\":32,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":1,\"num_key_value_heads\":1,"
    "\"intermediate_size\":32,\"max_position_embeddings\":64,"
    "\"tie_word_embeddings\":false}";

static char shape_path[64];

static int make_shape(void **state)
{
    (void)state;
    snprintf(shape_path, sizeof shape_path, "/tmp/ssmd-shape-XXXXXX");
    int fd = mkstemp(shape_path);
    ssize_t n = (ssize_t)(sizeof shape_text - 1);
    return fd < 0 || write(fd, shape_text, (size_t)n) != n || close(fd) != 0;
}

static int remove_shape(void **state)
{
    (void)state;
    return unlink(shape_path);
}

static struct config config_of(const char *shape)
{
    char shape_flag[] = "--shape", threads_flag[] = "--threads=1";
    char *argv[] = {shape_flag, (char *)(uintptr_t)shape, threads_flag, NULL};
    char *envp[] = {NULL};
    struct config_input in = {.argv = argv, .envp = envp, .groups = CONFIG_ALL};
    struct config cfg;
    struct err err = {0};
    assert_int_equal(config_load(&cfg, &in, &err), 0);
    return cfg;
}

static const char *const values[BENCH_N] = {
    [BENCH_DECODE] = "1", [BENCH_DEPTH] = "0", [BENCH_RUNS] = "1"};

static void want_of_memory_is_not_the_callers_fault(void **state)
{
    (void)state;
    enum { ALLOCATIONS = 30 }; /* fewer than opening makes */
    struct config cfg = config_of(shape_path);
    for (int n = 1; n <= ALLOCATIONS; n++) {
        mem_fail_after(n);
        int code = cmd_bench(&cfg, values);
        mem_fail_after(0);
        assert_int_equal(code, CMD_FAILED);
    }
    config_free(&cfg);
}

static void a_model_that_is_not_there_is(void **state)
{
    (void)state;
    struct config cfg = config_of("/nonexistent/shape.json");
    assert_int_equal(cmd_bench(&cfg, values), CMD_USAGE);
    config_free(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_memory_is_not_the_callers_fault),
        cmocka_unit_test(a_model_that_is_not_there_is),
    };
    return cmocka_run_group_tests(tests, make_shape, remove_shape);
}
