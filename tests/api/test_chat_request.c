/* Bodies of /v1/chat/completions: fields, checks between them, places in errors, memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_request.h"
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
                                         .has_states = true,
                                         .max_prompts = 64,
                                         .max_choices = 100,
                                         .max_answer_tokens = 200};

#define HI    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"

static void body_of(char *body, size_t cap, const char *fields)
{
    snprintf(body, cap, "{" HI "%s%s}", *fields ? "," : "", fields);
}

static struct chat_request parsed(const char *fields)
{
    char body[2000];
    struct chat_request r;
    struct err err = {0};
    body_of(body, sizeof body, fields);
    if (chat_request_parse(&r, &limits, body, strlen(body), &err) != 0)
        fail_msg("%s: %s", body, err.text);
    return r;
}

static struct err refused(const char *fields)
{
    char body[2000];
    struct chat_request r;
    struct err err = {0};
    body_of(body, sizeof body, fields);
    if (chat_request_parse(&r, &limits, body, strlen(body), &err) == 0)
        fail_msg("%s was accepted", body);
    return err;
}

/* A variable of the template; UNDEFINED: not set. */
static struct jinja_value variable(const struct chat_request *r, const char *name)
{
    if (r->chat.kwargs.kind != JINJA_DICT)
        return (struct jinja_value){.kind = JINJA_UNDEFINED};
    return jinja_dict_get(r->chat.kwargs.dict, name, strlen(name));
}

static bool variable_is(const struct chat_request *r, const char *name, const char *text)
{
    struct jinja_value v = variable(r, name);
    return v.kind == JINJA_STRING && v.string->len == strlen(text) &&
           memcmp(v.string->text, text, v.string->len) == 0;
}

static void what_holds_without_fields(void **state)
{
    (void)state;
    struct chat_request r = parsed("");
    assert_int_equal(r.chat.n_messages, 1);
    assert_int_equal(r.gen.max_tokens, -1);
    assert_int_equal(r.logprobs, -1);
    assert_int_equal(r.gen.logprobs, -1);
    assert_int_equal(r.gen.n, 1);
    assert_true(r.chat.add_generation_prompt && r.chat.parallel_tool_calls);
    assert_true(r.chat.tools.kind == JINJA_NONE && r.chat.kwargs.kind == JINJA_NONE);
    assert_false(r.stream || r.include_usage || r.has_seed || r.return_token_ids);
    assert_null(r.model);
    assert_null(r.effort);
    chat_request_free(&r);
}

static void fields_land(void **state)
{
    (void)state;
    struct chat_request r = parsed(
        "\"model\":\"tiny\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"user\":\"u\",\"cache_salt\":\"s\",\"prompt_cache_key\":\"k\",\"seed\":7,"
        "\"return_token_ids\":true,\"parallel_tool_calls\":false,\"temperature\":0,"
        "\"add_generation_prompt\":false,\"max_completion_tokens\":20,\"n\":2,"
        "\"logprobs\":true,\"top_logprobs\":20,\"stop\":\"x\",\"state\":{\"load\":\"a\"},"
        "\"store\":true,\"metadata\":{\"a\":\"b\"},\"service_tier\":\"auto\","
        "\"safety_identifier\":\"i\",\"verbosity\":\"low\",\"modalities\":[\"text\"],"
        "\"prediction\":{\"type\":\"content\"},\"response_format\":{\"type\":\"text\"},"
        "\"tool_choice\":\"auto\",\"not_known\":1,\"functions\":[]");
    assert_string_equal(r.model, "tiny");
    assert_true(r.stream && r.include_usage && r.return_token_ids && r.has_seed);
    assert_false(r.chat.parallel_tool_calls || r.chat.add_generation_prompt);
    assert_string_equal(r.user, "u");
    assert_string_equal(r.cache_salt, "s");
    assert_string_equal(r.prompt_cache_key, "k");
    assert_true(r.gen.seed == 7 && r.gen.n == 2 && r.gen.n_stops == 1);
    assert_true(r.gen.temperature == 0 && r.gen.max_tokens == 20);
    assert_true(r.logprobs == 20 && r.gen.logprobs == 20);
    assert_string_equal(r.state.load, "a");
    assert_int_equal(r.n_unknown_fields, 1);
    chat_request_free(&r);
}

static void limits_have_two_names(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int max_tokens;
    } cases[] = {{"\"max_tokens\":5", 5},
                 {"\"max_completion_tokens\":6", 6},
                 {"\"max_tokens\":7,\"max_completion_tokens\":7", 7},
                 {"\"max_tokens\":null", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_request r = parsed(cases[i].fields);
        assert_int_equal(r.gen.max_tokens, cases[i].max_tokens);
        chat_request_free(&r);
    }
}

