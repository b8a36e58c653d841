/*
 * Long answers, byte by byte, of the kinds that cost most: each must take about as long
 * as any other (reading again what is held makes minutes of it). Memory that runs out
 * anywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/tools/answer_parser.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LONG = 1 << 18 };

struct count {
    size_t text, calls, arguments;
};

static void text(void *arg, enum answer_part part, const char *s, size_t len)
{
    (void)part;
    (void)s;
    ((struct count *)arg)->text += len;
}

static void call(void *arg, const struct answer_call *c)
{
    struct count *count = arg;
    count->calls++;
    count->arguments += c->arguments_len;
}

static const struct tool_spec specs[] = {{"f", 1, NULL, 0}};

/* head, then `repeat` up to n bytes, then tail; pushed in pieces. */
struct answer {
    enum tool_format format;
    const char *head, *repeat, *tail;
    size_t n, piece;
};

static struct count run(const struct answer *a, size_t *failures)
{
    struct count count = {0};
    struct answer_options o = {.format = a->format,
                               .specs = specs,
                               .n_specs = 1,
                               .reasoning = true,
                               .sink = {text, call, &count}};
    struct answer_parser *p;
    struct buf s = {0};
    struct err err;
    buf_puts(&s, a->head);
    while (s.len < a->n)
        buf_puts(&s, a->repeat);
    buf_puts(&s, a->tail);
    assert_int_equal(answer_parser_open(&p, &o, &err), 0);
    for (size_t at = 0; at < s.len; at += a->piece)
        answer_parser_push(p, s.data + at, s.len - at < a->piece ? s.len - at : a->piece,
                           false);
    answer_parser_finish(p);
    assert_false(answer_parser_no_memory(p));
    *failures = answer_parser_failures(p);
    if (count.calls == 0)
        assert_true(count.text <= s.len && count.text + 64 > s.len);
    answer_parser_free(p);
    buf_free(&s);
    return count;
}

static void a_long_answer_takes_no_time(void **state)
{
    static const struct {
        enum tool_format format;
        const char *head, *repeat, *tail;
        bool whole;
    } rows[] = {
        {TOOL_FORMAT_NONE, "", "text ", "", false},
        {TOOL_FORMAT_NONE, "<think>a", "\n", "", false},
        {TOOL_FORMAT_NONE, "<think>", "</thin", "k", false},
        {TOOL_FORMAT_HERMES, "", " ", "x", false},
        {TOOL_FORMAT_HERMES, "", "<tool_cal", "", false},
        {TOOL_FORMAT_HERMES, "", "<tool_call>", "", false},
        {TOOL_FORMAT_HERMES, "", "<tool_call>{\"", "", false},
        {TOOL_FORMAT_HERMES, "", "<tool_call>{\"a\":\"", "", false},
        {TOOL_FORMAT_HERMES, "", "<tool_call>{\"a\":[\"<tool_call>", "", false},
        {TOOL_FORMAT_HERMES, "<tool_call>", "\n", "x", false},
        {TOOL_FORMAT_HERMES, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"",
         "\\u00e9", "\"}}", true},
        {TOOL_FORMAT_HERMES,
         "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": \\\"", "\\\\n",
         "\\\"}\"}", true},
        {TOOL_FORMAT_HERMES, "<tool_call>{\"name\": \"f\"}", " ", "</tool_call>", true},
        {TOOL_FORMAT_QWEN3_CODER, "<function=f>", "<parameter=a>\n1</parameter>",
         "</function>", true},
        {TOOL_FORMAT_QWEN3_CODER, "<function=f><parameter=a>", "</paramete",
         "</parameter></function>", true},
        {TOOL_FORMAT_QWEN3_CODER, "", "<tool_call><function=f><parameter=a>", "", false},
        {TOOL_FORMAT_QWEN3_CODER, "", "<tool_call><function=f><parameter=a>",
         "</parameter>x", false},
        {TOOL_FORMAT_QWEN3_CODER, "", "<function=f><parameter=a>",
         "</parameter><parameter=b></parameter>x", false},
        {TOOL_FORMAT_QWEN3_CODER, "<function=f><parameter=a><function=f><parameter=a>",
         "</parameter><parameter=a>", "</parameter>x", false},
        {TOOL_FORMAT_QWEN3_CODER, "<function=", "a", "", false},
        {TOOL_FORMAT_LFM2, "<|tool_call_start|>[f(a=[", "'x', ", "])]", true},
        {TOOL_FORMAT_LFM2, "<|tool_call_start|>[f(", "a=1, ", ")]", true},
        {TOOL_FORMAT_LFM2, "", "<|tool_call_start|>[f(a='", "", false},
        {TOOL_FORMAT_LFM2, "", "<|tool_call_start|>[f(a='\", b=\"", "", false},
        {TOOL_FORMAT_LFM2, "<|tool_call_start|>[f(x", ", f(a=[", "", false},
        {TOOL_FORMAT_LFM2, "<|tool_call_start|>[f(x", ", f(a='", "", false},
        {TOOL_FORMAT_LLAMA3_JSON, "{", "\n", "", false},
        {TOOL_FORMAT_LLAMA3_JSON, "{\"name\":}", ";{\"a\":[", "", false},
        {TOOL_FORMAT_JSON_LIST, "<TOOLCALL>[{]", ",{\"a\":[1", "", false},
        {TOOL_FORMAT_JSON_LIST, "<TOOLCALL>[{]", ",{\"a\":[\"<TOOLCALL>[", "", false},
        {TOOL_FORMAT_JSON_LIST, "<TOOLCALL>[{]", ", ", "", false},
        {TOOL_FORMAT_JSON_LIST, "", "<TOOLCALL>[{\"a\":\"", "", false},
        {TOOL_FORMAT_MISTRAL, "[TOOL_CALLS]", "f", "", false},
        {TOOL_FORMAT_MISTRAL, "", "[TOOL_CALLS]f[ARGS]{\"", "", false},
        {TOOL_FORMAT_MISTRAL, "[TOOL_CALLS]f{\"a\":", "[", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece <= LONG; piece *= LONG) {
            size_t failures;
            struct answer a = {rows[i].format, rows[i].head, rows[i].repeat,
                               rows[i].tail,   LONG,         piece};
            struct count c = run(&a, &failures);
            assert_int_equal(c.calls, rows[i].whole);
        }
}

/* Calls within values of calls that break: each is tried, the values are read once. */
static void nested_calls_are_read_once(void **state)
{
    static const char *const tails[] = {"", "</parameter>x", "</parameter></function"};
    (void)state;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        size_t failures, n = (size_t)LONG * 16;
        struct answer a = {
            TOOL_FORMAT_QWEN3_CODER, "", "<function=f><parameter=a>", tails[i], n, LONG};
        struct count c = run(&a, &failures);
        assert_int_equal(c.calls, 0);
        assert_int_equal(failures, (n + 24) / 25);
    }
}

