/* Every numeric field at, below and beyond its limits, fractional, and of each wrong
 * type; and the lists among the generation fields. All through
 * completion_request_parse.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/completion_request.h"
#include "api/problem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 4096,
                                         .has_tokenizer = true,
                                         .max_prompts = 64,
                                         .max_choices = 256,
                                         .max_answer_tokens = 1 << 20};

/* {"prompt":"x",<members>} */
static int parse(struct completion_request *r, struct err *err, const char *members)
{
    char body[2000];
    int n = snprintf(body, sizeof body, "{\"prompt\":\"x\",%s}", members);
    *err = (struct err){0};
    return completion_request_parse(r, &limits, body, (size_t)n, err);
}

static void expect_ok(const char *members)
{
    struct completion_request r;
    struct err err;
    if (parse(&r, &err, members) != 0)
        fail_msg("%s: %s", members, err.text);
    completion_request_free(&r);
}

static void expect_error(const char *members, enum err_code code, const char *param)
{
    struct completion_request r;
    struct err err;
    if (parse(&r, &err, members) == 0)
        fail_msg("%s was accepted", members);
    if (err.code != code || strcmp(err.param, param) != 0)
        fail_msg("%s: code %d param \"%s\": %s", members, err.code, err.param, err.text);
    assert_int_equal(problem_of(err.code)->status, 400);
}

struct row {
    const char *name, *low, *high, *below, *beyond;
    bool integer;
};

static const struct row rows[] = {
    {"max_tokens", "1", "4095", "-1", "2147483648", true},
    {"min_tokens", "0", "16", "-1", "17", true},
    {"temperature", "0", "2", "-0.001", "2.001", false},
    {"top_p", "1e-300", "1", "0", "1.0001", false},
    {"min_p", "0", "1", "-1e-9", "1.5", false},
    {"typical_p", "0.001", "1.0", "0.0", "2", false},
    {"top_k", "-1", "2147483647", "-2", "2147483648", true},
    {"repetition_penalty", "0.01", "100", "0", "101", false},
    {"presence_penalty", "-2", "2", "-2.5", "2.5", false},
    {"frequency_penalty", "-2.0", "2.0", "-3", "1e300", false},
    {"n", "1", "128", "0", "129", true},
    {"best_of", "1", "20", "0", "21", true},
    {"logprobs", "0", "5", "-1", "6", true},
    {"priority", "-2147483648", "2147483647", "-2147483649", "2147483648", true},
    {"seed", "-9223372036854775808", "9223372036854775807", "\"1\"", "0.5", true},
};

static void each_numeric_field_keeps_its_limits(void **state)
{
    (void)state;
    static const char *const wrong[] = {"true", "false", "\"1\"", "[]", "[1]", "{}"};
    char m[200];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        const char *good[] = {r->low, r->high, "null"}, *bad[] = {r->below, r->beyond};
        for (size_t k = 0; k < 3; k++) {
            snprintf(m, sizeof m, "\"%s\":%s", r->name, good[k]);
            expect_ok(m);
        }
        for (size_t k = 0; k < 2; k++) {
            snprintf(m, sizeof m, "\"%s\":%s", r->name, bad[k]);
            expect_error(m, ERR_ARGUMENT, r->name);
        }
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            snprintf(m, sizeof m, "\"%s\":%s", r->name, wrong[k]);
            expect_error(m, ERR_ARGUMENT, r->name);
        }
        for (size_t k = 0; r->integer && k < 2; k++) {
            snprintf(m, sizeof m, "\"%s\":%s", r->name, k ? "2.0" : "1.5");
            expect_error(m, ERR_ARGUMENT, r->name);
        }
    }
}

