/* Requests of /v1/responses: items become the messages that a chat's client sends, what
 * answers repeat, and what is refused with which place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/responses_request.h"
#include "engine/base/mem.h"
#include "tests/lib/json_same.h"
#include "tests/lib/shown_messages.h"

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
                                         .max_prompts = 8,
                                         .max_choices = 64,
                                         .max_answer_tokens = 10000};

static void parse(struct responses_request *r, const char *body)
{
    struct err err = {0};
    if (responses_request_parse(r, &limits, body, strlen(body), &err) != 0)
        fail_msg("%s: %s", body, err.text);
}

/* ---- a conversation as one line ---------------------------------------------- */

static void gives(const char *input, const char *expected)
{
    struct responses_request r;
    struct buf body = {0}, shown = {0};
    buf_printf(&body, "{\"input\":%s}", input);
    parse(&r, body.data);
    shown_messages_put(&shown, &r.chat.chat);
    assert_string_equal(shown.data, expected);
    assert_true(r.chat.chat.add_generation_prompt);
    buf_free(&body);
    buf_free(&shown);
    responses_request_free(&r);
}

#define USER "{\"role\":\"user\",\"content\":\"q\"}"
#define CALL(id)                                                                         \
    "{\"type\":\"function_call\",\"call_id\":\"" id "\",\"name\":\"f\","                 \
    "\"arguments\":\"{}\"}"
#define OUTPUT(id)                                                                       \
    "{\"type\":\"function_call_output\",\"call_id\":\"" id "\",\"output\":\"o\"}"

static void a_text_is_a_message(void **state)
{
    (void)state;
    gives("\"a\\u00e9\"", "U[a\xc3\xa9] ");
    gives("\"\"", "U[] ");
}

static void messages(void **state)
{
    (void)state;
    gives("[" USER "]", "U[q] ");
    gives("[{\"type\":\"message\",\"role\":\"developer\",\"id\":\"msg_1\",\"content\":"
          "[{\"type\":\"input_text\",\"text\":\"d\"}]}," USER "]",
          "D[d] U[q] ");
    gives(
        "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":["
        "{\"type\":\"input_text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}]",
        "S[s] U[[a|b]] ");
    gives("[{\"type\":null,\"role\":\"user\",\"content\":null}]", "U[] ");
    gives("[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"a\","
          "\"cache_control\":{\"type\":\"ephemeral\"}}]}]",
          "U[a]! ");
}

static void an_assistants_neighbours_are_one_message(void **state)
{
    (void)state;
    gives("[" USER ",{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"content\":"
          "[{\"type\":\"reasoning_text\",\"text\":\"hm\"}]},"
          "{\"type\":\"message\",\"role\":\"assistant\",\"status\":\"completed\","
          "\"id\":\"msg_1\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\","
          "\"annotations\":[]}]}," CALL("1") "," CALL("2") "," OUTPUT("2") "," OUTPUT(
              "1") "," USER "]",
          "U[q] A{hm}[b]f(1,{})f(2,{}) T#2[o] T#1[o] U[q] ");
    gives("[" USER "," CALL("1") "," OUTPUT("1") "," CALL("2") "," OUTPUT("2") "]",
          "U[q] A[]f(1,{}) T#1[o] A[]f(2,{}) T#2[o] ");
    gives("[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"assistant\","
          "\"content\":\"b\"}," USER ",{\"role\":\"assistant\",\"content\":\"c\"}]",
          "A[[a|b]] U[q] A[c] ");
    /* What is skipped parts no neighbours. */
    gives("[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
          "\"h\"},{\"type\":\"summary_text\",\"text\":\"m\"}]},"
          "{\"type\":\"web_search_call\",\"id\":\"ws_1\"},"
          "{\"role\":\"assistant\",\"content\":\"a\"}]",
          "A{h\nm}[a] ");
}

static void reasoning_comes_back(void **state)
{
    (void)state;
    gives("[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
          "\"s\"}],\"encrypted_content\":\"aMOpbQ==\"}," USER "]",
          "A{h\xc3\xa9m}[] U[q] ");
    gives("[{\"type\":\"reasoning\",\"summary\":[],\"content\":[{\"type\":"
          "\"reasoning_text\",\"text\":\"c\"}],\"encrypted_content\":\"aG0=\"}," USER "]",
          "A{c}[] U[q] ");
    /* Another server's secret: its summary, or nothing. */
    gives("[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
          "\"s\"}],\"encrypted_content\":\"gAAAA-_x\"}," USER "]",
          "A{s}[] U[q] ");
    gives("[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
          "\"s\"}],\"encrypted_content\":\"/w==\"}," USER "]",
          "A{s}[] U[q] ");
    gives("[{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":null}," USER "]",
          "U[q] ");
}

