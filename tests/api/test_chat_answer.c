/* One choice of an answer: what reaches the parser and in which order, what is counted,
 * reasons and ids.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_answer.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OPEN = 7, CLOSE = 8, BARE = 9 }; /* special tokens; BARE has no bytes */

static const char *piece(void *arg, int32_t id, size_t *len)
{
    static const char *const marks[] = {"<tool_call>", "</tool_call>"};
    (void)arg;
    if (id == BARE)
        return NULL;
    *len = strlen(marks[id - OPEN]);
    return marks[id - OPEN];
}

static void put_text(void *arg, enum answer_part part, const char *s, size_t len)
{
    buf_putc(arg, part == ANSWER_REASONING ? '~' : '=');
    buf_put(arg, s, len);
}

static void put_call(void *arg, const struct answer_call *call)
{
    buf_putc(arg, '!');
    buf_put(arg, call->name, call->name_len);
}

static void start(struct chat_answer *a, struct buf *parts, bool inside)
{
    struct err err;
    struct answer_options o = {.format = TOOL_FORMAT_HERMES,
                               .reasoning = true,
                               .inside = inside,
                               .sink = {put_text, put_call, parts}};
    *a = (struct chat_answer){0};
    *parts = (struct buf){0};
    assert_int_equal(chat_answer_open(a, &o, piece, NULL, &err), 0);
}

static void token(struct chat_answer *a, const char *text, int32_t special)
{
    struct event ev = {.kind = EVENT_TOKEN,
                       .id = special,
                       .special = special >= 0,
                       .text = text,
                       .text_len = strlen(text)};
    chat_answer_event(a, &ev);
}

static void end(struct chat_answer *a, enum finish_reason reason, const char *rest)
{
    struct event ev = {.kind = EVENT_FINISH,
                       .reason = reason,
                       .text = rest,
                       .text_len = strlen(rest),
                       .stop_id = 3,
                       .n_prompt = 11,
                       .n_cached = 5,
                       .n_generated = 9};
    chat_answer_event(a, &ev);
}

static void finish(struct chat_answer *a, struct buf *parts)
{
    chat_answer_free(a);
    buf_free(parts);
}

#define CALL "{\"name\": \"f\", \"arguments\": {}}"

static void text_comes_before_the_special_token_of_its_event(void **state)
{
    (void)state;
    struct chat_answer a;
    struct buf parts;
    start(&a, &parts, false);
    struct event other = {.kind = EVENT_START, .text = "x", .text_len = 1};
    chat_answer_event(&a, &other);
    token(&a, "ab", OPEN);
    token(&a, CALL, CLOSE);
    token(&a, "", BARE);
    token(&a, "c", -1);
    assert_int_equal(a.n_generated, 4);
    assert_string_equal(parts.data, "=ab!f=c");
    end(&a, FINISH_STOP, "d");
    assert_string_equal(parts.data, "=ab!f=c=d");
    assert_int_equal(a.n_calls, 1);
    finish(&a, &parts);
}

static void marks_count_as_reasoning(void **state)
{
    (void)state;
    struct chat_answer a;
    struct buf parts;
    start(&a, &parts, false);
    token(&a, "<think>", -1);
    token(&a, "", -1);
    token(&a, "b", -1);
    assert_int_equal(a.n_reasoning, 3);
    token(&a, "</think>", -1);
    token(&a, "c", -1);
    assert_int_equal(a.n_reasoning, 4);
    end(&a, FINISH_STOP, "");
    assert_int_equal(a.n_reasoning, 4);
    assert_string_equal(parts.data, "~b=c");
    finish(&a, &parts);
    start(&a, &parts, true);
    token(&a, "</think>", -1);
    token(&a, "a", -1);
    assert_int_equal(a.n_reasoning, 1);
    finish(&a, &parts);
}

static void the_end_says_what_was_counted(void **state)
{
    (void)state;
    struct chat_answer a;
    struct buf parts;
    start(&a, &parts, false);
    assert_int_equal(a.stop_id, -1);
    token(&a, "<tool_call>{]</tool_call>", -1);
    assert_false(a.done);
    end(&a, FINISH_LENGTH, "<tool_call>");
    assert_true(a.done);
    assert_int_equal(a.n_prompt, 11);
    assert_int_equal(a.n_cached, 5);
    assert_int_equal(a.n_generated, 9);
    assert_int_equal(a.stop_id, 3);
    assert_int_equal(chat_answer_failures(&a), 2);
    size_t len = parts.len;
    token(&a, "b", -1);
    end(&a, FINISH_STOP, "b");
    assert_int_equal(parts.len, len);
    assert_string_equal(chat_answer_finish(&a), "length");
    assert_false(chat_answer_no_memory(&a));
    finish(&a, &parts);
}

static void reasons_of_the_end(void **state)
{
    (void)state;
    static const struct {
        enum finish_reason reason;
        const char *plain, *called;
    } table[] = {
        {FINISH_STOP, "stop", "tool_calls"}, {FINISH_LENGTH, "length", "length"},
        {FINISH_ABORT, "abort", "abort"},    {FINISH_TIMEOUT, "abort", "abort"},
        {FINISH_ERROR, "abort", "abort"},    {FINISH_DRAIN, "abort", "abort"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct chat_answer a;
        struct buf parts;
        start(&a, &parts, false);
        end(&a, table[i].reason, "");
        assert_string_equal(chat_answer_finish(&a), table[i].plain);
        finish(&a, &parts);
        start(&a, &parts, false);
        token(&a, "", OPEN);
        token(&a, CALL, CLOSE);
        end(&a, table[i].reason, "");
        assert_string_equal(chat_answer_finish(&a), table[i].called);
        finish(&a, &parts);
    }
}

static void ids_of_calls_are_nine_letters_and_digits(void **state)
{
    (void)state;
    int32_t ids[] = {1, 2, 3};
    char id[CHAT_ANSWER_ID], seen[12][CHAT_ANSWER_ID];
    for (size_t i = 0; i < 12; i++) {
        uint64_t prompt = chat_answer_prompt(ids, i < 6 ? 3 : 2);
        chat_answer_call_id(prompt, i % 6 / 3, i % 3, seen[i]);
        assert_int_equal(strlen(seen[i]), 9);
        assert_int_equal(strspn(seen[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                         "abcdefghijklmnopqrstuvwxyz0123456789"),
                         9);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(seen[i], seen[k]);
    }
    chat_answer_call_id(chat_answer_prompt(ids, 3), 1, 2, id);
    assert_string_equal(id, seen[5]);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    struct chat_answer a = {0};
    struct answer_options o = {0};
    struct err err;
    mem_fail_after(1);
    int rc = chat_answer_open(&a, &o, piece, NULL, &err);
    mem_fail_after(0);
    assert_int_equal(rc, -ERR_MEMORY);
    chat_answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_before_the_special_token_of_its_event),
        cmocka_unit_test(marks_count_as_reasoning),
        cmocka_unit_test(the_end_says_what_was_counted),
        cmocka_unit_test(reasons_of_the_end),
        cmocka_unit_test(ids_of_calls_are_nine_letters_and_digits),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