static void many_calls_are_all_passed_on(void **state)
{
    static const struct {
        enum tool_format format;
        const char *head, *repeat;
    } rows[] = {
        {TOOL_FORMAT_HERMES, "", "<tool_call>\n{\"name\": \"f\"}\n</tool_call>\n"},
        {TOOL_FORMAT_HERMES, "<tool_call>", "{\"name\": \"f\"}\n"},
        {TOOL_FORMAT_QWEN3_CODER, "", "<tool_call><function=f></function></tool_call>"},
        {TOOL_FORMAT_QWEN3_CODER, "<tool_call>", "<function=f></function>"},
        {TOOL_FORMAT_LFM2, "<|tool_call_start|>[", "f(), "},
        {TOOL_FORMAT_LLAMA3_JSON, "<|python_tag|>", "{\"name\": \"f\"}; "},
        {TOOL_FORMAT_JSON_LIST, "<|tool_call|>[", "{\"name\": \"f\"}, "},
        {TOOL_FORMAT_MISTRAL, "", "[TOOL_CALLS]f[ARGS]{}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t failures, len = strlen(rows[i].repeat), n = 2000;
        size_t total = strlen(rows[i].head) + n * len;
        struct answer a = {rows[i].format, rows[i].head, rows[i].repeat, "", total, 3};
        struct count c = run(&a, &failures);
        assert_int_equal(c.calls, n);
        assert_int_equal(c.text, 0);
        assert_int_equal(failures, 0);
    }
}

/* Pushes an answer; the n-th allocation fails. Whether memory ran out. */
static bool run_short(enum tool_format format, const char *s, long n)
{
    struct count count = {0};
    struct answer_options o = {.format = format, .sink = {text, call, &count}};
    struct answer_parser *p = NULL;
    struct err err;
    mem_fail_after(n);
    if (answer_parser_open(&p, &o, &err) != 0) {
        mem_fail_after(0);
        assert_int_equal(err.code, ERR_MEMORY);
        return true;
    }
    for (; *s; s++)
        answer_parser_push(p, s, 1, false);
    answer_parser_push(p, "<tool_call>", 11, true);
    answer_parser_finish(p);
    mem_fail_after(0);
    bool no_memory = answer_parser_no_memory(p);
    assert_true(no_memory || count.calls == 2);
    answer_parser_free(p);
    return no_memory;
}

static void memory_may_run_out_anywhere(void **state)
{
    static const struct {
        enum tool_format format;
        const char *answer;
    } rows[] = {
        {TOOL_FORMAT_HERMES,
         "<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}</tool_call>"
         "<tool_call>{\"name\": \"f\"}</tool_call>"},
        {TOOL_FORMAT_QWEN3_CODER, "<function=f><parameter=a>1</parameter><parameter=b>2"
                                  "</parameter></function><function=f></function>"},
        {TOOL_FORMAT_LFM2, "<|tool_call_start|>[f(a=1, b='x', a=[2]), f()]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long n = 1;
        while (run_short(rows[i].format, rows[i].answer, n))
            n++;
        assert_true(n > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_answer_takes_no_time),
        cmocka_unit_test(nested_calls_are_read_once),
        cmocka_unit_test(many_calls_are_all_passed_on),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
