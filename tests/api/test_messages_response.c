/* Answers to /v1/messages: the whole object, every event of a stream, and that the pieces
 * of a stream make what a whole answer is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/messages_response.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "tests/lib/json_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* One answer under test; its words come in pieces of `cut` bytes. */
struct trial {
    struct messages_request req;
    struct messages_response *c;
    struct buf out;
    size_t cut;
    int n_tokens;
};

static const char *piece(void *arg, int32_t id, size_t *len)
{
    (void)arg;
    (void)id;
    *len = 1;
    return "x";
}

static const int32_t ids[] = {1, 2, 3};
static const char *const stops[] = {"a", "END\""};
static const size_t stop_lens[] = {1, 4};

static void start(struct trial *t, bool stream)
{
    static const struct tool_spec specs[] = {{.name = "f", .name_len = 1}};
    struct err err = {0};
    struct chat_answer_head head = {.id = "msg_00ff", .model = "tiny", .piece = piece};
    head.answer = (struct answer_options){
        .format = TOOL_FORMAT_HERMES, .specs = specs, .n_specs = 1, .reasoning = true};
    t->req.chat.stream = stream;
    t->req.chat.gen.seed = 42;
    t->req.chat.gen.n = 1;
    t->req.chat.gen.stops = stops;
    t->req.chat.gen.stop_lens = stop_lens;
    t->req.chat.gen.n_stops = 2;
    t->cut = t->cut ? t->cut : 1;
    assert_int_equal(messages_response_open(&t->c, &t->req, &head, &err), 0);
    messages_response_prompt(t->c, ids, 3);
    struct event ev = {.kind = EVENT_START, .n_cached = 2};
    messages_response_event(t->c, &ev, &t->out);
}

static void finish(struct trial *t)
{
    messages_response_free(t->c);
    buf_free(&t->out);
}

static void say(struct trial *t, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i += t->cut) {
        struct event ev = {.kind = EVENT_TOKEN, .id = 5, .text = text + i};
        ev.text_len = len - i < t->cut ? len - i : t->cut;
        messages_response_event(t->c, &ev, &t->out);
        t->n_tokens++;
    }
}

static void end_by(struct trial *t, enum finish_reason reason, int stop_string)
{
    struct event ev = {.kind = EVENT_FINISH,
                       .reason = reason,
                       .stop_id = -1,
                       .stop_string = stop_string,
                       .n_prompt = 3,
                       .n_cached = 2,
                       .n_generated = t->n_tokens};
    messages_response_event(t->c, &ev, &t->out);
    messages_response_close(t->c, &t->out);
}

/* ---- whole ------------------------------------------------------------------- */

#define HEAD                                                                             \
    "{\"id\":\"msg_00ff\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"        \
    "\"tiny\",\"seed\":42,"
#define USAGE(n, thinking)                                                               \
    "\"usage\":{\"input_tokens\":1,\"cache_creation_input_tokens\":0,"                   \
    "\"cache_read_input_tokens\":2,\"output_tokens\":" #n                                \
    ",\"output_tokens_details\":{\"thinking_tokens\":" #thinking "}}"
#define STOP(reason, sequence) "\"stop_reason\":" reason ",\"stop_sequence\":" sequence

static void whole(const char *words, enum finish_reason reason, int stop_string,
                  const char *expected)
{
    struct trial t = {.cut = 1000};
    start(&t, false);
    say(&t, words);
    assert_int_equal(t.out.len, 0);
    end_by(&t, reason, stop_string);
    json_same(expected, t.out.data, t.out.len);
    finish(&t);
}

static void whole_answers(void **state)
{
    (void)state;
    whole("hi", FINISH_STOP, -1,
          HEAD "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]," STOP(
              "\"end_turn\"", "null") "," USAGE(1, 0) "}");
    whole("hi", FINISH_LENGTH, -1,
          HEAD "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]," STOP(
              "\"max_tokens\"", "null") "," USAGE(1, 0) "}");
    whole("hi", FINISH_STOP, 1,
          HEAD "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]," STOP(
              "\"stop_sequence\"", "\"END\\\"\"") "," USAGE(1, 0) "}");
    whole("hi", FINISH_DRAIN, -1,
          HEAD "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]," STOP(
              "null", "null") "," USAGE(1, 0) "}");
    whole("", FINISH_STOP, -1,
          HEAD "\"content\":[]," STOP("\"end_turn\"", "null") "," USAGE(0, 0) "}");
}

static void id_of(size_t index, char id[CHAT_ANSWER_ID])
{
    chat_answer_call_id(chat_answer_prompt(ids, 3), 0, index, id);
}

static const char words[] =
    "<think>h\"m</think>so <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n"
    "</tool_call><tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";