static void logprobs_are_a_switch_and_a_number(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int logprobs;
    } cases[] = {{"\"logprobs\":true", 0},
                 {"\"logprobs\":true,\"top_logprobs\":3", 3},
                 {"\"logprobs\":false,\"top_logprobs\":0", -1},
                 {"\"logprobs\":false", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_request r = parsed(cases[i].fields);
        assert_int_equal(r.logprobs, cases[i].logprobs);
        chat_request_free(&r);
    }
}

static void effort_becomes_variables(void **state)
{
    (void)state;
    struct chat_request r = parsed("\"reasoning_effort\":\"low\"");
    assert_string_equal(r.effort, "low");
    assert_true(variable_is(&r, "reasoning_effort", "low"));
    assert_int_equal(variable(&r, "enable_thinking").kind, JINJA_UNDEFINED);
    chat_request_free(&r);
    r = parsed("\"reasoning_effort\":\"none\"");
    assert_int_equal(variable(&r, "enable_thinking").kind, JINJA_BOOL);
    assert_false(variable(&r, "enable_thinking").truth);
    chat_request_free(&r);
    r = parsed("\"reasoning_effort\":\"none\",\"chat_template_kwargs\":{\"x\":[1],"
               "\"enable_thinking\":true,\"reasoning_effort\":\"own\"}");
    assert_true(variable(&r, "enable_thinking").truth);
    assert_true(variable_is(&r, "reasoning_effort", "own"));
    assert_int_equal(variable(&r, "x").kind, JINJA_LIST);
    chat_request_free(&r);
}

static void tools_may_be_kept_from_the_answer(void **state)
{
    (void)state;
    struct chat_request r = parsed(TOOLS);
    assert_true(r.chat.n_specs == 1 && r.chat.tools.kind == JINJA_LIST);
    chat_request_free(&r);
    r = parsed("\"tool_choice\":\"none\"," TOOLS);
    assert_true(r.chat.n_specs == 0 && r.chat.tools.kind == JINJA_NONE);
    chat_request_free(&r);
}

#define F_CHOICE(name)                                                                   \
    "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":" name "}}"

static void bad_fields_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *param;
        enum err_code code;
    } cases[] = {
        {"\"model\":\"other\"", "model", ERR_MODEL},
        {"\"model\":7", "model", ERR_ARGUMENT},
        {"\"tool_choice\":\"required\"", "tool_choice", ERR_UNSUPPORTED},
        {"\"tool_choice\":\"any\"", "tool_choice", ERR_ARGUMENT},
        {"\"tool_choice\":{}", "tool_choice.type", ERR_ARGUMENT},
        {F_CHOICE("\"f\""), "tool_choice.function.name", ERR_ARGUMENT},
        {TOOLS "," F_CHOICE("\"g\""), "tool_choice.function.name", ERR_ARGUMENT},
        {F_CHOICE("\"f\"") "," TOOLS, "tool_choice.function.name", ERR_UNSUPPORTED},
        {F_CHOICE("1"), "tool_choice.function.name", ERR_ARGUMENT},
        {"\"parallel_tool_calls\":1", "parallel_tool_calls", ERR_ARGUMENT},
        {"\"response_format\":{\"type\":\"json_object\"}", "response_format.type",
         ERR_UNSUPPORTED},
        {"\"response_format\":{\"type\":1}", "response_format.type", ERR_ARGUMENT},
        {"\"response_format\":\"text\"", "response_format", ERR_ARGUMENT},
        {"\"reasoning_effort\":\"huge\"", "reasoning_effort", ERR_ARGUMENT},
        {"\"reasoning_effort\":1", "reasoning_effort", ERR_ARGUMENT},
        {"\"chat_template_kwargs\":[]", "chat_template_kwargs", ERR_ARGUMENT},
        {"\"chat_template_kwargs\":{\"messages\":1}", "chat_template_kwargs.messages",
         ERR_ARGUMENT},
        {"\"chat_template_kwargs\":{\"a\":1,\"bos\\u005ftoken\":null}",
         "chat_template_kwargs.bos_token", ERR_ARGUMENT},
        {"\"chat_template_kwargs\":{\"raise_exception\":1}",
         "chat_template_kwargs.raise_exception", ERR_ARGUMENT},
        {"\"chat_template_kwargs\":{\"a\":[0,{\"b\":18446744073709551616}]}",
         "chat_template_kwargs.a[1].b", ERR_ARGUMENT},
        {"\"add_generation_prompt\":\"no\"", "add_generation_prompt", ERR_ARGUMENT},
        {"\"max_tokens\":0", "max_tokens", ERR_ARGUMENT},
        {"\"max_tokens\":1,\"max_completion_tokens\":2", "max_tokens", ERR_ARGUMENT},
        {"\"max_completion_tokens\":64", "max_completion_tokens", ERR_CONTEXT},
        {"\"max_tokens\":64", "max_tokens", ERR_CONTEXT},
        {"\"max_tokens\":4,\"min_tokens\":5", "min_tokens", ERR_ARGUMENT},
        {"\"min_tokens\":64", "min_tokens", ERR_CONTEXT},
        {"\"n\":5,\"max_tokens\":60", "max_tokens", ERR_BUDGET},
        {"\"n\":101", "n", ERR_BUDGET},
        {"\"n\":0", "n", ERR_ARGUMENT},
        {"\"logprobs\":5", "logprobs", ERR_ARGUMENT},
        {"\"top_logprobs\":2", "top_logprobs", ERR_ARGUMENT},
        {"\"logprobs\":true,\"top_logprobs\":21", "top_logprobs", ERR_ARGUMENT},
        {"\"stream_options\":{}", "stream_options", ERR_ARGUMENT},
        {"\"stream\":true,\"stream_options\":1", "stream_options", ERR_ARGUMENT},
        {"\"stream\":true,\"stream_options\":{\"include_usage\":1}",
         "stream_options.include_usage", ERR_ARGUMENT},
        {"\"modalities\":[\"text\",\"audio\"]", "modalities", ERR_UNSUPPORTED},
        {"\"modalities\":\"text\"", "modalities", ERR_ARGUMENT},
        {"\"functions\":[{\"name\":\"f\"}]", "functions", ERR_UNSUPPORTED},
        {"\"function_call\":\"auto\"", "function_call", ERR_UNSUPPORTED},
        {"\"audio\":{\"voice\":\"x\"}", "audio", ERR_UNSUPPORTED},
        {"\"web_search_options\":{\"a\":1}", "web_search_options", ERR_UNSUPPORTED},
        {"\"prompt\":\"x\"", "prompt", ERR_UNSUPPORTED},
        {"\"chat_template\":\"x\"", "chat_template", ERR_UNSUPPORTED},
        {"\"cache_breakpoints\":[1]", "cache_breakpoints", ERR_UNSUPPORTED},
        {"\"state\":{\"save\":\"a\"},\"n\":2", "state.save", ERR_ARGUMENT},
        {"\"temperature\":3", "temperature", ERR_ARGUMENT},
        {"\"tools\":{}", "tools", ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = refused(cases[i].fields);
        if (err.code != cases[i].code || strcmp(err.param, cases[i].param) != 0)
            fail_msg("%s: code %d param \"%s\": %s", cases[i].fields, err.code, err.param,
                     err.text);
    }
}

