/* Answers to /v1/chat/completions: whole and streamed, reasoning, calls, several choices,
 * usage, log-probabilities, saved states, failures. (test_chat_cuts.c: for any cut.)
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_answer.h"
#include "api/chat_response.h"
#include "tests/lib/answer_trial.h"
#include "tests/lib/json_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect_event(struct answer_trial *t, const char *expected)
{
    const char *stop = t->out.data ? strstr(t->out.data, "\n\n") : NULL;
    if (!stop)
        fail_msg("no event, expected %s", expected);
    size_t len = (size_t)(stop - t->out.data);
    json_same(expected, t->out.data + 6, len - 6);
    buf_drop(&t->out, len + 2);
}

#define HEAD(object)                                                                     \
    "{\"id\":\"chatcmpl-1\",\"object\":\"" object "\",\"created\":1700000000,"           \
    "\"model\":\"tiny\",\"seed\":42,\"system_fingerprint\":null,\"choices\":["

#define CHUNK(index, delta, more, reason)                                                \
    HEAD("chat.completion.chunk")                                                        \
    "{\"index\":" index ",\"delta\":{" delta                                             \
    "},\"logprobs\":null,\"finish_reason\":" reason more "}]}"

static void expect_chunk(struct answer_trial *t, const char *delta, const char *reason)
{
    char want[1000];
    snprintf(want, sizeof want, CHUNK("0", "%s", "", "%s"), delta, reason);
    expect_event(t, want);
}

#define ROLE "\"role\":\"assistant\",\"content\":\"\""
#define USAGE(generated, total, reasoning)                                               \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":" generated                    \
    ",\"total_tokens\":" total ",\"prompt_tokens_details\":{\"cached_tokens\":2},"       \
    "\"completion_tokens_details\":{\"reasoning_tokens\":" reasoning "}}"

/* ---- whole answers ---------------------------------------------------------- */

static void a_whole_answer(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, "");
    struct event admitted = {.kind = EVENT_START};
    chat_response_event(t.c, &admitted, &t.out);
    answer_trial_token(&t, 0, "b\n");
    answer_trial_token(&t, 0, "c");
    answer_trial_end(&t, 0, FINISH_LENGTH, 2);
    assert_int_equal(t.out.len, 0);
    chat_response_close(t.c, &t.out);
    json_same(
        HEAD("chat.completion") "{\"index\":0,\"message\":{\"role\":\"assistant\","
                                "\"content\":\"b\\nc\",\"refusal\":null},"
                                "\"logprobs\":null,\"finish_reason\":\"length\"}]," USAGE(
                                    "2", "5", "0") "}",
        t.out.data, t.out.len);
    answer_trial_finish(&t);
}

/* `message` and finish_reason of a whole answer's first choice. */
static void expect_message(struct answer_trial *t, const char *message,
                           const char *reason)
{
    struct buf want = {0};
    chat_response_close(t->c, &t->out);
    const char *found = strstr(t->out.data, "\"message\":"), *stop = NULL;
    if (found)
        stop = strstr(found, ",\"logprobs\"");
    if (!stop)
        fail_msg("no message in %s", t->out.data);
    json_same(message, found + 10, (size_t)(stop - found) - 10);
    buf_printf(&want, "\"finish_reason\":\"%s\"", reason);
    if (!strstr(t->out.data, want.data))
        fail_msg("no %s in %s", want.data, t->out.data);
    buf_free(&want);
}

static void reasoning_is_told_apart_and_counted(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start_at(&t, "", true);
    answer_trial_token(&t, 0, "why");
    answer_trial_token(&t, 0, "</think>");
    answer_trial_token(&t, 0, "so");
    answer_trial_end(&t, 0, FINISH_STOP, 4);
    assert_int_equal(chat_response_reasoning(t.c), 2);
    expect_message(&t,
                   "{\"role\":\"assistant\",\"content\":\"so\","
                   "\"reasoning_content\":\"why\",\"refusal\":null}",
                   "stop");
    assert_non_null(strstr(t.out.data, USAGE("4", "7", "2")));
    answer_trial_finish(&t);
    answer_trial_start(&t, "");
    answer_trial_end(&t, 0, FINISH_STOP, 0);
    expect_message(&t, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}",
                   "stop");
    answer_trial_finish(&t);
}

#define CALL_TEXT(n) "{\"name\": \"f\", \"arguments\": {\"a\": " n "}}"
#define FUNCTION(n)                                                                      \
    "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": " n  \
    "}\"}}"

static void a_call(struct answer_trial *t, const char *text)
{
    answer_trial_special(t, ANSWER_TRIAL_CALL);
    answer_trial_token(t, 0, text);
    answer_trial_special(t, ANSWER_TRIAL_END_CALL);
}