/* The object of `words`. */
static void put_expected(struct buf *b, const char *thinking, const char *signature,
                         int n, int n_reasoning)
{
    char first[CHAT_ANSWER_ID], second[CHAT_ANSWER_ID];
    id_of(0, first);
    id_of(1, second);
    buf_printf(
        b,
        HEAD
        "\"content\":[{\"type\":\"thinking\",\"thinking\":\"%s\","
        "\"signature\":\"%s\"},{\"type\":\"text\",\"text\":\"so \"},"
        "{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":\"f\",\"input\":"
        "{\"a\":1}},{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":\"f\","
        "\"input\":{}}]," STOP(
            "\"tool_use\"",
            "null") ","
                    "\"usage\":{\"input_tokens\":1,\"cache_creation_input_tokens\":0,"
                    "\"cache_read_input_tokens\":2,\"output_tokens\":%d,"
                    "\"output_tokens_details\":{\"thinking_tokens\":%d}}}",
        thinking, signature, first, second, n, n_reasoning);
}

static void thinking_and_calls_are_blocks(void **state)
{
    (void)state;
    struct trial t = {.cut = 1000};
    struct buf expected = {0};
    start(&t, false);
    say(&t, words);
    end_by(&t, FINISH_STOP, 0); /* a call counts for more than what ended it */
    put_expected(&expected, "h\\\"m", "ssmd:", 1, 0);
    json_same(expected.data, t.out.data, t.out.len);
    finish(&t);
    buf_free(&expected);
}

static void omitted_thinking_is_in_the_signature(void **state)
{
    (void)state;
    struct trial t = {.cut = 1000, .req.omit_thinking = true};
    struct buf expected = {0};
    start(&t, false);
    say(&t, words);
    end_by(&t, FINISH_STOP, -1);
    put_expected(&expected, "", "ssmd:aCJt", 1, 0);
    json_same(expected.data, t.out.data, t.out.len);
    finish(&t);
    buf_free(&expected);
}

/* ---- streams ----------------------------------------------------------------- */

/* Takes the next event off a stream and compares it whole. */
static void expect(struct trial *t, const char *expected)
{
    const char *data = t->out.data ? strstr(t->out.data, "\ndata: ") : NULL;
    const char *stop = data ? strstr(data, "\n\n") : NULL;
    if (!stop)
        fail_msg("no event, expected %s", expected);
    char head[96];
    int n = snprintf(head, sizeof head, "event: %.*s\n", (int)strcspn(expected + 9, "\""),
                     expected + 9);
    if (strncmp(t->out.data, head, (size_t)n) != 0)
        fail_msg("expected %s, found %.100s", head, t->out.data);
    json_same(expected, data + 7, (size_t)(stop - data) - 7);
    buf_drop(&t->out, (size_t)(stop - t->out.data) + 2);
}

#define START(n, block)                                                                  \
    "{\"type\":\"content_block_start\",\"index\":" #n ",\"content_block\":" block "}"
#define DELTA(n, type, member, text)                                                     \
    "{\"type\":\"content_block_delta\",\"index\":" #n ",\"delta\":{\"type\":\"" type     \
    "\",\"" member "\":\"" text "\"}}"
#define END(n) "{\"type\":\"content_block_stop\",\"index\":" #n "}"

static void expect_start(struct trial *t)
{
    expect(t, "{\"type\":\"message_start\",\"message\":" HEAD
              "\"content\":[]," STOP("null", "null") "," USAGE(0, 0) "}}");
}

