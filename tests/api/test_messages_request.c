/* Requests of /v1/messages: blocks become the messages that a chat's client sends, and
 * what is refused with which place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/messages_request.h"
#include "engine/base/mem.h"
#include "tests/lib/shown_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 64,
                                         .has_tokenizer = true,
                                         .has_states = true,
                                         .max_prompts = 8,
                                         .max_choices = 64,
                                         .max_answer_tokens = 10000};

static void parse(struct messages_request *r, const char *body)
{
    struct err err = {0};
    if (messages_request_parse(r, &limits, body, strlen(body), &err) != 0)
        fail_msg("%s: %s", body, err.text);
}

/* ---- a conversation as one line ---------------------------------------------- */

/* `members`: the body's, but for max_tokens. */
static void body_gives(const char *members, const char *expected)
{
    struct messages_request r;
    struct buf body = {0}, shown = {0};
    buf_printf(&body, "{\"max_tokens\":5,%s}", members);
    parse(&r, body.data);
    shown_messages_put(&shown, &r.chat.chat);
    assert_string_equal(shown.data, expected);
    assert_true(r.chat.chat.add_generation_prompt);
    buf_free(&body);
    buf_free(&shown);
    messages_request_free(&r);
}

static void gives(const char *messages, const char *expected)
{
    struct buf members = {0};
    buf_printf(&members, "\"messages\":[%s]", messages);
    body_gives(members.data, expected);
    buf_free(&members);
}

#define TEXT(t) "{\"type\":\"text\",\"text\":\"" t "\"}"
#define MARKED(t)                                                                        \
    "{\"type\":\"text\",\"text\":\"" t "\",\"cache_control\":{\"type\":\"ephemeral\"}}"