static void numbers_of_any_size_are_json(void **state)
{
    (void)state;
    static const char *const large[] = {"9223372036854775808", "-9223372036854775809",
                                        "18446744073709551616", "1e999", "-1E+400000"};
    static const char *const names[] = {"seed",          "temperature", "max_tokens",
                                        "top_k",         "priority",    "logit_bias",
                                        "stop_token_ids"};
    static const char *const forms[] = {"%s", "%s",         "%s",  "%s",
                                        "%s", "{\"1\":%s}", "[%s]"};
    char value[60], members[120];
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            const char *form = forms[k], *at = strchr(form, '%');
            snprintf(value, sizeof value, "%.*s%s%s", (int)(at - form), form, large[i],
                     at + 2);
            snprintf(members, sizeof members, "\"%s\":%s", names[k], value);
            expect_error(members, ERR_ARGUMENT, names[k]);
        }
        snprintf(members, sizeof members, "\"x\":[%s],\"y\":{\"z\":%s}", large[i],
                 large[i]);
        expect_ok(members);
    }
    expect_error("\"temperature\":NaN", ERR_ARGUMENT, "");
    expect_ok("\"temperature\":1e-999");
    expect_ok("\"seed\":-9223372036854775808");
}

static void values_land_where_they_belong(void **state)
{
    (void)state;
    struct completion_request r;
    struct err err;
    assert_int_equal(
        parse(&r, &err,
              "\"max_tokens\":9,\"min_tokens\":3,\"temperature\":0.5,"
              "\"top_p\":0.25,\"min_p\":0.125,\"typical_p\":0.75,\"top_k\":7,"
              "\"repetition_penalty\":1.5,\"presence_penalty\":-1,"
              "\"frequency_penalty\":2,\"seed\":-5,\"n\":3,\"logprobs\":2,"
              "\"priority\":-4,\"ignore_eos\":true,"
              "\"include_stop_str_in_output\":true"),
        0);
    const struct gen_params *g = &r.gen;
    assert_int_equal(g->max_tokens, 9);
    assert_int_equal(g->min_tokens, 3);
    assert_true(g->temperature == 0.5F && g->top_p == 0.25F && g->min_p == 0.125F);
    assert_true(g->typical_p == 0.75F && g->repetition_penalty == 1.5F);
    assert_true(g->presence_penalty == -1 && g->frequency_penalty == 2);
    assert_int_equal(g->top_k, 7);
    assert_true(r.has_seed && (int64_t)g->seed == -5);
    assert_true(g->n == 3 && r.n == 3 && r.best_of == 3);
    assert_true(g->logprobs == 2 && r.logprobs == 2 && !g->prompt_logprobs);
    assert_true(g->priority == -4 && g->ignore_eos && g->keep_stop);
    completion_request_free(&r);
}

static void defaults_are_those_of_the_contract(void **state)
{
    (void)state;
    struct completion_request r;
    struct err err;
    assert_int_equal(parse(&r, &err, "\"user\":null"), 0);
    const struct gen_params *g = &r.gen;
    assert_int_equal(g->max_tokens, 16);
    assert_true(g->temperature == 1 && g->top_p == 1 && g->min_p == 0 &&
                g->typical_p == 1);
    assert_true(g->repetition_penalty == 1 && g->presence_penalty == 0);
    assert_true(g->top_k == 0 && g->n == 1 && r.n == 1 && r.best_of == 1);
    assert_true(g->logprobs == -1 && r.logprobs == -1 && !r.has_seed);
    assert_true(!r.stream && !r.echo && !g->ignore_eos && !g->keep_stop);
    assert_true(g->n_stops == 0 && g->n_stop_ids == 0 && g->n_bias == 0);
    assert_int_equal(r.n_unknown_fields, 0);
    completion_request_free(&r);
}

static void off_values_of_top_k_are_zero(void **state)
{
    (void)state;
    static const char *const off[] = {"\"top_k\":-1", "\"top_k\":0", "\"top_k\":512",
                                      "\"top_k\":2147483647"};
    struct completion_request r;
    struct err err;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(parse(&r, &err, off[i]), 0);
        assert_int_equal(r.gen.top_k, 0);
        completion_request_free(&r);
    }
    assert_int_equal(parse(&r, &err, "\"top_k\":511,\"top_p\":1e-300"), 0);
    assert_int_equal(r.gen.top_k, 511);
    assert_true(r.gen.top_p > 0);
    completion_request_free(&r);
}

