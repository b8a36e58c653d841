/* Configuration: precedence, every kind of refusal with its words, names, printing,
 * defaults, and that configs/default.json says what the table says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/config/config.h"

#include "server/config/option_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_WORDS = 8 };

/* One way of starting: each part may be empty. */
struct start {
    const char *file;             /* JSON text, NULL = no file */
    const char *env[MAX_WORDS];   /* NULL-terminated */
    const char *flags[MAX_WORDS]; /* NULL-terminated */
};

static char file_path[64];

static void write_file(const char *text)
{
    snprintf(file_path, sizeof file_path, "/tmp/ssmd-config-XXXXXX");
    int fd = mkstemp(file_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int load(struct config *cfg, const struct start *s, struct err *err)
{
    char name[96] = "--config=";
    char *argv[MAX_WORDS + 2], *envp[MAX_WORDS + 1];
    size_t n = 0, m = 0;
    if (s->file) {
        write_file(s->file);
        strcat(name, file_path);
        argv[n++] = name;
    }
    for (size_t i = 0; i < MAX_WORDS && s->flags[i]; i++)
        argv[n++] = (char *)(uintptr_t)s->flags[i];
    for (size_t i = 0; i < MAX_WORDS && s->env[i]; i++)
        envp[m++] = (char *)(uintptr_t)s->env[i];
    argv[n] = envp[m] = NULL;
    struct config_input in = {.argv = argv, .envp = envp, .groups = CONFIG_ALL};
    *err = (struct err){0};
    int rc = config_load(cfg, &in, err);
    if (s->file)
        unlink(file_path);
    return rc;
}

/* ---- precedence ------------------------------------------------------------- */

static void each_source_beats_the_one_below(void **state)
{
    (void)state;
    static const struct {
        struct start start;
        int port;
    } cases[] = {
        {{NULL, {NULL}, {NULL}}, 8080},
        {{"{\"port\": 1}", {NULL}, {NULL}}, 1},
        {{"{\"port\": 1}", {"SSMD_PORT=2", NULL}, {NULL}}, 2},
        {{"{\"port\": 1}", {"SSMD_PORT=2", NULL}, {"--port", "3", NULL}}, 3},
        {{NULL, {"SSMD_PORT=2", NULL}, {"--port=4", NULL}}, 4},
        {{NULL, {NULL}, {"--port=4", "--port", "5", NULL}}, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config cfg;
        struct err err;
        assert_int_equal(load(&cfg, &cases[i].start, &err), 0);
        assert_int_equal(cfg.port, cases[i].port);
        config_free(&cfg);
    }
}

static void the_file_may_be_named_by_the_environment(void **state)
{
    (void)state;
    char name[96] = "SSMD_CONFIG=";
    write_file("{\"max_seqs\": 7}");
    strcat(name, file_path);
    struct config cfg;
    struct err err;
    struct start s = {NULL, {name, NULL}, {NULL}};
    assert_int_equal(load(&cfg, &s, &err), 0);
    unlink(file_path);
    assert_int_equal(cfg.max_seqs, 7);
    config_free(&cfg);
}

static void every_type_reads_from_every_source(void **state)
{
    (void)state;
    static const struct start starts[] = {
        {"{\"memory_bytes\": \"512MiB\", \"max_body_bytes\": 1000, \"body_timeout\": 0.25,"
         " \"math\": \"blas\", \"log_level\": \"debug\", \"cpu\": \"c\","
         " \"cors_allow_origins\": [\"http://a\", \"http://b\"], \"metrics_alias\": \"vllm\"}",
         {NULL},
         {NULL}},
        {NULL,
         {"SSMD_MEMORY_BYTES=512MiB", "SSMD_MAX_BODY_BYTES=1000", "SSMD_BODY_TIMEOUT=.25",
          "SSMD_MATH=blas", "SSMD_LOG_LEVEL=debug",
          "SSMD_CORS_ALLOW_ORIGINS=http://a,http://b", "SSMD_METRICS_ALIAS=vllm",
          "SSMD_CPU=c"},
         {NULL}},
        {NULL,
         {"SSMD_CPU=c", NULL},
         {"--memory-bytes=536870912", "--max-body-bytes=1KB", "--body-timeout=25e-2",
          "--math=blas", "--log-level=debug", "--cors-allow-origins=http://a,http://b",
          "--metrics-alias=vllm", NULL}},
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct config cfg;
        struct err err;
        assert_int_equal(load(&cfg, &starts[i], &err), 0);
        assert_true(cfg.memory_bytes == 512 << 20);
        assert_true(cfg.max_body_bytes == 1000);
        assert_true(cfg.body_timeout_s == 0.25);
        assert_int_equal(cfg.math, ENGINE_MATH_BLAS);
        assert_int_equal(cfg.log_level, LOG_DEBUG);
        assert_int_equal(cfg.metrics_alias, CONFIG_ALIAS_VLLM);
        assert_string_equal(cfg.cpu, "c");
        assert_int_equal(cfg.cors_allow_origins.n, 2);
        assert_string_equal(cfg.cors_allow_origins.items[1], "http://b");
        config_free(&cfg);
    }
}

/* ---- refusals --------------------------------------------------------------- */

struct refusal {
    struct start start;
    const char *param;    /* NULL: not looked at */
    const char *words[3]; /* all stand in the message */
};

static const struct refusal refusals[] = {
    /* unknown names */
    {{"{\"prot\": 1}", {NULL}, {NULL}},
     "prot",
     {"/tmp/ssmd-config-", "unknown key", "prot"}},
    {{"{\"port\": {\"x\": 1}}", {NULL}, {NULL}}, "port", {"an object", "an integer"}},
    {{NULL, {"SSMD_PROT=1", NULL}, {NULL}}, NULL, {"SSMD_PROT", "unknown"}},
    {{NULL, {"SSMD_SERVICE_HOST=1", NULL}, {NULL}},
     NULL,
     {"SSMD_SERVICE_HOST", "Kubernetes"}},
    {{NULL, {NULL}, {"--prot", "1", NULL}}, NULL, {"--prot", "unknown option"}},
    {{NULL, {NULL}, {"--max_seqs", "1", NULL}}, NULL, {"--max_seqs", "unknown option"}},
    {{NULL, {NULL}, {"-p", "1", NULL}}, NULL, {"-p", "unknown option"}},
    {{NULL, {NULL}, {"stray", NULL}}, NULL, {"unexpected argument", "stray"}},
    {{NULL, {NULL}, {"--port", NULL}}, NULL, {"--port", "expected a value"}},
    {{NULL, {NULL}, {"--print-config=1", NULL}}, NULL, {"--print-config", "no value"}},
    /* wrong types */
    {{"{\"port\": \"80\"}", {NULL}, {NULL}},
     "port",
     {"an integer", "a string", "/tmp/ssmd-"}},
    {{"{\"port\": 80.5}", {NULL}, {NULL}},
     "port",
     {"an integer from 0 to 65535", "80.5"}},
    {{"{\"port\": null}", {NULL}, {NULL}}, "port", {"found null"}},
    {{"{\"port\": true}", {NULL}, {NULL}}, "port", {"found a boolean"}},
    {{"{\"host\": 3}", {NULL}, {NULL}}, "host", {"a string", "found an integer"}},
    {{"{\"host\": [\"a\"]}", {NULL}, {NULL}}, "host", {"found an array"}},
    {{"{\"host\": \"a\\u0000b\"}", {NULL}, {NULL}}, "host", {"U+0000"}},
    {{"{\"drain_grace\": \"5\"}", {NULL}, {NULL}},
     "drain_grace",
     {"seconds", "a string"}},
    {{"{\"cors_allow_origins\": {}}", {NULL}, {NULL}}, "cors_allow_origins", {"array"}},
    {{"{\"cors_allow_origins\": [1]}", {NULL}, {NULL}},
     "cors_allow_origins",
     {"an integer"}},
    {{"{\"cors_allow_origins\": [\"\"]}", {NULL}, {NULL}},
     "cors_allow_origins",
     {"\"\""}},
    {{"{\"max_body_bytes\": 1.5}", {NULL}, {NULL}}, "max_body_bytes", {"1.5"}},
    {{"[]", {NULL}, {NULL}}, NULL, {"an object", "an array"}},
    {{"{\"port\": 1, \"port\": 2}", {NULL}, {NULL}},
     NULL,
     {"duplicate", "/tmp/ssmd-config-"}},
    {{"{\"port\": ", {NULL}, {NULL}}, NULL, {"invalid JSON", "/tmp/ssmd-config-"}},
    /* impossible values, and which source said them */
    {{NULL, {NULL}, {"--port", "70000", NULL}}, "port", {"--port", "65535", "70000"}},
    {{NULL, {"SSMD_PORT=70000", NULL}, {NULL}}, "port", {"SSMD_PORT", "65535", "70000"}},
    {{"{\"port\": 70000}", {NULL}, {NULL}},
     "port",
     {"/tmp/ssmd-config-", "65535", "70000"}},
    {{NULL, {NULL}, {"--port", "80x", NULL}}, "port", {"\"80x\""}},
    {{NULL, {NULL}, {"--port", "", NULL}}, "port", {"\"\""}},
    {{NULL, {NULL}, {"--port", "0x50", NULL}}, "port", {"0x50"}},
    {{NULL, {NULL}, {"--port", "99999999999999999999", NULL}}, "port", {"9999"}},
    {{NULL, {NULL}, {"--context", "-1", NULL}}, "context", {"--context", "-1"}},
    {{NULL, {NULL}, {"--drain-timeout", "-1", NULL}}, "drain_timeout", {"from 0", "-1"}},
    {{NULL, {NULL}, {"--drain-timeout", "nan", NULL}}, "drain_timeout", {"nan"}},
    {{NULL, {NULL}, {"--drain-timeout", "1e999", NULL}}, "drain_timeout", {"1e999"}},
    {{NULL, {NULL}, {"--drain-timeout", "5s", NULL}}, "drain_timeout", {"5s"}},
    {{NULL, {NULL}, {"--max-seqs", "0", NULL}}, "max_seqs", {"from 1", "\"0\""}},
    {{NULL, {NULL}, {"--step-rows", "0", NULL}}, "step_rows", {"from 1"}},
    {{NULL, {NULL}, {"--memory-bytes", "5MeB", NULL}},
     "memory_bytes",
     {"512MiB", "5MeB"}},
    {{NULL, {NULL}, {"--memory-bytes", "-5MiB", NULL}}, "memory_bytes", {"-5MiB"}},
    {{NULL, {NULL}, {"--memory-bytes", "1e300GiB", NULL}}, "memory_bytes", {"1e300GiB"}},
    {{NULL, {NULL}, {"--cpu", "sse", NULL}}, "cpu", {"\"avx512\"", "\"sse\""}},
    {{NULL, {NULL}, {"--math", "fast", NULL}},
     "math",
     {"\"exact\", \"blas\"", "\"fast\""}},
    {{NULL, {NULL}, {"--log-level", "loud", NULL}},
     "log_level",
     {"\"debug\"", "\"loud\""}},
    {{NULL, {NULL}, {"--checkpoint-interval", "soon", NULL}},
     "checkpoint_interval",
     {"an integer from 0", ", or \"auto\"", "\"soon\""}},
    {{NULL, {NULL}, {"--host", "", NULL}}, "host", {"1 to 255"}},
    {{NULL, {NULL}, {"--max-header-bytes", "300", NULL}},
     "max_uri_bytes",
     {"300", "8192"}},
    {{NULL, {NULL}, {"--keepalive-idle", "29", NULL}},
     "keepalive_idle",
     {"body_timeout (30)", "found 29"}},
    {{NULL, {NULL}, {"--watchdog", "0.4", NULL}},
     "watchdog",
     {"at least 0.5", "found 0.4"}},
    {{NULL, {NULL}, {"--config", "/nonexistent/x", NULL}},
     NULL,
     {"/nonexistent/x", "No such"}},
};

static void refusals_name_key_source_expected_and_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        struct config cfg;
        struct err err;
        if (load(&cfg, &r->start, &err) == 0)
            fail_msg("case %zu was accepted", i);
        if (r->param && strcmp(r->param, err.param) != 0)
            fail_msg("case %zu: param %s in: %s", i, err.param, err.text);
        for (size_t k = 0; k < 3 && r->words[k]; k++) {
            if (!strstr(err.text, r->words[k]))
                fail_msg("case %zu: no %s in: %s", i, r->words[k], err.text);
        }
        config_free(&cfg);
    }
}

/* What never ends is below nothing. */
static void an_idle_time_beside_no_body_timeout_is_accepted(void **state)
{
    (void)state;
    static const struct start starts[] = {
        {NULL, {NULL}, {"--keepalive-idle=1", "--body-timeout=0", NULL}},
        {NULL, {NULL}, {"--keepalive-idle=30", "--watchdog=0", NULL}},
        {NULL, {NULL}, {"--keepalive-idle=0", "--watchdog=.5", NULL}}};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct config cfg;
        assert_int_equal(load(&cfg, &starts[i], &(struct err){0}), 0);
        config_free(&cfg);
    }
}