#define USER(c)      "{\"role\":\"user\",\"content\":" c "}"
#define ASSISTANT(c) "{\"role\":\"assistant\",\"content\":" c "}"
#define CALL(id)                                                                         \
    "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":{\"a\": 1}}"
#define RESULT(id, more) "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\"" more "}"
#define HI               USER("\"hi\"")

static void turns_become_messages(void **state)
{
    (void)state;
    gives(HI, "U[hi] ");
    gives(USER("[" TEXT("a") "]"), "U[a] ");
    gives(USER("[" TEXT("a") "," TEXT("b") "]"), "U[[a|b]] ");
    gives(HI "," ASSISTANT("\"yes\"") "," USER("\"no\""), "U[hi] A[yes] U[no] ");
    gives(HI ",{\"role\":\"system\",\"content\":\"s\"}," USER("\"no\""),
          "U[hi] S[s] U[no] ");
    gives(HI ",{\"role\":\"system\",\"content\":[" TEXT("s") "]}", "U[hi] S[s] ");
    gives(USER("\"\""), "U[] ");
    gives(USER("[]"), "U[] ");
}

static void neighbours_of_one_role_are_one_message(void **state)
{
    (void)state;
    gives(HI "," USER("[" TEXT("a") "," TEXT("b") "]") "," HI, "U[[hi|a|b|hi]] ");
    gives(HI "," ASSISTANT("\"x\"") "," ASSISTANT("[" CALL("1") "]") "," HI,
          "U[hi] A[x]f(1,{\"a\":1}) U[hi] ");
}

static void the_system_is_the_first_message(void **state)
{
    (void)state;
    body_gives("\"system\":\"s\",\"messages\":[" HI "]", "S[s] U[hi] ");
    body_gives("\"messages\":[" HI "],\"system\":[" TEXT("s") "," MARKED("t") "]",
               "S[[s|t]]! U[hi] ");
    body_gives("\"system\":[],\"messages\":[" HI "]", "U[hi] ");
    body_gives("\"system\":null,\"messages\":[" HI "]", "U[hi] ");
}

static void results_stand_before_the_users_text(void **state)
{
    (void)state;
    const char *call = HI "," ASSISTANT("[" TEXT("go") "," CALL("1") "," CALL("2") "]");
    struct buf b = {0};
    buf_printf(&b, "%s,%s", call,
               USER("[" TEXT("x") "," RESULT("1", ",\"content\":\"r\"") "," RESULT(
                   "2", ",\"content\":[" TEXT("s") "," TEXT("t") "]") "," TEXT("y") "]"));
    gives(b.data, "U[hi] A[go]f(1,{\"a\":1})f(2,{\"a\":1}) T#1[r] T#2[[s|t]] U[[x|y]] ");
    buf_reset(&b);
    buf_printf(&b, "%s,%s,%s", call, USER("[" RESULT("1", "") "]"),
               USER("[" RESULT("2", ",\"content\":\"\",\"is_error\":false") "]"));
    gives(b.data, "U[hi] A[go]f(1,{\"a\":1})f(2,{\"a\":1}) T#1[] T#2[] ");
    buf_reset(&b);
    buf_printf(&b, "%s,%s", call,
               USER("[" RESULT("2", ",\"is_error\":true") "," RESULT(
                   "1", ",\"is_error\":true,\"content\":\"why\",\"cache_control\":"
                        "{\"type\":\"ephemeral\"}") "]"));
    gives(b.data, "U[hi] A[go]f(1,{\"a\":1})f(2,{\"a\":1}) T#2[error] T#1[why]! ");
    buf_free(&b);
}

static void thinking_is_reasoning(void **state)
{
    (void)state;
#define THINKING(t, s)                                                                   \
    "{\"type\":\"thinking\",\"thinking\":\"" t "\",\"signature\":\"" s "\"}"
    gives(HI "," ASSISTANT("[" THINKING("hm", "ssmd:") "," TEXT("a") "]") "," HI,
          "U[hi] A{hm}[a] U[hi] ");
    gives(HI "," ASSISTANT(
              "[" THINKING("a", "x") "," CALL("1") "," THINKING("b", "") "]") "," HI,
          "U[hi] A{a\nb}[]f(1,{\"a\":1}) U[hi] ");
    /* What was left out is in a signature of ours; what another server left out is not. */
    gives(HI "," ASSISTANT("[" THINKING("", "ssmd:aG0=") "," TEXT("a") "]") "," HI,
          "U[hi] A{hm}[a] U[hi] ");
    gives(HI "," ASSISTANT("[" THINKING("", "SSMD:aG0=") "," THINKING(
              "", "ssmd:!") ","
                            "{\"type\":\"redacted_thinking\",\"data\":\"aG0=\"},"
                            "{\"type\":\"server_tool_use\",\"id\":\"1\"},"
                            "{\"type\":\"web_search_tool_result\"}]") "," HI,
          "U[hi] A[] U[hi] ");
}

static void marks_are_breakpoints(void **state)
{
    (void)state;
    gives(USER("[" MARKED("a") "," TEXT("b") "]"), "U[[a|b]]! ");
    gives(HI
          "," ASSISTANT("[{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\",\"input\":"
                        "{},\"cache_control\":{\"type\":\"ephemeral\"}}]") "," HI,
          "U[hi] A[]f(1,{})! U[hi] ");
    body_gives("\"cache_control\":{\"type\":\"ephemeral\"},\"messages\":[" HI
               "," ASSISTANT("\"x\"") "," HI "]",
               "U[hi] A[x] U[hi]! ");
}

/* ---- fields ------------------------------------------------------------------ */

#define BODY(more) "{\"max_tokens\":5,\"messages\":[" HI "]" more "}"

static void fields_of_generation(void **state)
{
    (void)state;
    struct messages_request r;
    parse(&r, BODY(",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":7,\"seed\":3,"
                   "\"stop_sequences\":[\"a\",\"bc\"],\"stream\":true,\"model\":\"tiny\","
                   "\"metadata\":{\"user_id\":\"u\"},\"service_tier\":\"auto\","
                   "\"context_management\":{\"edits\":[]},\"beyond\":1"));
    const struct gen_params *g = &r.chat.gen;
    assert_int_equal(g->max_tokens, 5);
    assert_float_equal(g->temperature, 0.5, 0);
    assert_float_equal(g->top_p, 0.9f, 0);
    assert_int_equal(g->top_k, 7);
    assert_true(r.chat.has_seed && r.chat.stream);
    assert_int_equal(g->n_stops, 2);
    assert_string_equal(g->stops[1], "bc");
    assert_int_equal(r.chat.n_unknown_fields, 1);
    assert_int_equal(g->n, 1);
    messages_request_free(&r);
    parse(&r, BODY(",\"stop_sequences\":[],\"temperature\":1"));
    assert_int_equal(r.chat.gen.n_stops, 0);
    messages_request_free(&r);
    parse(&r, "{\"max_tokens\":0,\"messages\":[" HI "]}");
    assert_int_equal(r.chat.gen.max_tokens, 0);
    messages_request_free(&r);
}

static void tools_get_the_form_of_chat(void **state)
{
    (void)state;
    struct messages_request r;
    parse(&r,
          BODY(",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":"
               "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}},"
               "\"cache_control\":{\"type\":\"ephemeral\"}},"
               "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"},"
               "{\"type\":\"custom\",\"name\":\"g\",\"input_schema\":{}}],"
               "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"));
    const struct chat *chat = &r.chat.chat;
    assert_int_equal(chat->n_specs, 2);
    assert_string_equal(chat->specs[0].name, "f");
    assert_int_equal(chat->specs[0].params[0].types, TOOL_INTEGER);
    assert_int_equal(chat->tools.kind, JINJA_LIST);
    assert_false(chat->parallel_tool_calls);
    assert_int_equal(r.chat.n_unknown_fields, 1);
    messages_request_free(&r);
    parse(&r, BODY(",\"tools\":[{\"name\":\"f\"}],\"tool_choice\":{\"type\":\"none\"}"));
    assert_int_equal(r.chat.chat.n_specs, 0);
    assert_int_equal(r.chat.chat.tools.kind, JINJA_NONE);
    messages_request_free(&r);
}

