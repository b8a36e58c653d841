/* Bodies of /v1/completions: shapes, prompts, checks between fields, budgets, memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/completion_request.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 64,
                                         .has_tokenizer = true,
                                         .max_prompts = 64,
                                         .max_choices = 256,
                                         .max_answer_tokens = 1000};

static void expect_ok(struct completion_request *r, const char *body)
{
    struct err err = {0};
    if (completion_request_parse(r, &limits, body, strlen(body), &err) != 0)
        fail_msg("%s: %s", body, err.text);
}

static struct err expect_error(const char *body, enum err_code code, const char *param)
{
    struct completion_request r;
    struct err err = {0};
    if (completion_request_parse(&r, &limits, body, strlen(body), &err) == 0)
        fail_msg("%s was accepted", body);
    if (err.code != code || strcmp(err.param, param) != 0)
        fail_msg("%s: code %d param \"%s\": %s", body, err.code, err.param, err.text);
    return err;
}

static void a_body_is_one_json_object(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "[]",
                                      "\"prompt\"",
                                      "null",
                                      "1",
                                      "{",
                                      "{\"prompt\":\"x\"",
                                      "{\"prompt\":\"x\"}x",
                                      "{\"prompt\":\"x\",}",
                                      "{\"prompt\":\"x\",\"prompt\":\"x\"}",
                                      "{\"prompt\":\"x\",\"zz\":{\"a\":1,\"a\":1}}",
                                      "{\"prompt\":\"\\ud800\"}",
                                      "{\"prompt\":\"\xff\"}",
                                      "{'prompt':'x'}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(bad[i], ERR_ARGUMENT, "");
    struct err err = expect_error("{\"prompt\":\n\"x\",}", ERR_ARGUMENT, "");
    assert_non_null(strstr(err.text, "line 2"));
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    static char body[200100];
    int n = snprintf(body, sizeof body, "{\"prompt\":");
    memset(body + n, '[', 100000);
    memset(body + n + 100000, ']', 100000);
    struct completion_request r;
    struct err err;
    assert_int_equal(
        completion_request_parse(&r, &limits, body, (size_t)n + 200000, &err),
        -ERR_ARGUMENT);
}

static void all_four_shapes_of_prompt_are_read(void **state)
{
    (void)state;
    struct completion_request r;
    expect_ok(&r, "{\"prompt\":\"a\\u0000b\"}");
    assert_int_equal(r.prompts.n, 1);
    assert_int_equal(r.prompts.list[0].text_len, 3);
    assert_memory_equal(r.prompts.list[0].text, "a\0b", 3);
    completion_request_free(&r);
    expect_ok(&r, "{\"prompt\":[\"a\",\"bc\"]}");
    assert_int_equal(r.prompts.n, 2);
    assert_string_equal(r.prompts.list[1].text, "bc");
    completion_request_free(&r);
    expect_ok(&r, "{\"prompt\":[0,511,7]}");
    assert_int_equal(r.prompts.n, 1);
    assert_null(r.prompts.list[0].text);
    assert_int_equal(r.prompts.list[0].n_ids, 3);
    assert_int_equal(r.prompts.list[0].ids[1], 511);
    completion_request_free(&r);
    expect_ok(&r, "{\"prompt\":[[1],[2,3]]}");
    assert_int_equal(r.prompts.n, 2);
    assert_int_equal(r.prompts.list[1].n_ids, 2);
    assert_int_equal(r.prompts.list[1].ids[0], 2);
    completion_request_free(&r);
}

static void other_prompts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"prompt\":null}",
        "{\"prompt\":\"\"}",
        "{\"prompt\":[]}",
        "{\"prompt\":[\"\"]}",
        "{\"prompt\":[[]]}",
        "{\"prompt\":[\"a\",\"\"]}",
        "{\"prompt\":[\"a\",1]}",
        "{\"prompt\":[1,\"a\"]}",
        "{\"prompt\":[[1],2]}",
        "{\"prompt\":[[1],\"a\"]}",
        "{\"prompt\":[1,[2]]}",
        "{\"prompt\":[[[1]]]}",
        "{\"prompt\":[1.0]}",
        "{\"prompt\":[true]}",
        "{\"prompt\":[null]}",
        "{\"prompt\":[\"a\",null]}",
        "{\"prompt\":[{}]}",
        "{\"prompt\":{}}",
        "{\"prompt\":7}",
        "{\"prompt\":true}",
        "{\"prompt\":[512]}",
        "{\"prompt\":[-1]}",
        "{\"prompt\":[4294967296]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(bad[i], ERR_ARGUMENT, "prompt");
    struct err err = expect_error("{\"prompt\":[[1],[2,99999]]}", ERR_ARGUMENT, "prompt");
    assert_string_equal(err.text,
                        "`prompt[1][1]` is 99999, outside the vocabulary 0..511");
    err = expect_error("{\"prompt\":[\"a\",1]}", ERR_ARGUMENT, "prompt");
    assert_string_equal(err.text,
                        "`prompt[1]` must be a string like the prompts before it, "
                        "not an integer");
}

static void without_a_tokenizer_prompts_are_ids(void **state)
{
    (void)state;
    struct api_limits bare = limits;
    bare.has_tokenizer = false;
    struct completion_request r;
    struct err err;
    const char *text = "{\"prompt\":\"x\"}", *ids = "{\"prompt\":[1]}";
    assert_int_equal(completion_request_parse(&r, &bare, text, strlen(text), &err),
                     -ERR_UNSUPPORTED);
    assert_string_equal(err.param, "prompt");
    assert_int_equal(completion_request_parse(&r, &bare, ids, strlen(ids), &err), 0);
    completion_request_free(&r);
}

static void the_model_must_be_the_served_one(void **state)
{
    (void)state;
    struct completion_request r;
    expect_ok(&r, "{\"model\":\"tiny\",\"prompt\":\"x\"}");
    assert_string_equal(r.model, "tiny");
    completion_request_free(&r);
    expect_ok(&r, "{\"model\":null,\"prompt\":\"x\"}");
    completion_request_free(&r);
    expect_error("{\"model\":\"other\",\"prompt\":\"x\"}", ERR_MODEL, "model");
    expect_error("{\"model\":\"\",\"prompt\":\"x\"}", ERR_MODEL, "model");
    expect_error("{\"model\":\"tin\",\"prompt\":\"x\"}", ERR_MODEL, "model");
    expect_error("{\"model\":5,\"prompt\":\"x\"}", ERR_ARGUMENT, "model");
    expect_error("{\"model\":\"tiny\\u0000\",\"prompt\":\"x\"}", ERR_ARGUMENT, "model");
}

static void chat_is_sent_to_its_own_route(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"prompt\":\"x\",\"messages\":[{}]}"};
    for (size_t i = 0; i < 2; i++) {
        struct err err = expect_error(bodies[i], ERR_UNSUPPORTED, "messages");
        assert_non_null(strstr(err.text, "/v1/chat/completions"));
    }
}

static void switches_and_names_land(void **state)
{
    (void)state;
    struct completion_request r;
    expect_ok(&r,
              "{\"prompt\":\"x\",\"stream\":true,\"stream_options\":{\"include_usage\":"
              "true,\"other\":1},\"echo\":true,\"return_token_ids\":true,\"user\":\"u\","
              "\"cache_salt\":\"s\",\"unknown\":[1],\"message\":[],\"logprobs\":0}");
    assert_true(r.stream && r.include_usage && r.echo && r.return_token_ids);
    assert_string_equal(r.user, "u");
    assert_string_equal(r.cache_salt, "s");
    assert_int_equal(r.n_unknown_fields, 3);
    assert_true(r.logprobs == 0 && r.gen.logprobs == 0 && r.gen.prompt_logprobs);
    completion_request_free(&r);
    static const char *const names[] = {"stream", "echo", "return_token_ids",
                                        "ignore_eos"};
    static const char *const bad[] = {"1", "\"true\"", "[]", "0.0"};
    char body[200];
    for (size_t i = 0; i < 16; i++) {
        snprintf(body, sizeof body, "{\"prompt\":\"x\",\"%s\":%s}", names[i / 4],
                 bad[i % 4]);
        expect_error(body, ERR_ARGUMENT, names[i / 4]);
    }
}

static void names_are_bounded(void **state)
{
    (void)state;
    char body[800], salt[600];
    struct completion_request r;
    memset(salt, 's', sizeof salt);
    snprintf(body, sizeof body, "{\"prompt\":\"x\",\"cache_salt\":\"%.512s\"}", salt);
    expect_ok(&r, body);
    completion_request_free(&r);
    snprintf(body, sizeof body, "{\"prompt\":\"x\",\"cache_salt\":\"%.513s\"}", salt);
    expect_error(body, ERR_ARGUMENT, "cache_salt");
    expect_error("{\"prompt\":\"x\",\"cache_salt\":\"a\\u0000b\"}", ERR_ARGUMENT,
                 "cache_salt");
    expect_error("{\"prompt\":\"x\",\"user\":1}", ERR_ARGUMENT, "user");
}

static void fields_that_exclude_each_other(void **state)
{
    (void)state;
    struct completion_request r;
    expect_error("{\"prompt\":\"x\",\"n\":3,\"best_of\":2}", ERR_ARGUMENT, "best_of");
    expect_error("{\"prompt\":\"x\",\"best_of\":2,\"stream\":true}", ERR_ARGUMENT,
                 "best_of");
    expect_error("{\"prompt\":\"x\",\"stream_options\":{}}", ERR_ARGUMENT,
                 "stream_options");
    expect_error("{\"prompt\":\"x\",\"stream\":true,\"stream_options\":1}", ERR_ARGUMENT,
                 "stream_options");
    expect_error(
        "{\"prompt\":\"x\",\"stream\":true,\"stream_options\":{\"include_usage\":1}}",
        ERR_ARGUMENT, "include_usage");
    expect_error("{\"prompt\":\"x\",\"max_tokens\":0}", ERR_ARGUMENT, "max_tokens");
    expect_ok(&r, "{\"prompt\":\"x\",\"max_tokens\":0,\"echo\":true,\"logprobs\":5}");
    assert_true(r.gen.max_tokens == 0 && r.gen.prompt_logprobs && r.gen.logprobs == 5);
    completion_request_free(&r);
    expect_ok(&r, "{\"prompt\":\"x\",\"n\":2,\"best_of\":2,\"stream\":true}");
    completion_request_free(&r);
}

static void only_an_echo_with_logprobs_scores_the_prompt(void **state)
{
    (void)state;
    struct completion_request r;
    expect_ok(&r, "{\"prompt\":\"x\",\"echo\":true}");
    assert_false(r.gen.prompt_logprobs);
    completion_request_free(&r);
    expect_ok(&r, "{\"prompt\":\"x\",\"logprobs\":1}");
    assert_false(r.gen.prompt_logprobs);
    completion_request_free(&r);
}

static void ranking_asks_for_logprobs(void **state)
{
    (void)state;
    struct completion_request r;
    expect_ok(&r, "{\"prompt\":\"x\",\"n\":2,\"best_of\":5}");
    assert_true(r.n == 2 && r.best_of == 5 && r.gen.n == 5);
    assert_true(r.gen.logprobs == 0 && r.logprobs == -1 && !r.gen.prompt_logprobs);
    completion_request_free(&r);
    expect_ok(&r, "{\"prompt\":\"x\",\"best_of\":5,\"logprobs\":3}");
    assert_true(r.gen.logprobs == 3 && r.logprobs == 3);
    completion_request_free(&r);
}

static void the_context_is_checked_for_ids(void **state)
{
    (void)state;
    struct completion_request r;
    expect_ok(&r, "{\"prompt\":[1,2],\"max_tokens\":62}");
    completion_request_free(&r);
    struct err err =
        expect_error("{\"prompt\":[[1],[1,2]],\"max_tokens\":63}", ERR_CONTEXT, "prompt");
    assert_non_null(strstr(err.text, "2 tokens"));
    assert_non_null(strstr(err.text, "64 tokens"));
    expect_error("{\"prompt\":\"x\",\"max_tokens\":64}", ERR_CONTEXT, "max_tokens");
    expect_error("{\"prompt\":\"x\",\"max_tokens\":2147483647}", ERR_CONTEXT,
                 "max_tokens");
    expect_ok(&r, "{\"prompt\":\"x\",\"max_tokens\":63}");
    completion_request_free(&r);
}

static void the_worst_case_is_budgeted(void **state)
{
    (void)state;
    struct completion_request r;
    expect_ok(&r, "{\"prompt\":[\"a\",\"b\"],\"n\":128,\"max_tokens\":3}");
    completion_request_free(&r);
    expect_error("{\"prompt\":[\"a\",\"b\"],\"n\":128,\"max_tokens\":4}", ERR_BUDGET,
                 "max_tokens");
    struct err err = expect_error(
        "{\"prompt\":[\"a\",\"b\",\"c\"],\"n\":128,\"max_tokens\":1}", ERR_BUDGET, "n");
    assert_non_null(strstr(err.text, "384"));
    assert_non_null(strstr(err.text, "256"));
}

static void ten_thousand_prompts_are_refused_unread(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "{\"prompt\":[\"a\"");
    for (int i = 1; i < 10000; i++)
        buf_puts(&b, ",\"a\"");
    buf_puts(&b, "]}");
    struct err err = expect_error(b.data, ERR_BUDGET, "prompt");
    assert_non_null(strstr(err.text, "10000"));
    assert_non_null(strstr(err.text, "64"));
    buf_free(&b);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    static const char body[] =
        "{\"prompt\":[\"a\",\"b\"],\"stop\":[\"x\",\"y\"],\"model\":"
        "\"tiny\",\"logit_bias\":{\"1\":2},\"stop_token_ids\":[3],"
        "\"user\":\"u\",\"cache_salt\":\"s\"}";
    struct completion_request r;
    int failures = 0;
    for (long k = 1;; k++, failures++) {
        struct err err = {0};
        mem_fail_after(k);
        int rc = completion_request_parse(&r, &limits, body, sizeof body - 1, &err);
        mem_fail_after(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_MEMORY);
        completion_request_free(&r);
    }
    completion_request_free(&r);
    assert_true(failures >= 1);
}

static void states_are_named(void **state)
{
    (void)state;
    static const struct api_limits keeps = {.served_name = "tiny",
                                            .vocab_size = 512,
                                            .context_tokens = 64,
                                            .has_tokenizer = true,
                                            .has_states = true,
                                            .max_prompts = 64,
                                            .max_choices = 256,
                                            .max_answer_tokens = 1000};
    static const struct {
        const char *fields, *param; /* param NULL: fine */
        enum err_code code;
    } cases[] = {
        {"\"state\":{\"load\":\"a.b-C_9\",\"save\":\"-\"}", NULL, ERR_NONE},
        {"\"state\":{\"load\":\"a\"},\"n\":3", NULL, ERR_NONE},
        {"\"state\":{\"load\":\"a\"},\"echo\":true", NULL, ERR_NONE},
        {"\"state\":{}", NULL, ERR_NONE},
        {"\"state\":null", NULL, ERR_NONE},
        {"\"state\":{\"load\":null}", NULL, ERR_NONE},
        {"\"state\":\"a\"", "state", ERR_ARGUMENT},
        {"\"state\":{\"load\":7}", "state.load", ERR_ARGUMENT},
        {"\"state\":{\"load\":\"\"}", "state.load", ERR_ARGUMENT},
        {"\"state\":{\"load\":\"http://x/v1/states/a\"}", "state.load", ERR_ARGUMENT},
        {"\"state\":{\"save\":\"../a\"}", "state.save", ERR_ARGUMENT},
        {"\"state\":{\"save\":\"a\"},\"n\":2", "state.save", ERR_ARGUMENT},
        {"\"state\":{\"save\":\"a\"},\"best_of\":2", "state.save", ERR_ARGUMENT},
        {"\"state\":{\"load\":\"a\"},\"echo\":true,\"logprobs\":1", "state.load",
         ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct completion_request r;
        struct err err = {0};
        char body[256];
        int n = snprintf(body, sizeof body, "{\"prompt\":\"x\",%s}", cases[i].fields);
        int rc = completion_request_parse(&r, &keeps, body, (size_t)n, &err);
        if (rc != -(int)cases[i].code ||
            (rc && strcmp(err.param, cases[i].param ? cases[i].param : "") != 0))
            fail_msg("%s: %d %s: %s", body, rc, err.param, err.text);
        if (rc == 0)
            completion_request_free(&r);
    }
    expect_error("{\"prompt\":\"x\",\"state\":{\"save\":\"a\"}}", ERR_UNSUPPORTED,
                 "state");
    static const char many[] = "{\"prompt\":[\"x\",\"y\"],\"state\":{\"save\":\"a\"}}";
    struct completion_request r;
    struct err err;
    assert_int_equal(completion_request_parse(&r, &keeps, many, sizeof many - 1, &err),
                     -ERR_ARGUMENT);
    assert_string_equal(err.param, "state.save");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_named),
        cmocka_unit_test(a_body_is_one_json_object),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(all_four_shapes_of_prompt_are_read),
        cmocka_unit_test(other_prompts_are_refused),
        cmocka_unit_test(without_a_tokenizer_prompts_are_ids),
        cmocka_unit_test(the_model_must_be_the_served_one),
        cmocka_unit_test(chat_is_sent_to_its_own_route),
        cmocka_unit_test(switches_and_names_land),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(fields_that_exclude_each_other),
        cmocka_unit_test(only_an_echo_with_logprobs_scores_the_prompt),
        cmocka_unit_test(ranking_asks_for_logprobs),
        cmocka_unit_test(the_context_is_checked_for_ids),
        cmocka_unit_test(the_worst_case_is_budgeted),
        cmocka_unit_test(ten_thousand_prompts_are_refused_unread),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