static void a_secret_is_shown_nowhere(void **state)
{
    (void)state;
    struct config cfg;
    struct err err;
    struct buf out = {0};
    struct start good = {"{\"api_key\": \"hunter2\"}", {NULL}, {NULL}};
    assert_int_equal(load(&cfg, &good, &err), 0);
    assert_string_equal(cfg.api_key, "hunter2");
    config_print(&cfg, &out);
    assert_null(strstr(out.data, "hunter2"));
    assert_non_null(strstr(out.data, "\"api_key\": \"***\""));
    buf_free(&out);
    config_free(&cfg);

    static char variable[2000] = "SSMD_API_KEY=";
    memset(variable + 13, 'k', sizeof variable - 14);
    struct start bad = {NULL, {variable, NULL}, {NULL}};
    assert_true(load(&cfg, &bad, &err) < 0);
    assert_null(strstr(err.text, "kkkk"));
    config_free(&cfg);
}

/* ---- printing --------------------------------------------------------------- */

static void read_file(const char *path, struct buf *out)
{
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(out, piece, n);
    fclose(f);
}

/* The model is found at start, so its two lines are empty in the file and not in the
 * print. */
static bool found_at_start(const char *line)
{
    return strncmp(line, "    \"model\"", 11) == 0 ||
           strncmp(line, "    \"served_name\"", 17) == 0;
}

