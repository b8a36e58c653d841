/* Messages as sent: roles, parts, calls, results, and where a bad one stands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/body.h"
#include "api/chat_messages.h"
#include "engine/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool all(const void *arg, const struct value *name)
{
    (void)arg;
    (void)name;
    return true;
}

/* Reads the list; the body is freed before anybody looks. */
static int read_list(const char *list, struct arena *arena, struct chat *out,
                     struct err *err)
{
    struct buf text = {0};
    struct body b;
    buf_printf(&text, "{\"messages\":%s}", list);
    assert_int_equal(body_parse(&b, text.data, text.len, all, NULL, err), 0);
    struct body_path at = body_path_member(NULL, "messages");
    *err = (struct err){0};
    *out = (struct chat){0};
    arena_init(arena);
    int rc = chat_messages_read(arena, &at, value_get(b.values, "messages"), out, err);
    body_free(&b);
    memset(text.data, 'x', text.len);
    buf_free(&text);
    return rc;
}

static struct chat good(const char *list, struct arena *arena)
{
    struct chat chat;
    struct err err;
    if (read_list(list, arena, &chat, &err) != 0)
        fail_msg("%s: %s", list, err.text);
    return chat;
}

static void assert_text(struct chat_text text, const char *expected)
{
    assert_non_null(text.text);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.text, expected, text.len);
}

static void every_role_is_read(void **state)
{
    (void)state;
    struct arena arena;
    struct chat c = good(
        "[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"developer\",\"content\":\"b\"},"
        "{\"role\":\"user\",\"content\":\"c\",\"name\":\"n\"},"
        "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"r\","
        "\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": 1}\"}}],\"audio\":null,"
        "\"annotations\":[],\"function_call\":null,\"refusal\":null},"
        "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"d\"}]",
        &arena);
    assert_int_equal(c.n_messages, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(c.messages[i].role, i);
    assert_text(c.messages[2].parts[0], "c");
    assert_text(c.messages[2].name, "n");
    assert_null(c.messages[0].name.text);
    const struct chat_message *m = &c.messages[3];
    assert_true(m->n_parts == 0 && m->n_calls == 1);
    assert_text(m->reasoning, "r");
    assert_text(m->calls[0].id, "1");
    assert_text(m->calls[0].name, "f");
    assert_text(m->calls[0].arguments, "{\"x\": 1}");
    assert_text(c.messages[4].tool_call_id, "1");
    arena_free(&arena);
}

static void content_is_text_or_parts_or_nothing(void **state)
{
    (void)state;
    struct arena arena;
    struct chat c = good(
        "[{\"role\":\"user\"},{\"role\":\"user\",\"content\":\"a\\u0000b\"},"
        "{\"role\":\"user\",\"content\":[]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},"
        "{\"type\":\"input_text\",\"text\":\"\"},{\"type\":\"output_text\",\"text\":\"y\"},"
        "{\"type\":\"refusal\",\"refusal\":\"z\"}]},"
        "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}]",
        &arena);
    assert_true(c.messages[0].n_parts == 0 && !c.messages[0].is_list);
    assert_int_equal(c.messages[1].parts[0].len, 3);
    assert_true(c.messages[2].n_parts == 0 && c.messages[2].is_list);
    assert_true(c.messages[3].n_parts == 4 && c.messages[3].is_list);
    assert_text(c.messages[3].parts[1], "");
    assert_text(c.messages[3].parts[3], "z");
    assert_text(c.messages[4].parts[0], "no");
    arena_free(&arena);
}

static void arguments_may_be_an_object(void **state)
{
    (void)state;
    struct arena arena;
    struct chat c = good(
        "[{\"role\":\"assistant\",\"reasoning\":\"r\",\"tool_calls\":["
        "{\"function\":{\"name\":\"f\",\"arguments\":{\"b\":[1,-2.50,1e300,true,null],"
        "\"a\":{\"\\u00e9\\n\":\"\\\"\"},\"c\":3.0}}},"
        "{\"function\":{\"name\":\"g\"}}]}]",
        &arena);
    assert_text(c.messages[0].reasoning, "r");
    assert_text(c.messages[0].calls[0].arguments,
                "{\"b\":[1,-2.5,1e+300,true,null],\"a\":{\"\xc3\xa9\\n\":\"\\\"\"},"
                "\"c\":3.0}");
    assert_text(c.messages[0].calls[1].arguments, "");
    arena_free(&arena);
}