static void what_is_skipped_is_counted(void **state)
{
    (void)state;
    struct responses_request r;
    parse(&r, "{\"input\":[{\"type\":\"custom_tool_call\",\"id\":\"1\"}," USER
              ",{\"type\":\"reasoning\",\"encrypted_content\":\"gAAAA-_x\"},"
              "{\"type\":\"custom_tool_call_output\",\"id\":\"2\"}]}");
    assert_int_equal(r.chat.n_unknown_fields, 3);
    assert_int_equal(r.chat.chat.n_messages, 1);
    responses_request_free(&r);
}

static void results_of_calls(void **state)
{
    (void)state;
    gives("[{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":"
          "{\"a\":[1,2.0]}},{\"type\":\"function_call_output\",\"call_id\":\"1\","
          "\"output\":[{\"type\":\"input_text\",\"text\":\"a\"},{\"type\":\"input_text\","
          "\"text\":\"b\"}]}]",
          "A[]f(1,{\"a\":[1,2.0]}) T#1[[a|b]] ");
}

static void instructions_come_first(void **state)
{
    (void)state;
    struct responses_request r;
    struct buf shown = {0};
    parse(&r, "{\"input\":[" USER "],\"instructions\":\"be brief\"}");
    shown_messages_put(&shown, &r.chat.chat);
    assert_string_equal(shown.data, "S[be brief] U[q] ");
    buf_free(&shown);
    responses_request_free(&r);
    parse(&r, "{\"input\":\"q\",\"instructions\":\"\"}");
    assert_int_equal(r.chat.chat.n_messages, 1);
    responses_request_free(&r);
}

/* ---- tools and settings ------------------------------------------------------ */

#define TOOL                                                                             \
    "{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"strict\":true,"       \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}}"

static void tools_take_chats_shape(void **state)
{
    (void)state;
    struct responses_request r;
    parse(&r, "{\"input\":\"q\",\"tools\":[{\"type\":\"web_search\"}," TOOL
              ",{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[]}]}");
    const struct chat *chat = &r.chat.chat;
    assert_int_equal(r.chat.n_unknown_fields, 2);
    assert_int_equal(chat->n_specs, 1);
    assert_memory_equal(chat->specs[0].name, "f", 2);
    assert_int_equal(chat->specs[0].n_params, 1);
    assert_int_equal(chat->specs[0].params[0].types, TOOL_INTEGER);
    assert_int_equal(jinja_list_len(chat->tools.list), 1);
    struct jinja_value tool = jinja_list_at(chat->tools.list, 0);
    struct jinja_value function = jinja_dict_get(tool.dict, "function", 8);
    assert_int_equal(function.kind, JINJA_DICT);
    assert_int_equal(jinja_dict_get(function.dict, "description", 11).kind, JINJA_STRING);
    assert_int_equal(jinja_dict_get(function.dict, "parameters", 10).kind, JINJA_DICT);
    assert_int_equal(jinja_dict_get(function.dict, "strict", 6).kind, JINJA_UNDEFINED);
    responses_request_free(&r);
    parse(&r, "{\"input\":\"q\",\"tools\":[{\"type\":\"web_search\"}]}");
    assert_int_equal(r.chat.chat.tools.kind, JINJA_NONE);
    responses_request_free(&r);
    parse(&r, "{\"input\":\"q\",\"tools\":[" TOOL "],\"tool_choice\":\"none\"}");
    assert_int_equal(r.chat.chat.n_specs, 0);
    assert_int_equal(r.chat.chat.tool_choice, CHAT_TOOLS_NONE);
    responses_request_free(&r);
}

static void repeats(const char *body, const char *expected)
{
    struct responses_request r;
    struct buf object = {0};
    parse(&r, body);
    buf_printf(&object, "{%s}", r.settings);
    json_same(expected, object.data, object.len);
    buf_free(&object);
    responses_request_free(&r);
}

#define FIXED                                                                            \
    ",\"store\":false,\"background\":false,\"truncation\":\"disabled\","                 \
    "\"service_tier\":\"default\",\"previous_response_id\":null,\"top_logprobs\":0"