static void default_json_is_the_table(void **state)
{
    (void)state;
    struct buf file = {0}, print = {0};
    struct config cfg;
    struct err err;
    struct start none = {NULL, {NULL}, {NULL}};
    assert_int_equal(load(&cfg, &none, &err), 0);
    config_print(&cfg, &print);
    config_free(&cfg);
    read_file("configs/default.json", &file);
    char *a_rest, *b_rest;
    char *a = strtok_r(file.data, "\n", &a_rest),
         *b = strtok_r(print.data, "\n", &b_rest);
    while (a && b) {
        if (found_at_start(a))
            assert_true(strstr(a, ": \"\",") || strstr(a, ": [],"));
        else
            assert_string_equal(a, b);
        a = strtok_r(NULL, "\n", &a_rest);
        b = strtok_r(NULL, "\n", &b_rest);
    }
    assert_null(a);
    assert_null(b);
    buf_free(&file);
    buf_free(&print);
}

static void shipped_files_are_accepted(void **state)
{
    (void)state;
    static const char *const paths[] = {"configs/default.json", "configs/dev.json",
                                        "configs/container.json", "configs/service.json"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct config cfg;
        struct err err;
        struct start s = {NULL, {NULL}, {"--config", paths[i], NULL}};
        assert_int_equal(load(&cfg, &s, &err), 0);
        if (i == 2) {
            assert_string_equal(cfg.host, "0.0.0.0");
            assert_true(cfg.drain_grace_s == 5);
        }
        config_free(&cfg);
    }
}