/* The ids of the first choice's calls, which every run gives. */
static void call_id(size_t choice, size_t index, char id[CHAT_ANSWER_ID])
{
    chat_answer_call_id(chat_answer_prompt(answer_trial_prompt, 3), choice, index, id);
}

static void calls_stand_in_the_message(void **state)
{
    (void)state;
    struct answer_trial t;
    char first[CHAT_ANSWER_ID], second[CHAT_ANSWER_ID], want[600];
    call_id(0, 0, first);
    call_id(0, 1, second);
    answer_trial_start(&t, "");
    a_call(&t, CALL_TEXT("1"));
    a_call(&t, CALL_TEXT("2"));
    answer_trial_end(&t, 0, FINISH_STOP, 6);
    snprintf(want, sizeof want,
             "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
             "{\"id\":\"%s\"," FUNCTION("1") ",{\"id\":\"%s\"," FUNCTION(
                 "2") "],\"refusal\":null}",
             first, second);
    expect_message(&t, want, "tool_calls");
    answer_trial_finish(&t);
    answer_trial_start(&t, "");
    answer_trial_token(&t, 0, "see");
    a_call(&t, CALL_TEXT("1"));
    answer_trial_end(&t, 0, FINISH_LENGTH, 6);
    snprintf(want, sizeof want,
             "{\"role\":\"assistant\",\"content\":\"see\",\"tool_calls\":["
             "{\"id\":\"%s\"," FUNCTION("1") "],\"refusal\":null}",
             first);
    expect_message(&t, want, "length");
    assert_int_equal(chat_response_failures(t.c), 0);
    answer_trial_finish(&t);
}

static void a_broken_call_is_content_and_counted(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, ",\"n\":2");
    answer_trial_token(&t, 0, "<tool_call>{]</tool_call>");
    answer_trial_token(&t, 1, "<tool_call>{]</tool_call>");
    answer_trial_end(&t, 1, FINISH_STOP, 1);
    answer_trial_end(&t, 0, FINISH_STOP, 1);
    assert_int_equal(chat_response_failures(t.c), 2);
    expect_message(&t,
                   "{\"role\":\"assistant\",\"content\":\"<tool_call>{]</tool_call>\","
                   "\"refusal\":null}",
                   "stop");
    answer_trial_finish(&t);
}

static void choices_count_together(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start_at(&t, ",\"n\":2", true);
    for (int i = 1; i >= 0; i--) {
        char text[2] = {(char)('0' + i), '\0'};
        answer_trial_token(&t, i, "</think>");
        answer_trial_token(&t, i, text);
        answer_trial_end(&t, i, FINISH_STOP, 2);
    }
    chat_response_close(t.c, &t.out);
#define CHOICE(i)                                                                        \
    "{\"index\":" i ",\"message\":{\"role\":\"assistant\",\"content\":\"" i              \
    "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}"
    json_same(HEAD("chat.completion")
                  CHOICE("0") "," CHOICE("1") "]," USAGE("4", "7", "2") "}",
              t.out.data, t.out.len);
    answer_trial_finish(&t);
}

/* ---- streams ---------------------------------------------------------------- */

static void a_stream(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, ",\"stream\":true");
    answer_trial_token(&t, 0, "");
    expect_chunk(&t, ROLE, "null");
    assert_int_equal(t.out.len, 0);
    answer_trial_token(&t, 0, "\u20ac\n");
    expect_chunk(&t, "\"content\":\"\u20ac\\n\"", "null");
    struct event ev = {
        .kind = EVENT_FINISH, .reason = FINISH_STOP, .text = "!", .text_len = 1};
    chat_response_event(t.c, &ev, &t.out);
    expect_chunk(&t, "\"content\":\"!\"", "null");
    expect_chunk(&t, "", "\"stop\"");
    assert_int_equal(t.out.len, 0);
    chat_response_close(t.c, &t.out);
    assert_string_equal(t.out.data, "data: [DONE]\n\n");
    answer_trial_finish(&t);
}

static void a_stream_of_reasoning_and_calls(void **state)
{
    (void)state;
    struct answer_trial t;
    char id[CHAT_ANSWER_ID], want[400];
    call_id(0, 0, id);
    answer_trial_start_at(&t, ",\"stream\":true", true);
    answer_trial_token(&t, 0, "why");
    expect_chunk(&t, ROLE, "null");
    expect_chunk(&t, "\"reasoning_content\":\"why\"", "null");
    answer_trial_token(&t, 0, "</think>");
    answer_trial_special(&t, ANSWER_TRIAL_BARE);
    assert_int_equal(t.out.len, 0);
    answer_trial_token(&t, 0, "so");
    expect_chunk(&t, "\"content\":\"so\"", "null");
    a_call(&t, CALL_TEXT("1"));
    snprintf(want, sizeof want,
             "\"tool_calls\":[{\"index\":0,\"id\":\"%s\"," FUNCTION("1") "]", id);
    expect_chunk(&t, want, "null");
    answer_trial_end(&t, 0, FINISH_STOP, 9);
    expect_chunk(&t, "", "\"tool_calls\"");
    assert_int_equal(t.out.len, 0);
    answer_trial_finish(&t);
}

