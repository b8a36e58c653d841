/* For any cut into tokens the deltas of a stream make the message of the whole answer; and
 * either survives that memory runs out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "tests/lib/answer_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CALL_TEXT(n) "{\"name\": \"f\", \"arguments\": {\"a\": " n "}}"

static const char script[] =
    "<think>\nw\u00e9 <b>\n\n</think>\n\nso \u20ac<tool_call>\n" CALL_TEXT(
        "1") "\n</tool_call>\n<tool_call>{]</tool_call> and\n<tool_call>" CALL_TEXT("\"\xf0\x9f\x98\x80\"") "</tool_call>";

/* Feeds the script in pieces of `size` bytes, text being whole characters, as an engine
 * does. */
static void play(struct answer_trial *t, size_t size)
{
    size_t n = 0, from = 0;
    for (size_t i = 0; i < sizeof script - 1; n++) {
        size_t next = i + size < sizeof script - 1 ? i + size : sizeof script - 1;
        size_t to = next;
        while (to > from && to < sizeof script - 1 &&
               ((unsigned char)script[to] & 0xC0) == 0x80)
            to--;
        answer_trial_bytes(t, 0, (unsigned char)script[i], script + from, to - from);
        from = to;
        i = next;
    }
    answer_trial_end(t, 0, FINISH_STOP, (int)n);
    chat_response_close(t->c, &t->out);
}

static void append(struct buf *to, const struct json *text)
{
    size_t len = 0;
    const char *s = json_as_string(text, &len);
    if (json_kind(text) == JK_STRING)
        buf_put(to, s, len);
}

/* A call as one line of text. */
static void append_call(struct buf *to, const struct json *call)
{
    const struct json *f = json_get(call, "function");
    append(to, json_get(call, "id"));
    buf_putc(to, ' ');
    append(to, json_get(f, "name"));
    buf_putc(to, ' ');
    append(to, json_get(f, "arguments"));
    buf_putc(to, '\n');
}

/* What a message or its deltas bring. */
struct sum {
    struct buf content, reasoning, calls, probs;
};

static void add(struct sum *s, const struct json *choice, const char *message)
{
    const struct json *m = json_get(choice, message), *calls = json_get(m, "tool_calls"),
                      *probs = json_get(json_get(choice, "logprobs"), "content");
    append(&s->content, json_get(m, "content"));
    append(&s->reasoning, json_get(m, "reasoning_content"));
    for (size_t i = 0; i < json_len(calls); i++)
        append_call(&s->calls, json_at(calls, i));
    for (size_t i = 0; i < json_len(probs); i++)
        append(&s->probs, json_get(json_at(probs, i), "token"));
}

static void free_sum(struct sum *s)
{
    buf_free(&s->content);
    buf_free(&s->reasoning);
    buf_free(&s->calls);
    buf_free(&s->probs);
}

static struct sum sum_of_stream(size_t size)
{
    struct answer_trial t;
    struct sum s = {0};
    struct json *j;
    size_t n_calls = 0;
    answer_trial_start(&t, ",\"stream\":true,\"logprobs\":true");
    play(&t, size);
    while ((j = answer_trial_take(&t))) {
        const struct json *choice = json_at(json_get(j, "choices"), 0);
        const struct json *calls = json_get(json_get(choice, "delta"), "tool_calls");
        for (size_t i = 0; i < json_len(calls); i++)
            assert_int_equal(json_as_int(json_get(json_at(calls, i), "index")),
                             n_calls++);
        add(&s, choice, "delta");
        json_free(j);
    }
    answer_trial_finish(&t);
    return s;
}

static struct sum sum_of_whole(size_t size)
{
    struct answer_trial t;
    struct sum s = {0};
    struct json *j = NULL;
    struct err err;
    answer_trial_start(&t, ",\"logprobs\":true");
    play(&t, size);
    assert_int_equal(json_parse(&j, t.out.data, t.out.len, &err), 0);
    add(&s, json_at(json_get(j, "choices"), 0), "message");
    json_free(j);
    answer_trial_finish(&t);
    return s;
}

static void deltas_make_the_message_for_any_cut(void **state)
{
    (void)state;
    struct sum one = sum_of_whole(sizeof script);
    assert_string_equal(one.reasoning.data, "w\u00e9 <b>");
    assert_string_equal(one.content.data, "so \u20ac\n<tool_call>{]</tool_call> and\n");
    assert_non_null(strstr(one.calls.data, "f {\"a\": 1}\n"));
    assert_non_null(strstr(one.calls.data, "f {\"a\": \"\xf0\x9f\x98\x80\"}\n"));
    for (size_t size = 1; size < 40; size++) {
        struct sum stream = sum_of_stream(size), whole = sum_of_whole(size);
        assert_string_equal(stream.content.data, one.content.data);
        assert_string_equal(whole.content.data, one.content.data);
        assert_string_equal(stream.reasoning.data, one.reasoning.data);
        assert_string_equal(whole.reasoning.data, one.reasoning.data);
        assert_string_equal(stream.calls.data, one.calls.data);
        assert_string_equal(whole.calls.data, one.calls.data);
        assert_string_equal(stream.probs.data, whole.probs.data);
        free_sum(&stream);
        free_sum(&whole);
    }
    free_sum(&one);
}

/* ---- memory ----------------------------------------------------------------- */

/* Runs the script with the k-th allocation failing. True when it says that all went well;
 * the answer is then in out. */
static bool survives(const char *members, long k, struct buf *out)
{
    struct answer_trial t;
    struct err err;
    struct chat_answer_head head = answer_trial_head(false);
    bool good = false;
    answer_trial_parse(&t, members);
    mem_fail_after(k);
    if (chat_response_open(&t.c, &t.req, &head, &err) == 0) {
        chat_response_prompt(t.c, answer_trial_prompt, 3);
        play(&t, 9);
        good = !t.out.failed;
    }
    mem_fail_after(0);
    buf_reset(out);
    buf_put(out, t.out.data, t.out.len);
    answer_trial_finish(&t);
    return good;
}

static void memory_that_runs_out_marks_the_output(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        ",\"logprobs\":true,\"return_token_ids\":true",
        ",\"logprobs\":true,\"return_token_ids\":true,\"stream\":true"};
    struct buf whole = {0}, other = {0};
    for (size_t i = 0; i < 2; i++) {
        int n_bad = 0;
        assert_true(survives(bodies[i], 0, &whole));
        for (long k = 1; k < 100; k++)
            if (survives(bodies[i], k, &other))
                assert_string_equal(other.data, whole.data);
            else
                n_bad++;
        assert_true(n_bad > 15 && n_bad < 98);
    }
    buf_free(&whole);
    buf_free(&other);
}

static void missing_memory_is_told_at_once(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, ",\"stream\":true");
    answer_trial_token(&t, 0, "");
    assert_false(t.out.failed);
    mem_fail_after(1);
    answer_trial_token(&t, 0, "a");
    mem_fail_after(0);
    assert_true(t.out.failed);
    answer_trial_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deltas_make_the_message_for_any_cut),
        cmocka_unit_test(memory_that_runs_out_marks_the_output),
        cmocka_unit_test(missing_memory_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