static void answers_repeat_what_holds(void **state)
{
    (void)state;
    repeats("{\"input\":\"q\"}",
            "{\"instructions\":null,\"tools\":[],\"tool_choice\":\"auto\","
            "\"parallel_tool_calls\":true,\"temperature\":1,\"top_p\":1,"
            "\"max_output_tokens\":null,\"reasoning\":{\"effort\":null,\"summary\":null},"
            "\"text\":{\"format\":{\"type\":\"text\"}},\"user\":null,"
            "\"safety_identifier\":null,\"prompt_cache_key\":null,\"metadata\":{}" FIXED
            "}");
    repeats(
        "{\"input\":\"q\",\"instructions\":\"\\u00e9\\n\",\"tools\":[{\"type\":"
        "\"web_search\"}," TOOL "],\"tool_choice\":\"none\",\"temperature\":0.7,"
        "\"parallel_tool_calls\":false,\"top_p\":0.95,\"max_output_tokens\":9,"
        "\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},\"text\":{\"format\":"
        "{\"type\":\"text\"},\"verbosity\":\"low\"},\"user\":\"u\",\"store\":true,"
        "\"safety_identifier\":\"s\",\"prompt_cache_key\":\"k\",\"metadata\":"
        "{\"a\":\"\\\"\"},\"truncation\":\"auto\",\"service_tier\":\"flex\"}",
        "{\"instructions\":\"\xc3\xa9\\n\",\"tools\":[" TOOL
        "],\"tool_choice\":\"none\",\"parallel_tool_calls\":false,"
        "\"temperature\":0.7,\"top_p\":0.95,\"max_output_tokens\":9,\"reasoning\":"
        "{\"effort\":\"low\",\"summary\":\"auto\"},\"text\":{\"format\":{\"type\":"
        "\"text\"},\"verbosity\":\"low\"},\"user\":\"u\",\"safety_identifier\":\"s\","
        "\"prompt_cache_key\":\"k\",\"metadata\":{\"a\":\"\\\"\"}" FIXED "}");
}

/* Floats are written as they were sent. */
static void floats_are_short(void **state)
{
    (void)state;
    struct responses_request r;
    parse(&r, "{\"input\":\"q\",\"temperature\":0.7,\"top_p\":0.123456789}");
    assert_non_null(strstr(r.settings, "\"temperature\":0.7,\"top_p\":0.12345679,"));
    responses_request_free(&r);
}

static void fields_land(void **state)
{
    (void)state;
    struct responses_request r;
    parse(&r, "{\"input\":\"q\",\"model\":\"tiny\",\"stream\":true,\"temperature\":0,"
              "\"max_output_tokens\":7,\"seed\":3,\"top_k\":5,\"cache_salt\":\"c\","
              "\"reasoning\":{\"effort\":\"none\",\"summary\":\"detailed\"},"
              "\"include\":[\"message.output_text.logprobs\","
              "\"reasoning.encrypted_content\"],\"client_metadata\":{\"a\":\"b\"},"
              "\"background\":false,\"previous_response_id\":null,\"unknown_here\":1,"
              "\"modalities\":[\"text\"],\"stream_options\":{\"include_obfuscation\":"
              "false},\"verbosity\":\"low\",\"top_logprobs\":0}");
    assert_true(r.chat.stream && r.summary && r.encrypted && r.chat.has_seed);
    assert_int_equal(r.chat.gen.max_tokens, 7);
    assert_int_equal(r.chat.gen.top_k, 5);
    assert_int_equal(r.chat.gen.n, 1);
    assert_int_equal(r.chat.gen.logprobs, -1);
    assert_string_equal(r.chat.model, "tiny");
    assert_string_equal(r.chat.cache_salt, "c");
    assert_string_equal(r.chat.effort, "none");
    assert_int_equal(r.chat.n_unknown_fields, 1);
    struct jinja_value thinks =
        jinja_dict_get(r.chat.chat.kwargs.dict, "enable_thinking", 15);
    assert_int_equal(thinks.kind, JINJA_BOOL);
    responses_request_free(&r);
    parse(&r, "{\"input\":\"q\",\"reasoning\":{\"summary\":null},\"include\":[]}");
    assert_false(r.summary || r.encrypted || r.chat.stream);
    assert_int_equal(r.chat.gen.max_tokens, -1);
    responses_request_free(&r);
}

/* ---- refusals ----------------------------------------------------------------- */