static void what_is_printed_reads_back(void **state)
{
    (void)state;
    struct config cfg;
    struct err err;
    struct buf one = {0}, two = {0};
    struct start s = {NULL,
                      {"SSMD_HOST=::1", NULL},
                      {"--body-timeout=0.1", "--cors-allow-origins=a,\"b\\",
                       "--model=/m/x", "--memory-bytes=3TiB", NULL}};
    assert_int_equal(load(&cfg, &s, &err), 0);
    config_print(&cfg, &one);
    config_free(&cfg);
    struct start again = {one.data, {NULL}, {NULL}};
    assert_int_equal(load(&cfg, &again, &err), 0);
    config_print(&cfg, &two);
    config_free(&cfg);
    assert_string_equal(one.data, two.data);
    buf_free(&one);
    buf_free(&two);
}

/* ---- commands' own flags ---------------------------------------------------- */

static void a_command_has_its_own_flags_and_keys(void **state)
{
    (void)state;
    static const struct config_flag flags[] = {{"--ids", "1,2", ""},
                                               {"--json", NULL, ""}};
    char *good[] = {(char *)"--ids", (char *)"-1,2",        (char *)"--json",
                    (char *)"file",  (char *)"--context=9", NULL};
    char *other[] = {(char *)"--port=1", NULL},
         *twice[] = {(char *)"a", (char *)"b", NULL};
    char *env[] = {(char *)"SSMD_PORT=1", NULL};
    const char *values[2] = {0}, *operand[2] = {0};
    struct config_input in = {good, env, CONFIG_MODEL, flags, 2, values, operand, 0};
    struct config cfg;
    struct err err = {0};
    assert_int_equal(config_load(&cfg, &in, &err), 0);
    assert_string_equal(values[0], "-1,2");
    assert_string_equal(values[1], "");
    assert_string_equal(operand[0], "file");
    assert_int_equal(cfg.context, 9);
    config_free(&cfg);
    in.argv = other;
    assert_true(config_load(&cfg, &in, &err) < 0);
    config_free(&cfg);
    operand[0] = NULL;
    in.argv = twice;
    assert_true(config_load(&cfg, &in, &err) < 0);
    assert_non_null(strstr(err.text, "\"b\""));
    config_free(&cfg);
    operand[0] = NULL;
    in.more_operands = 1;
    assert_int_equal(config_load(&cfg, &in, &err), 0);
    assert_string_equal(operand[0], "a");
    assert_string_equal(operand[1], "b");
    config_free(&cfg);
}