static struct jinja_value variable(const struct messages_request *r, const char *name)
{
    struct jinja_value kwargs = r->chat.chat.kwargs;
    struct jinja_value none = {0};
    return kwargs.kind == JINJA_DICT ? jinja_dict_get(kwargs.dict, name, strlen(name))
                                     : none;
}

static void thinking_is_a_variable(void **state)
{
    (void)state;
    static const struct {
        const char *thinking;
        bool on;
    } cases[] = {{"{\"type\":\"enabled\",\"budget_tokens\":1024}", true},
                 {"{\"type\":\"adaptive\",\"display\":\"summarized\"}", true},
                 {"{\"type\":\"disabled\"}", false}};
    struct messages_request r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        buf_printf(&b, BODY(",\"thinking\":%s"), cases[i].thinking);
        parse(&r, b.data);
        struct jinja_value v = variable(&r, "enable_thinking");
        assert_int_equal(v.kind, JINJA_BOOL);
        assert_int_equal(v.truth, cases[i].on);
        assert_false(r.omit_thinking);
        messages_request_free(&r);
        buf_free(&b);
    }
    parse(&r, BODY());
    assert_int_equal(r.chat.chat.kwargs.kind, JINJA_NONE);
    messages_request_free(&r);
    parse(&r, BODY(",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},"
                   "\"output_config\":{\"effort\":\"high\"},"
                   "\"chat_template_kwargs\":{\"enable_thinking\":false}"));
    assert_true(r.omit_thinking);
    assert_string_equal(r.chat.effort, "high");
    assert_false(variable(&r, "enable_thinking").truth);
    messages_request_free(&r);
}