static void an_answer_that_ends_at_once_has_two_chunks(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, ",\"n\":2,\"stream\":true");
    answer_trial_end(&t, 1, FINISH_LENGTH, 0);
    expect_event(&t, CHUNK("1", ROLE, "", "null"));
    expect_event(&t, CHUNK("1", "", "", "\"length\""));
    answer_trial_token(&t, 0, "a");
    expect_event(&t, CHUNK("0", ROLE, "", "null"));
    answer_trial_finish(&t);
}

static void usage_is_a_chunk_when_asked_for(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t,
                       ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    answer_trial_end(&t, 0, FINISH_STOP, 1);
    for (int i = 0; i < 2; i++) {
        struct json *j = answer_trial_take(&t);
        assert_int_equal(json_kind(json_get(j, "usage")), JK_NULL);
        json_free(j);
    }
    chat_response_close(t.c, &t.out);
    expect_event(&t, HEAD("chat.completion.chunk") "]," USAGE("1", "4", "0") "}");
    assert_null(answer_trial_take(&t));
    assert_int_equal(t.out.len, 0);
    answer_trial_finish(&t);
}

/* ---- what is asked for beside the text -------------------------------------- */

#define PROB(token, bytes)                                                               \
    "{\"token\":\"" token "\",\"logprob\":-1,\"bytes\":[" bytes "],\"top_logprobs\":[]}"

static void probabilities_come_with_what_they_release(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t,
                       ",\"stream\":true,\"logprobs\":true,\"return_token_ids\":true");
    answer_trial_bytes(&t, 0, 'a', "a", 1);
    expect_event(
        &t, CHUNK("0", ROLE, ",\"prompt_token_ids\":[1,2,3],\"token_ids\":[]", "null"));
#define CHUNK_PROBS(delta, probs, ids, reason)                                           \
    HEAD("chat.completion.chunk")                                                        \
    "{\"index\":0,\"delta\":{" delta "},\"logprobs\":" probs                             \
    ",\"finish_reason\":" reason ",\"token_ids\":[" ids "]}]}"
#define PROBS(list) "{\"content\":[" list "],\"refusal\":null}"
    expect_event(&t,
                 CHUNK_PROBS("\"content\":\"a\"", PROBS(PROB("a", "97")), "97", "null"));
    answer_trial_bytes(&t, 0, '<', "<", 1);
    assert_int_equal(t.out.len, 0);
    answer_trial_bytes(&t, 0, 'b', "b", 1);
    expect_event(&t, CHUNK_PROBS("\"content\":\"<b\"",
                                 PROBS(PROB("<", "60") "," PROB("b", "98")), "60,98",
                                 "null"));
    answer_trial_special(&t, ANSWER_TRIAL_END_CALL);
    answer_trial_end(&t, 0, FINISH_STOP, 4);
    expect_event(&t, CHUNK_PROBS("",
                                 PROBS(PROB("</tool_call>", "60,47,116,111,111,108,95,99,"
                                                            "97,108,108,62")),
                                 "301", "\"stop\""));
    answer_trial_finish(&t);
}

static void a_whole_answer_has_all_probabilities(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, ",\"logprobs\":true,\"return_token_ids\":true");
    answer_trial_bytes(&t, 0, 'a', "a", 1);
    answer_trial_special(&t, ANSWER_TRIAL_CALL);
    answer_trial_end(&t, 0, FINISH_STOP, 2);
    chat_response_close(t.c, &t.out);
    json_same(
        HEAD(
            "chat.completion") "{\"index\":0,\"message\":{\"role\":\"assistant\","
                               "\"content\":\"a\",\"refusal\":null},"
                               "\"logprobs\":" PROBS(PROB("a", "97") "," PROB(
                                   "<tool_call>",
                                   "60,116,111,111,108,95,99,97,"
                                   "108,108,62")) ",\"finish_reason\":\"stop\",\"prompt_token_ids\":["
                                                  "1,2,3],\"token_ids\":[97,300]}]," USAGE(
                                                      "2", "5", "0") "}",
        t.out.data, t.out.len);
    answer_trial_finish(&t);
    answer_trial_start(&t, ",\"logprobs\":true");
    answer_trial_end(&t, 0, FINISH_STOP, 0);
    chat_response_close(t.c, &t.out);
    assert_non_null(strstr(t.out.data, "\"logprobs\":{\"content\":[],\"refusal\":null}"));
    answer_trial_finish(&t);
}