static void a_stream_of_every_block(void **state)
{
    (void)state;
    struct trial t = {.cut = 1000};
    char id[CHAT_ANSWER_ID];
    struct buf call = {0};
    start(&t, true);
    expect_start(&t);
    say(&t, "<think>h\"m");
    expect(&t, START(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
    expect(&t, DELTA(0, "thinking_delta", "thinking", "h\\\"m"));
    say(&t, "</think>so");
    expect(&t, DELTA(0, "signature_delta", "signature", "ssmd:"));
    expect(&t, END(0));
    expect(&t, START(1, "{\"type\":\"text\",\"text\":\"\"}"));
    expect(&t, DELTA(1, "text_delta", "text", "so"));
    assert_int_equal(t.out.len, 0);
    say(&t, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}}</tool_call>");
    end_by(&t, FINISH_STOP, -1);
    expect(&t, END(1));
    id_of(0, id);
    buf_printf(&call,
               START(2, "{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":\"f\","
                        "\"input\":{}}"),
               id);
    expect(&t, call.data);
    expect(&t, DELTA(2, "input_json_delta", "partial_json", "{\\\"a\\\":1}"));
    expect(&t, END(2));
    expect(&t, "{\"type\":\"message_delta\",\"delta\":{" STOP(
                   "\"tool_use\"", "null") "}," USAGE(3, 2) "}");
    expect(&t, "{\"type\":\"message_stop\"}");
    assert_int_equal(t.out.len, 0);
    finish(&t);
    buf_free(&call);
}

static void a_stream_without_the_thinking(void **state)
{
    (void)state;
    struct trial t = {.cut = 4, .req.omit_thinking = true};
    start(&t, true);
    expect_start(&t);
    say(&t, "<think>h\"m</think>so");
    end_by(&t, FINISH_STOP, -1);
    expect(&t, START(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
    expect(&t, DELTA(0, "signature_delta", "signature", "ssmd:aCJt"));
    expect(&t, END(0));
    expect(&t, START(1, "{\"type\":\"text\",\"text\":\"\"}"));
    finish(&t);
}

/* The text of every delta of a stream. */
static void gather(const struct buf *stream, struct buf *text)
{
    static const char *const members[] = {"text", "thinking", "partial_json"};
    for (const char *p = stream->data; (p = strstr(p, "\ndata: "));) {
        struct json *j;
        struct err err;
        p += 7;
        assert_int_equal(json_parse(&j, p, (size_t)(strstr(p, "\n\n") - p), &err), 0);
        for (size_t i = 0; i < 3; i++) {
            size_t n = 0;
            const char *s =
                json_as_string(json_get(json_get(j, "delta"), members[i]), &n);
            buf_put(text, s, s ? n : 0);
        }
        json_free(j);
    }
}

/* However the words are cut, the deltas of a stream are what was said. */
static void deltas_make_the_whole(void **state)
{
    (void)state;
    for (size_t cut = 1; cut <= 7; cut++) {
        struct trial t = {.cut = cut};
        struct buf text = {0};
        start(&t, true);
        say(&t, words);
        end_by(&t, FINISH_STOP, -1);
        gather(&t.out, &text);
        assert_string_equal(text.data, "h\"mso {\"a\": 1}{}");
        buf_free(&text);
        finish(&t);
    }
}

static void faults_end_a_stream(void **state)
{
    (void)state;
    struct trial t = {.cut = 1000};
    struct err err;
    start(&t, true);
    expect_start(&t);
    say(&t, "hi");
    buf_reset(&t.out);
    err_set(&err, ERR_TIMEOUT, "too \"slow\"");
    messages_response_error(t.c, &err, &t.out);
    expect(&t, "{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":"
               "\"too \\\"slow\\\"\",\"details\":{\"error_code\":\"timeout\"}}}");
    say(&t, "more");
    end_by(&t, FINISH_STOP, -1);
    messages_response_error(t.c, &err, &t.out);
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

/* An answer that was cut short never looks like a whole one. */
static void a_cut_stream_ends_by_an_error(void **state)
{
    (void)state;
    struct trial t = {.cut = 1000};
    start(&t, true);
    expect_start(&t);
    say(&t, "hi");
    buf_reset(&t.out);
    end_by(&t, FINISH_DRAIN, -1);
    expect(&t, END(0));
    expect(&t, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
               "\"the answer was cut short\",\"details\":{\"error_code\":"
               "\"unavailable\"}}}");
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

static void other_choices_are_ignored(void **state)
{
    (void)state;
    struct trial t = {.cut = 1000};
    start(&t, true);
    buf_reset(&t.out);
    struct event ev = {.kind = EVENT_TOKEN, .choice = 1, .text = "x", .text_len = 1};
    messages_response_event(t.c, &ev, &t.out);
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

static void a_count(void **state)
{
    (void)state;
    struct buf b = {0};
    messages_response_count(17, &b);
    assert_string_equal(b.data, "{\"input_tokens\":17}");
    buf_free(&b);
}

/* Every allocation fails once: an answer is whole, or it says that it is not. */
static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    bool good = false;
    for (long n = 1; !good; n++) {
        struct trial t = {.cut = 3};
        struct err err = {0};
        struct chat_answer_head head = {.id = "msg_1", .model = "m", .piece = piece};
        head.answer.reasoning = true;
        t.req.chat.gen.n = 1;
        t.req.omit_thinking = n % 2;
        assert_true(n < 1000);
        mem_fail_after(n);
        if (messages_response_open(&t.c, &t.req, &head, &err) == 0) {
            say(&t, "<think>one</think>two");
            end_by(&t, FINISH_STOP, -1);
            good = !t.out.failed;
            if (good)
                assert_non_null(strstr(t.out.data, n % 2 ? "ssmd:b25l\"" : "\"one\""));
            if (good)
                assert_non_null(strstr(t.out.data, "\"two\""));
        } else {
            assert_int_equal(err.code, ERR_MEMORY);
        }
        mem_fail_after(0);
        finish(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_answers),
        cmocka_unit_test(thinking_and_calls_are_blocks),
        cmocka_unit_test(omitted_thinking_is_in_the_signature),
        cmocka_unit_test(a_stream_of_every_block),
        cmocka_unit_test(a_stream_without_the_thinking),
        cmocka_unit_test(deltas_make_the_whole),
        cmocka_unit_test(faults_end_a_stream),
        cmocka_unit_test(a_cut_stream_ends_by_an_error),
        cmocka_unit_test(other_choices_are_ignored),
        cmocka_unit_test(a_count),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