static void a_count_needs_no_limit(void **state)
{
    (void)state;
    static const char body[] = "{\"messages\":[" HI "]}";
    struct messages_request r;
    struct err err = {0};
    assert_int_equal(
        messages_request_parse_count(&r, &limits, body, sizeof body - 1, &err), 0);
    assert_int_equal(r.chat.gen.max_tokens, -1);
    messages_request_free(&r);
    assert_int_equal(messages_request_parse(&r, &limits, body, sizeof body - 1, &err),
                     -ERR_ARGUMENT);
    assert_string_equal(err.param, "max_tokens");
}

/* ---- refusals ---------------------------------------------------------------- */

#define CASE(messages, param)                                                            \
    {                                                                                    \
        "{\"max_tokens\":5,\"messages\":" messages "}", param                            \
    }
#define FIELD(more, param)                                                               \
    {                                                                                    \
        BODY("," more), param                                                            \
    }
static const struct {
    const char *body, *param;
} refusals[] = {
    {"{\"max_tokens\":5}", "messages"},
    CASE("{}", "messages"),
    CASE("[]", "messages"),
    CASE("[7]", "messages[0]"),
    CASE("[{}]", "messages[0].role"),
    CASE("[{\"role\":\"tool\"}]", "messages[0].role"),
    CASE("[{\"role\":\"user\"}]", "messages[0].content"),
    CASE("[" USER("[7]") "]", "messages[0].content[0]"),
    CASE("[" USER("[{}]") "]", "messages[0].content[0].type"),
    CASE("[" USER("[{\"type\":\"image\",\"source\":{}}]") "]",
         "messages[0].content[0].type"),
    CASE("[" USER("[{\"type\":\"document\"}]") "]", "messages[0].content[0].type"),
    CASE("[" USER("[{\"type\":\"input_text\",\"text\":\"a\"}]") "]",
         "messages[0].content[0].type"),
    CASE("[" USER("[" TEXT("a") ",{\"type\":\"text\"}]") "]",
         "messages[0].content[1].text"),
    CASE("[" USER("[" CALL("1") "]") "]", "messages[0].content[0].type"),
    CASE("[" HI "," ASSISTANT("[" RESULT("1", "") "]") "]",
         "messages[1].content[0].type"),
    CASE("[" HI "," ASSISTANT("\"x\"") "]", "messages[1]"),
    CASE("[" HI "," ASSISTANT("[{\"type\":\"tool_use\",\"id\":\"\",\"name\":\"f\","
                              "\"input\":{}}]") "," HI "]",
         "messages[1].content[0].id"),
    CASE("[" HI "," ASSISTANT("[{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\","
                              "\"input\":\"{}\"}]") "," HI "]",
         "messages[1].content[0].input"),
    CASE("[" HI "," ASSISTANT("[" CALL("1") "]") "," USER(
             "[" TEXT("a") "," RESULT("2", "") "]") "]",
         "messages[2].content[1].tool_use_id"),
    CASE("[" HI "," ASSISTANT("[" CALL("1") "]") "," USER(
             "[" RESULT("1", ",\"content\":[{\"type\":\"image\"}]") "]") "]",
         "messages[2].content[0].content[0].type"),
    CASE("[" HI "," ASSISTANT("[" CALL("1") "]") "," USER(
             "[" RESULT("1", ",\"is_error\":1") "]") "]",
         "messages[2].content[0].is_error"),
    CASE("[" HI "," ASSISTANT("[{\"type\":\"thinking\"}]") "," HI "]",
         "messages[1].content[0].thinking"),
    FIELD("\"system\":7", "system"),
    FIELD("\"system\":[{\"type\":\"image\"}]", "system[0].type"),
    FIELD("\"temperature\":1.5", "temperature"),
    FIELD("\"stop_sequences\":\"a\"", "stop_sequences"),
    FIELD("\"stop_sequences\":[\"\"]", "stop_sequences"),
    FIELD("\"stop_sequences\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop_sequences"),
    FIELD("\"stop\":\"a\"", "stop"),
    FIELD("\"n\":2", "n"),
    FIELD("\"max_tokens\":-1", ""),
    FIELD("\"tools\":{}", "tools"),
    FIELD("\"tools\":[{\"type\":7}]", "tools[0].type"),
    FIELD("\"tools\":[{\"name\":\"f\",\"input_schema\":7}]", "tools[0].input_schema"),
    FIELD("\"tool_choice\":\"auto\"", "tool_choice"),
    FIELD("\"tool_choice\":{\"type\":\"any\"}", "tool_choice.type"),
    FIELD("\"tool_choice\":{\"type\":\"some\"}", "tool_choice.type"),
    FIELD("\"tool_choice\":{\"type\":\"tool\"}", "tool_choice.name"),
    FIELD("\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}", "tool_choice.name"),
    FIELD("\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":1}",
          "tool_choice.disable_parallel_tool_use"),
    FIELD("\"thinking\":true", "thinking"),
    FIELD("\"thinking\":{\"type\":\"on\"}", "thinking.type"),
    FIELD("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":\"a\"}",
          "thinking.budget_tokens"),
    FIELD("\"thinking\":{\"type\":\"enabled\",\"display\":1}", "thinking.display"),
    FIELD("\"output_config\":{\"effort\":\"some\"}", "output_config.effort"),
    FIELD("\"output_config\":{\"format\":{}}", "output_config.format"),
    FIELD("\"cache_control\":1", "cache_control"),
    FIELD("\"thread\":{\"type\":\"create\"}", "thread"),
    FIELD("\"mcp_servers\":[{}]", "mcp_servers"),
    FIELD("\"state\":{\"load\":\"a\"}", "state"),
    {"{\"max_tokens\":64,\"messages\":[" HI "]}", "max_tokens"},
    FIELD("\"model\":\"other\"", "model"),
};