static void served_name_follows_the_folder(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *name;
    } cases[] = {{"--model=/nonexistent/my-model", "my-model"},
                 {"--model=configs", "configs"},
                 {"--model=configs/", "configs"},
                 {"--model=configs/../tests/.", "tests"},
                 {"--shape=/nonexistent/a-shape.json", "a-shape"},
                 {"--shape=configs/shapes/pha-180m.json", "pha-180m"},
                 {"--shape=plain", "plain"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config cfg;
        struct err err;
        struct start s = {NULL, {NULL}, {cases[i].flag, NULL}};
        assert_int_equal(load(&cfg, &s, &err), 0);
        assert_int_equal(cfg.served_name.n, 1);
        assert_string_equal(cfg.served_name.items[0], cases[i].name);
        config_free(&cfg);
    }
}

static void several_names_come_as_text_or_array(void **state)
{
    (void)state;
    static const struct start starts[] = {
        {"{\"served_name\": [\"a\", \"org/b\"]}", {NULL}, {NULL}},
        {"{\"served_name\": \"a,org/b\"}", {NULL}, {NULL}},
        {NULL, {"SSMD_SERVED_NAME=a,org/b", NULL}, {NULL}},
        {NULL, {NULL}, {"--served-name", "a,org/b", NULL}}};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct config cfg;
        assert_int_equal(load(&cfg, &starts[i], &(struct err){0}), 0);
        assert_int_equal(cfg.served_name.n, 2);
        assert_string_equal(cfg.served_name.items[0], "a");
        assert_string_equal(cfg.served_name.items[1], "org/b");
        config_free(&cfg);
    }
}