static void refused(const char *body, enum err_code code, const char *param,
                    const char *says)
{
    struct responses_request r;
    struct err err = {0};
    int rc = responses_request_parse(&r, &limits, body, strlen(body), &err);
    if (rc != -(int)code || strcmp(err.param, param) != 0 || !strstr(err.text, says))
        fail_msg("%s: %d, `%s`: %s", body, rc, err.param, err.text);
}

static void bad_items_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *input, *param, *says;
        enum err_code code;
    } bad[] = {
        {"1", "input", "a text or a list of items", ERR_ARGUMENT},
        {"[]", "input", "must hold a message", ERR_ARGUMENT},
        {"[{\"type\":\"computer_call\"}]", "input", "must hold a message", ERR_ARGUMENT},
        {"[\"a\"]", "input[0]", "an object", ERR_ARGUMENT},
        {"[{}]", "input[0].role", "a string", ERR_ARGUMENT},
        {"[{\"type\":1}]", "input[0].type", "a string", ERR_ARGUMENT},
        {"[{\"role\":\"tool\",\"content\":\"\"}]", "input[0].role",
         "function_call_output", ERR_ARGUMENT},
        {"[" USER ",{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
         "\"image_url\":\"x\"}]}]",
         "input[1].content[0].type", "text only", ERR_UNSUPPORTED},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]",
         "input[0].content[0].text", "a string", ERR_ARGUMENT},
        {"[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]", "input[0]", "store: false",
         ERR_UNSUPPORTED},
        {"[{\"id\":\"msg_1\"}]", "input[0]", "store: false", ERR_UNSUPPORTED},
        {"[{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}]",
         "input[0].call_id", "a string", ERR_ARGUMENT},
        {"[{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"\"}]",
         "input[0].name", "must not be empty", ERR_ARGUMENT},
        {"[{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":1}]",
         "input[0].arguments", "JSON", ERR_ARGUMENT},
        {"[" USER "," OUTPUT("9") "]", "input[1].call_id", "of no call before it",
         ERR_ARGUMENT},
        {"[" USER "," CALL("1") "," CALL("2") "," OUTPUT("1") "," OUTPUT("3") "]",
         "input[4].call_id", "of no call before it", ERR_ARGUMENT},
        {"[" OUTPUT("1") "," CALL("1") "]", "input[0].call_id", "of no call before it",
         ERR_ARGUMENT},
        {"[{\"type\":\"reasoning\",\"summary\":\"s\"}]", "input[0].summary", "a list",
         ERR_ARGUMENT},
        {"[{\"type\":\"reasoning\",\"content\":[{\"text\":1}]}]",
         "input[0].content[0].text", "a string", ERR_ARGUMENT},
        {"[{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":1}]",
         "input[0].encrypted_content", "a string", ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"input\":%s}", bad[i].input);
        refused(body, bad[i].code, bad[i].param, bad[i].says);
    }
}