static void messages_and_parts_may_be_marked(void **state)
{
    (void)state;
    struct arena arena;
    struct chat c = good(
        "[{\"role\":\"user\",\"content\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":"
        "\"text\",\"text\":\"y\",\"cache_control\":{\"type\":\"ephemeral\"}}]},"
        "{\"role\":\"user\",\"content\":\"a\",\"cache_control\":null}]",
        &arena);
    assert_true(c.messages[0].breakpoint && c.messages[1].breakpoint);
    assert_false(c.messages[2].breakpoint);
    arena_free(&arena);
}

#define U       "{\"role\":\"user\",\"content\":\"x\"}"
#define CALL(c) "[{\"role\":\"assistant\",\"tool_calls\":" c "}]"
#define PART(p)                                                                          \
    "[" U ",{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"}," p "]}]"

static void bad_messages_are_named_by_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *list, *param;
        enum err_code code;
    } cases[] = {
        {"\"x\"", "messages", ERR_ARGUMENT},
        {"[]", "messages", ERR_ARGUMENT},
        {"[1]", "messages[0]", ERR_ARGUMENT},
        {"[{}]", "messages[0].role", ERR_ARGUMENT},
        {"[" U ",{\"role\":\"robot\"}]", "messages[1].role", ERR_ARGUMENT},
        {"[{\"role\":\"function\",\"name\":\"f\"}]", "messages[0].role", ERR_UNSUPPORTED},
        {"[{\"role\":\"user\",\"content\":7}]", "messages[0].content", ERR_ARGUMENT},
        {"[{\"role\":\"user\",\"content\":{}}]", "messages[0].content", ERR_ARGUMENT},
        {PART("7"), "messages[1].content[1]", ERR_ARGUMENT},
        {PART("{}"), "messages[1].content[1].type", ERR_ARGUMENT},
        {PART("{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}"),
         "messages[1].content[1].type", ERR_UNSUPPORTED},
        {PART("{\"type\":\"input_audio\"}"), "messages[1].content[1].type",
         ERR_UNSUPPORTED},
        {PART("{\"type\":\"text\"}"), "messages[1].content[1].text", ERR_ARGUMENT},
        {PART("{\"type\":\"text\",\"text\":\"\",\"cache_control\":1}"),
         "messages[1].content[1].cache_control", ERR_ARGUMENT},
        {"[{\"role\":\"user\",\"name\":1}]", "messages[0].name", ERR_ARGUMENT},
        {"[{\"role\":\"user\",\"cache_control\":true}]", "messages[0].cache_control",
         ERR_ARGUMENT},
        {"[{\"role\":\"assistant\",\"function_call\":{}}]", "messages[0].function_call",
         ERR_UNSUPPORTED},
        {"[{\"role\":\"assistant\",\"audio\":{\"id\":\"x\"}}]", "messages[0].audio",
         ERR_UNSUPPORTED},
        {"[{\"role\":\"assistant\",\"refusal\":1}]", "messages[0].refusal", ERR_ARGUMENT},
        {"[{\"role\":\"assistant\",\"reasoning\":{}}]", "messages[0].reasoning",
         ERR_ARGUMENT},
        {"[{\"role\":\"assistant\",\"reasoning_content\":1}]",
         "messages[0].reasoning_content", ERR_ARGUMENT},
        {CALL("{}"), "messages[0].tool_calls", ERR_ARGUMENT},
        {CALL("[1]"), "messages[0].tool_calls[0]", ERR_ARGUMENT},
        {CALL("[{}]"), "messages[0].tool_calls[0].function", ERR_ARGUMENT},
        {CALL("[{\"type\":\"custom\"}]"), "messages[0].tool_calls[0].type",
         ERR_UNSUPPORTED},
        {CALL("[{\"id\":1,\"function\":{\"name\":\"f\"}}]"),
         "messages[0].tool_calls[0].id", ERR_ARGUMENT},
        {CALL("[{\"function\":{}}]"), "messages[0].tool_calls[0].function.name",
         ERR_ARGUMENT},
        {CALL("[{\"function\":{\"name\":\"\"}}]"),
         "messages[0].tool_calls[0].function.name", ERR_ARGUMENT},
        {CALL("[{\"function\":{\"name\":\"f\",\"arguments\":[]}}]"),
         "messages[0].tool_calls[0].function.arguments", ERR_ARGUMENT},
        {CALL("[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1e999}}}]"),
         "messages[0].tool_calls[0].function.arguments.a", ERR_ARGUMENT},
        {"[{\"role\":\"tool\",\"content\":\"x\"}]", "messages[0].tool_call_id",
         ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena;
        struct chat chat;
        struct err err;
        if (read_list(cases[i].list, &arena, &chat, &err) == 0)
            fail_msg("%s was accepted", cases[i].list);
        /* A param holds 63 bytes of a path, the text all of it. */
        if (err.code != cases[i].code ||
            strncmp(err.param, cases[i].param, strlen(cases[i].param)) != 0)
            fail_msg("%s: code %d param \"%s\": %s", cases[i].list, err.code, err.param,
                     err.text);
        arena_free(&arena);
    }
}