static void a_shape_stands_alone(void **state)
{
    (void)state;
    struct config cfg;
    struct err err;
    struct engine_options o;
    struct start both = {NULL, {NULL}, {"--shape=a.json", "--model=b", NULL}};
    assert_int_equal(load(&cfg, &both, &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "shape");
    config_free(&cfg);
    struct start alone = {NULL, {NULL}, {"--shape=a.json", NULL}};
    assert_int_equal(load(&cfg, &alone, &err), 0);
    config_engine_options(&cfg, &o);
    assert_null(o.model_dir);
    assert_string_equal(o.shape, "a.json");
    config_free(&cfg);
}

static void a_wait_in_seconds_is_the_engines_in_nanoseconds(void **state)
{
    (void)state;
    struct config cfg;
    struct err err;
    struct engine_options o;
    struct start plain = {NULL, {NULL}, {"--model=b", NULL}},
                 set = {NULL, {NULL}, {"--model=b", "--wide-wait=0.5", NULL}};
    assert_int_equal(load(&cfg, &plain, &err), 0);
    config_engine_options(&cfg, &o);
    assert_int_equal(o.wide_wait_ns, 2000000000);
    config_free(&cfg);
    assert_int_equal(load(&cfg, &set, &err), 0);
    config_engine_options(&cfg, &o);
    assert_int_equal(o.wide_wait_ns, 500000000);
    config_free(&cfg);
}

static void persistence_needs_a_place_and_something_to_keep(void **state)
{
    (void)state;
    struct config cfg;
    struct err err;
    struct start starts[] = {
        {NULL, {NULL}, {"--model=b", "--state-persist=on", NULL}},
        {NULL,
         {NULL},
         {"--model=b", "--state-persist=on", "--state-dir=d", "--prefix-cache=off",
          NULL}},
    };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(load(&cfg, &starts[i], &err), -ERR_ARGUMENT);
        assert_string_equal(err.param, "state.persist");
        config_free(&cfg);
    }
    struct start good = {
        NULL, {NULL}, {"--model=b", "--state-persist=on", "--state-dir=d", NULL}};
    assert_int_equal(load(&cfg, &good, &err), 0);
    assert_int_equal(cfg.state_persist, 1);
    config_free(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_source_beats_the_one_below),
        cmocka_unit_test(the_file_may_be_named_by_the_environment),
        cmocka_unit_test(every_type_reads_from_every_source),
        cmocka_unit_test(refusals_name_key_source_expected_and_found),
        cmocka_unit_test(an_idle_time_beside_no_body_timeout_is_accepted),
        cmocka_unit_test(a_secret_is_shown_nowhere),
        cmocka_unit_test(default_json_is_the_table),
        cmocka_unit_test(shipped_files_are_accepted),
        cmocka_unit_test(what_is_printed_reads_back),
        cmocka_unit_test(a_command_has_its_own_flags_and_keys),
        cmocka_unit_test(served_name_follows_the_folder),
        cmocka_unit_test(several_names_come_as_text_or_array),
        cmocka_unit_test(a_shape_stands_alone),
        cmocka_unit_test(a_wait_in_seconds_is_the_engines_in_nanoseconds),
        cmocka_unit_test(persistence_needs_a_place_and_something_to_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