static void stops_are_one_to_four_texts(void **state)
{
    (void)state;
    struct completion_request r;
    struct err err;
    assert_int_equal(parse(&r, &err, "\"stop\":\"end\""), 0);
    assert_int_equal(r.gen.n_stops, 1);
    assert_string_equal(r.gen.stops[0], "end");
    completion_request_free(&r);
    assert_int_equal(
        parse(&r, &err, "\"stop\":[\"a\",\"b\\u0000c\",\"\xe2\x82\xac\",\"d\"]"), 0);
    assert_int_equal(r.gen.n_stops, 4);
    assert_int_equal(r.gen.stop_lens[1], 3);
    assert_memory_equal(r.gen.stops[1], "b\0c", 3);
    assert_int_equal(r.gen.stop_lens[2], 3);
    completion_request_free(&r);
    static const char *const bad[] = {
        "\"stop\":\"\"",         "\"stop\":[]",
        "\"stop\":[\"a\",\"\"]", "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]",
        "\"stop\":[1]",          "\"stop\":7",
        "\"stop\":{}",           "\"stop\":[null]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(bad[i], ERR_ARGUMENT, "stop");
}

static void stop_ids_are_in_the_vocabulary(void **state)
{
    (void)state;
    struct completion_request r;
    struct err err;
    assert_int_equal(parse(&r, &err, "\"stop_token_ids\":[0,511]"), 0);
    assert_int_equal(r.gen.n_stop_ids, 2);
    assert_int_equal(r.gen.stop_ids[1], 511);
    completion_request_free(&r);
    expect_ok("\"stop_token_ids\":[]");
    expect_error("\"stop_token_ids\":[512]", ERR_ARGUMENT, "stop_token_ids");
    expect_error("\"stop_token_ids\":[-1]", ERR_ARGUMENT, "stop_token_ids");
    expect_error("\"stop_token_ids\":[1.0]", ERR_ARGUMENT, "stop_token_ids");
    expect_error("\"stop_token_ids\":3", ERR_ARGUMENT, "stop_token_ids");
}

static void bias_keys_are_ids(void **state)
{
    (void)state;
    struct completion_request r;
    struct err err;
    assert_int_equal(parse(&r, &err, "\"logit_bias\":{\"0\":-100,\"511\":100,\"7\":0.5}"),
                     0);
    assert_int_equal(r.gen.n_bias, 3);
    assert_int_equal(r.gen.bias[1].id, 511);
    assert_true(r.gen.bias[0].bias == -100 && r.gen.bias[2].bias == 0.5F);
    completion_request_free(&r);
    expect_ok("\"logit_bias\":{}");
    static const char *const bad[] = {"{\"512\":1}",
                                      "{\"-1\":1}",
                                      "{\"a\":1}",
                                      "{\"\":1}",
                                      "{\"01\":1}",
                                      "{\" 1\":1}",
                                      "{\"1.0\":1}",
                                      "{\"1\":100.1}",
                                      "{\"1\":-101}",
                                      "{\"1\":true}",
                                      "{\"1\":null}",
                                      "{\"1\":\"2\"}",
                                      "[1]",
                                      "\"1\"",
                                      "{\"99999999999\":1}",
                                      "{\"4294967296\":1}",
                                      "{\"18446744073709551617\":1}"};
    char m[100];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(m, sizeof m, "\"logit_bias\":%s", bad[i]);
        expect_error(m, ERR_ARGUMENT, "logit_bias");
    }
}