static void a_saved_state_is_told(void **state)
{
    (void)state;
    static const struct states_result result = {.saved = "s", .saved_depth = 7};
    static const int32_t ids[] = {5};
    for (int stream = 0; stream < 2; stream++) {
        struct answer_trial t;
        struct buf text = {0};
        answer_trial_start(&t, stream ? ",\"state\":{\"save\":\"s\"},\"stream\":true"
                                      : ",\"state\":{\"save\":\"s\"}");
        answer_trial_token(&t, 0, "a");
        buf_puts(&text, "END");
        chat_response_pending(t.c, &text, ids, 1);
        struct event ev = {
            .kind = EVENT_FINISH, .reason = FINISH_STOP, .stop_id = 7, .n_generated = 2};
        chat_response_event(t.c, &ev, &t.out);
        chat_response_states(t.c, &result);
        chat_response_close(t.c, &t.out);
        assert_non_null(strstr(t.out.data,
                               "\"finish_reason\":\"stop\",\"stop_token_id\":7,"
                               "\"pending\":{\"text\":\"END\",\"token_ids\":[5]}}]"));
        assert_non_null(strstr(t.out.data, "\"state\":{\"saved\":{\"name\":\"s\","));
        buf_free(&text);
        answer_trial_finish(&t);
    }
}

/* ---- failures --------------------------------------------------------------- */

static void a_failed_stream_ends_with_its_error(void **state)
{
    (void)state;
    struct answer_trial t;
    struct err err;
    answer_trial_start(&t, ",\"n\":2,\"stream\":true");
    answer_trial_end(&t, 1, FINISH_ERROR, 0);
    answer_trial_token(&t, 0, "a");
    assert_int_equal(t.out.len, 0);
    err_set(&err, ERR_INTERNAL, "a logit was not finite");
    chat_response_error(t.c, &err, &t.out);
    assert_memory_equal(t.out.data, "data: {\"error\":{\"message\":\"The server had", 41);
    size_t len = t.out.len;
    answer_trial_end(&t, 0, FINISH_ABORT, 1);
    chat_response_close(t.c, &t.out);
    chat_response_error(t.c, &err, &t.out);
    assert_int_equal(t.out.len, len);
    answer_trial_finish(&t);
}

static void a_drained_answer_is_an_abort(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, "");
    a_call(&t, CALL_TEXT("1"));
    answer_trial_end(&t, 0, FINISH_DRAIN, 3);
    chat_response_close(t.c, &t.out);
    assert_non_null(strstr(t.out.data, "\"finish_reason\":\"abort\""));
    answer_trial_finish(&t);
}

static void strange_events_are_ignored(void **state)
{
    (void)state;
    struct answer_trial t;
    answer_trial_start(&t, ",\"stream\":true,\"seed\":-7");
    answer_trial_token(&t, 1, "a");
    answer_trial_token(&t, -1, "a");
    assert_int_equal(t.out.len, 0);
    answer_trial_end(&t, 0, FINISH_STOP, 0);
    assert_non_null(strstr(t.out.data, "\"seed\":-7,"));
    size_t len = t.out.len;
    answer_trial_token(&t, 0, "a");
    answer_trial_end(&t, 0, FINISH_STOP, 0);
    assert_int_equal(t.out.len, len);
    answer_trial_finish(&t);
}

static void more_choices_than_any_request_has_are_refused(void **state)
{
    (void)state;
    struct answer_trial t;
    struct err err;
    struct chat_answer_head head = answer_trial_head(false);
    answer_trial_parse(&t, "");
    t.req.gen.n = API_MAX_N + 1;
    assert_int_equal(chat_response_open(&t.c, &t.req, &head, &err), -ERR_ARGUMENT);
    assert_null(t.c);
    answer_trial_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(reasoning_is_told_apart_and_counted),
        cmocka_unit_test(calls_stand_in_the_message),
        cmocka_unit_test(a_broken_call_is_content_and_counted),
        cmocka_unit_test(choices_count_together),
        cmocka_unit_test(a_stream),
        cmocka_unit_test(a_stream_of_reasoning_and_calls),
        cmocka_unit_test(an_answer_that_ends_at_once_has_two_chunks),
        cmocka_unit_test(usage_is_a_chunk_when_asked_for),
        cmocka_unit_test(probabilities_come_with_what_they_release),
        cmocka_unit_test(a_whole_answer_has_all_probabilities),
        cmocka_unit_test(a_saved_state_is_told),
        cmocka_unit_test(a_failed_stream_ends_with_its_error),
        cmocka_unit_test(a_drained_answer_is_an_abort),
        cmocka_unit_test(strange_events_are_ignored),
        cmocka_unit_test(more_choices_than_any_request_has_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