static void wrong_bodies_are_refused_by_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct messages_request r;
        struct err err = {0};
        const char *body = refusals[i].body;
        if (messages_request_parse(&r, &limits, body, strlen(body), &err) == 0)
            fail_msg("accepted: %s", body);
        if (strcmp(err.param, refusals[i].param) != 0)
            fail_msg("%s: %s (%s)", body, err.param, err.text);
    }
}

/* Every allocation fails once. */
static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    static const char body[] =
        "{\"max_tokens\":5,\"system\":\"s\",\"tools\":[{\"name\":\"f\"}],\"thinking\":"
        "{\"type\":\"enabled\"},\"messages\":[" HI
        "," ASSISTANT("[" THINKING("", "ssmd:aG0=") "," THINKING("t", "") "," CALL(
            "1") "]") "," USER("[" RESULT("1",
                                          ",\"content\":[" TEXT(
                                              "r") "]") "," TEXT("b") "]") "]}";
    struct messages_request r;
    int rc = -ERR_MEMORY;
    for (long n = 1; rc != 0; n++) {
        struct err err = {0};
        assert_true(n < 1000);
        mem_fail_after(n);
        rc = messages_request_parse(&r, &limits, body, sizeof body - 1, &err);
        mem_fail_after(0);
        assert_true(rc == 0 || rc == -ERR_MEMORY);
    }
    assert_int_equal(r.chat.chat.n_messages, 5);
    messages_request_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_become_messages),
        cmocka_unit_test(neighbours_of_one_role_are_one_message),
        cmocka_unit_test(the_system_is_the_first_message),
        cmocka_unit_test(results_stand_before_the_users_text),
        cmocka_unit_test(thinking_is_reasoning),
        cmocka_unit_test(marks_are_breakpoints),
        cmocka_unit_test(fields_of_generation),
        cmocka_unit_test(tools_get_the_form_of_chat),
        cmocka_unit_test(thinking_is_a_variable),
        cmocka_unit_test(a_count_needs_no_limit),
        cmocka_unit_test(wrong_bodies_are_refused_by_place),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
