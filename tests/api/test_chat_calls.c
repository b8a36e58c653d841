/* Calls written into the content: forms, marks, arguments that are no JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_calls.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(s)                                                                          \
    {                                                                                    \
        s, sizeof s - 1                                                                  \
    }

static const struct chat_call calls[] = {
    {.name = TEXT("f"),
     .arguments = TEXT("{\"a\": \"<|x|>\", \"b\": [1, null], \"c\": true, \"d\": null}")},
    {.name = TEXT("g"), .arguments = TEXT("")},
    {.name = TEXT("h"), .arguments = TEXT("no json")}};

static const struct chat_message message = {
    .role = CHAT_ASSISTANT, .calls = calls, .n_calls = 3};

enum { MARK = 7 };

/* The marked bytes are written as they are, others as '.'. */
static void expect(enum tool_format format, const char *text, const char *marked)
{
    struct arena arena;
    const struct jinja_string content = {.text = "so ", .len = 3, .mark = MARK};
    arena_init(&arena);
    struct jinja_value v = chat_calls_write(&arena, format, &content, &message, MARK);
    assert_int_equal(v.kind, JINJA_STRING);
    assert_int_equal(v.string->len, strlen(text));
    assert_memory_equal(v.string->text, text, strlen(text));
    for (size_t i = 0; i < v.string->len; i++)
        if ((v.string->marks[i] == MARK) != (marked[i] != '.'))
            fail_msg("byte %zu of %s", i, text);
    arena_free(&arena);
}

static void python_takes_keywords(void **state)
{
    (void)state;
    expect(TOOL_FORMAT_LFM2,
           "so <|tool_call_start|>[f(a=\"<|x|>\", b=[1,null], c=True, d=None), g(), "
           "h(no json)]<|tool_call_end|>",
           "so ....................f.a.\"<|x|>\"..b.[1,null]..c.True..d.None...g....h."
           "no json....................");
}

static void json_is_as_sent(void **state)
{
    (void)state;
    expect(TOOL_FORMAT_JSON_LIST,
           "so <|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": \"<|x|>\", \"b\": "
           "[1, null], \"c\": true, \"d\": null}}, {\"name\": \"g\", \"arguments\": {}}, "
           "{\"name\": \"h\", \"arguments\": no json}]",
           "so .......................\"f\"...............{\"a\": \"<|x|>\", \"b\": "
           "[1, null], \"c\": true, \"d\": null}............\"g\"...............{}"
           "............\"h\"...............no json..");
}

static void other_forms_are_not_written(void **state)
{
    (void)state;
    assert_true(chat_calls_known(TOOL_FORMAT_LFM2));
    assert_false(chat_calls_known(TOOL_FORMAT_NONE));
    assert_false(chat_calls_known(TOOL_FORMAT_HERMES));
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    const struct jinja_string content = {.text = ""};
    for (long k = 1;; k++) {
        struct arena arena;
        arena_init(&arena);
        mem_fail_after(k);
        struct jinja_value v =
            chat_calls_write(&arena, TOOL_FORMAT_LFM2, &content, &message, MARK);
        mem_fail_after(0);
        arena_free(&arena);
        if (v.kind == JINJA_STRING)
            break;
        assert_true(k < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(python_takes_keywords),
        cmocka_unit_test(json_is_as_sent),
        cmocka_unit_test(other_forms_are_not_written),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