static void bad_fields_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *field, *param, *says;
        enum err_code code;
    } bad[] = {
        {"\"previous_response_id\":\"resp_1\"", "previous_response_id",
         "no response is stored", ERR_UNSUPPORTED},
        {"\"background\":true", "background", "given at once", ERR_UNSUPPORTED},
        {"\"conversation\":\"conv_1\"", "conversation", "stored", ERR_UNSUPPORTED},
        {"\"prompt\":{\"id\":\"p\"}", "prompt", "stored", ERR_UNSUPPORTED},
        {"\"instructions\":[]", "instructions", "a string", ERR_ARGUMENT},
        {"\"max_output_tokens\":0", "max_output_tokens", "from 1", ERR_ARGUMENT},
        {"\"max_output_tokens\":64", "max_output_tokens", "context", ERR_CONTEXT},
        {"\"max_tokens\":5", "max_tokens", "max_output_tokens", ERR_UNSUPPORTED},
        {"\"n\":2", "n", "must be 1", ERR_UNSUPPORTED},
        {"\"top_logprobs\":2", "top_logprobs", "chat/completions", ERR_UNSUPPORTED},
        {"\"text\":{\"format\":{\"type\":\"json_schema\"}}", "text.format.type",
         "structured output", ERR_UNSUPPORTED},
        {"\"text\":{\"format\":1}", "text.format", "an object", ERR_ARGUMENT},
        {"\"text\":{\"verbosity\":\"loud\"}", "text.verbosity", "\"medium\"",
         ERR_ARGUMENT},
        {"\"text\":1", "text", "an object", ERR_ARGUMENT},
        {"\"reasoning\":\"low\"", "reasoning", "an object", ERR_ARGUMENT},
        {"\"reasoning\":{\"effort\":\"some\"}", "reasoning.effort", "\"minimal\"",
         ERR_ARGUMENT},
        {"\"reasoning\":{\"summary\":\"long\"}", "reasoning.summary", "\"concise\"",
         ERR_ARGUMENT},
        {"\"include\":\"reasoning\"", "include", "a list", ERR_ARGUMENT},
        {"\"metadata\":[]", "metadata", "an object", ERR_ARGUMENT},
        {"\"tools\":{}", "tools", "a list of tools", ERR_ARGUMENT},
        {"\"tools\":[1]", "tools[0].type", "a string", ERR_ARGUMENT},
        {"\"tools\":[{\"type\":\"function\"}]", "tools[0].name", "a string",
         ERR_ARGUMENT},
        {"\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":[]}]",
         "tools[0].parameters", "an object", ERR_ARGUMENT},
        {"\"tool_choice\":1", "tool_choice", "\"auto\"", ERR_ARGUMENT},
        {"\"tool_choice\":\"required\"", "tool_choice", "structured output",
         ERR_UNSUPPORTED},
        {"\"tool_choice\":{\"type\":\"mcp\"}", "tool_choice.type", "not \"mcp\"",
         ERR_UNSUPPORTED},
        {"\"tool_choice\":{\"type\":\"function\",\"name\":\"g\"}", "tool_choice.name",
         "no tool", ERR_ARGUMENT},
        {"\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}",
         "tool_choice.name", "structured output", ERR_UNSUPPORTED},
        {"\"model\":\"other\"", "model", "other", ERR_MODEL},
        {"\"state\":{\"load\":\"s\"}", "state", "chat/completions", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"input\":\"q\",%s}", bad[i].field);
        refused(body, bad[i].code, bad[i].param, bad[i].says);
    }
    refused("{\"model\":\"tiny\"}", ERR_ARGUMENT, "input", "missing");
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    static const char body[] =
        "{\"instructions\":\"i\",\"input\":[" USER "," CALL("1") "," OUTPUT(
            "1") ",{\"type\":\"reasoning\",\"encrypted_content\":\"aG0=\"}],\"tools\":[" TOOL
                 "]}";
    int rc = -ERR_MEMORY;
    for (long n = 1; rc; n++) {
        struct responses_request r;
        struct err err;
        mem_fail_after(n);
        rc = responses_request_parse(&r, &limits, body, strlen(body), &err);
        mem_fail_after(0);
        assert_true(rc == 0 || rc == -ERR_MEMORY);
        if (rc == 0)
            responses_request_free(&r);
        assert_true(n < 1000);
    }
}

/* Many results each look for their call. */
static void many_items_take_linear_time(void **state)
{
    (void)state;
    struct responses_request r;
    struct buf body = {0};
    buf_puts(&body, "{\"input\":[");
    for (int i = 0; i < 20000; i++)
        buf_printf(&body,
                   "%s{\"type\":\"function_call\",\"call_id\":\"%d\",\"name\":\"f\"},"
                   "{\"type\":\"reasoning\",\"encrypted_content\":\"aG0=\"}",
                   i ? "," : "", i);
    for (int i = 0; i < 20000; i++)
        buf_printf(&body, ",{\"type\":\"function_call_output\",\"call_id\":\"%d\"}", i);
    buf_puts(&body, "]}");
    parse(&r, body.data);
    assert_int_equal(r.chat.chat.n_messages, 20001);
    assert_int_equal(r.chat.chat.messages[0].n_calls, 20000);
    assert_int_equal(r.chat.chat.messages[0].reasoning.len, 3 * 20000 - 1);
    buf_free(&body);
    responses_request_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_a_message),
        cmocka_unit_test(messages),
        cmocka_unit_test(an_assistants_neighbours_are_one_message),
        cmocka_unit_test(reasoning_comes_back),
        cmocka_unit_test(what_is_skipped_is_counted),
        cmocka_unit_test(results_of_calls),
        cmocka_unit_test(instructions_come_first),
        cmocka_unit_test(tools_take_chats_shape),
        cmocka_unit_test(answers_repeat_what_holds),
        cmocka_unit_test(floats_are_short),
        cmocka_unit_test(fields_land),
        cmocka_unit_test(bad_items_name_their_place),
        cmocka_unit_test(bad_fields_are_named),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
        cmocka_unit_test(many_items_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