static void every_name_of_the_server_is_kept(void **state)
{
    (void)state;
    static const char *const names[] = {
        "messages",  "tools",     "documents",    "add_generation_prompt",
        "bos_token", "eos_token", "strftime_now", "raise_exception",
        "range",     "namespace"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char fields[100];
        snprintf(fields, sizeof fields, "\"chat_template_kwargs\":{\"%s\":0}", names[i]);
        assert_non_null(strstr(refused(fields).text, "the server sets it"));
    }
}

static void a_conversation_is_needed(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{}", "{\"messages\":null}", "{\"messages\":[]}",
                                         "{\"messages\":{}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct chat_request r;
        struct err err = {0};
        assert_int_equal(
            chat_request_parse(&r, &limits, bodies[i], strlen(bodies[i]), &err),
            -ERR_ARGUMENT);
        assert_string_equal(err.param, "messages");
    }
}

static void states_need_a_directory(void **state)
{
    (void)state;
    struct api_limits bare = limits;
    bare.has_states = false;
    static const char body[] = "{" HI ",\"state\":{\"load\":\"a\"}}";
    struct chat_request r;
    struct err err;
    assert_int_equal(chat_request_parse(&r, &bare, body, sizeof body - 1, &err),
                     -ERR_UNSUPPORTED);
    assert_string_equal(err.param, "state");
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    static const char body[] =
        "{" HI "," TOOLS ",\"reasoning_effort\":\"none\","
        "\"chat_template_kwargs\":{\"a\":[1,{\"b\":\"c\"}]},\"user\":\"u\"}";
    struct chat_request r;
    long k = 1;
    for (;; k++) {
        struct err err = {0};
        mem_fail_after(k);
        int rc = chat_request_parse(&r, &limits, body, sizeof body - 1, &err);
        mem_fail_after(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_MEMORY);
    }
    chat_request_free(&r);
    assert_true(k > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_without_fields),
        cmocka_unit_test(fields_land),
        cmocka_unit_test(limits_have_two_names),
        cmocka_unit_test(logprobs_are_a_switch_and_a_number),
        cmocka_unit_test(effort_becomes_variables),
        cmocka_unit_test(tools_may_be_kept_from_the_answer),
        cmocka_unit_test(bad_fields_are_named),
        cmocka_unit_test(every_name_of_the_server_is_kept),
        cmocka_unit_test(a_conversation_is_needed),
        cmocka_unit_test(states_need_a_directory),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