static void unsupported_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *members, *param;
    } refused[] = {
        {"\"suffix\":\"x\"", "suffix"},
        {"\"suffix\":\"\"", "suffix"},
        {"\"response_format\":{\"type\":\"json_object\"}", "response_format"},
        {"\"tools\":[{}]", "tools"},
        {"\"tool_choice\":\"required\"", "tool_choice"},
        {"\"tool_choice\":{\"type\":\"function\"}", "tool_choice"},
        {"\"guided_regex\":\"a*\"", "guided_regex"},
        {"\"use_beam_search\":true", "use_beam_search"},
        {"\"prompt_logprobs\":0", "prompt_logprobs"},
        {"\"state\":{\"load\":\"s\"}", "state"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_error(refused[i].members, ERR_UNSUPPORTED, refused[i].param);
    expect_error("\"response_format\":\"text\"", ERR_ARGUMENT, "response_format");
    expect_ok("\"suffix\":null,\"tools\":[],\"tool_choice\":\"auto\",\"state\":null,"
              "\"response_format\":{\"type\":\"text\"},\"use_beam_search\":false");
    expect_ok("\"tool_choice\":\"none\"");
}

/* "must be an integer, not 1" would be a confusing answer to 1.0. */
static void a_whole_real_is_not_an_integer(void **state)
{
    (void)state;
    static const char *const sent[] = {"1.0", "1e2", "1.5", "1e300"};
    static const char *const told[] = {"not 1.0", "not 100.0", "not 1.5", "not 1e+300"};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        char members[40];
        struct completion_request r;
        struct err err;
        snprintf(members, sizeof members, "\"n\":%s", sent[i]);
        assert_int_equal(parse(&r, &err, members), -ERR_ARGUMENT);
        if (!strstr(err.text, told[i]))
            fail_msg("%s: %s", sent[i], err.text);
    }
}

/* What the model says holds where the request says nothing. */
static void defaults_of_the_model_come_before_those_of_the_contract(void **state)
{
    static const struct gen_defaults d = {.temperature = 0.5f,
                                          .top_p = NAN,
                                          .min_p = 0.25f,
                                          .typical_p = NAN,
                                          .repetition_penalty = 1.5f,
                                          .presence_penalty = NAN,
                                          .frequency_penalty = 0.75f,
                                          .top_k = 9};
    static const char bodies[][48] = {
        "{\"prompt\":\"x\"}", "{\"prompt\":\"x\",\"temperature\":2,\"top_k\":-1}"};
    struct api_limits of_model = limits;
    struct gen_defaults wide = d;
    struct completion_request r;
    struct err err;
    (void)state;
    of_model.defaults = &d;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            completion_request_parse(&r, &of_model, bodies[i], strlen(bodies[i]), &err),
            0);
        assert_true(r.gen.temperature == (i ? 2 : 0.5f) && r.gen.top_k == (i ? 0 : 9));
        assert_true(r.gen.top_p == 1 && r.gen.min_p == 0.25f && r.gen.typical_p == 1);
        assert_true(r.gen.repetition_penalty == 1.5f && r.gen.presence_penalty == 0);
        assert_true(r.gen.frequency_penalty == 0.75f);
        completion_request_free(&r);
    }
    wide.top_k = 512; /* all of the vocabulary */
    of_model.defaults = &wide;
    assert_int_equal(
        completion_request_parse(&r, &of_model, bodies[0], strlen(bodies[0]), &err), 0);
    assert_int_equal(r.gen.top_k, 0);
    completion_request_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_numeric_field_keeps_its_limits),
        cmocka_unit_test(numbers_of_any_size_are_json),
        cmocka_unit_test(a_whole_real_is_not_an_integer),
        cmocka_unit_test(values_land_where_they_belong),
        cmocka_unit_test(defaults_are_those_of_the_contract),
        cmocka_unit_test(defaults_of_the_model_come_before_those_of_the_contract),
        cmocka_unit_test(off_values_of_top_k_are_zero),
        cmocka_unit_test(stops_are_one_to_four_texts),
        cmocka_unit_test(stop_ids_are_in_the_vocabulary),
        cmocka_unit_test(bias_keys_are_ids),
        cmocka_unit_test(unsupported_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