#define CALLED(id)                                                                       \
    "{\"role\":\"assistant\",\"tool_calls\":[{" id "\"function\":{\"name\":\"f\"}}]}"
#define RESULT(id) "{\"role\":\"tool\",\"content\":\"\",\"tool_call_id\":\"" id "\"}"

static void results_follow_their_calls(void **state)
{
    (void)state;
    static const struct {
        const char *list, *param; /* NULL: fine */
    } cases[] = {
        {"[" RESULT("a") "]", "messages[0].tool_call_id"},
        {"[" U "," RESULT("a") "," CALLED("\"id\":\"a\",") "]",
         "messages[1].tool_call_id"},
        {"[" CALLED("\"id\":\"a\",") "," RESULT("b") "]", "messages[1].tool_call_id"},
        {"[" CALLED("\"id\":\"a\",") "," RESULT("a") "," RESULT("") "]",
         "messages[2].tool_call_id"},
        {"[" CALLED("\"id\":\"a\",") "," U "," RESULT("a") "]", NULL},
        {"[" CALLED("") "," RESULT("any") "]", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena;
        struct chat chat;
        struct err err;
        int rc = read_list(cases[i].list, &arena, &chat, &err);
        assert_int_equal(rc, cases[i].param ? -ERR_ARGUMENT : 0);
        assert_string_equal(err.param, cases[i].param ? cases[i].param : "");
        arena_free(&arena);
    }
}

/* As many as a body can hold; a search through all calls for each result would not end. */
static void many_calls_and_results_take_linear_time(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct buf b = {0};
    struct arena arena;
    buf_puts(&b, "[{\"role\":\"assistant\",\"tool_calls\":[");
    for (int i = 0; i < N; i++)
        buf_printf(&b, "%s{\"id\":\"%d\",\"function\":{\"name\":\"f\"}}", i ? "," : "",
                   i);
    buf_puts(&b, "]}");
    for (int i = 0; i < N; i++)
        buf_printf(&b, ",{\"role\":\"tool\",\"tool_call_id\":\"%d\"}", N - 1 - i);
    buf_puts(&b, "]");
    struct chat c = good(b.data, &arena);
    assert_int_equal(c.n_messages, N + 1);
    arena_free(&arena);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_is_read),
        cmocka_unit_test(content_is_text_or_parts_or_nothing),
        cmocka_unit_test(arguments_may_be_an_object),
        cmocka_unit_test(messages_and_parts_may_be_marked),
        cmocka_unit_test(bad_messages_are_named_by_their_place),
        cmocka_unit_test(results_follow_their_calls),
        cmocka_unit_test(many_calls_and_results_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
