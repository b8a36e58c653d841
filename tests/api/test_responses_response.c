/* Answers to /v1/responses: the whole object, the order and members of every event, and
 * that the pieces of a stream make the object that ends it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/responses_response.h"
#include "api/sse.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "tests/lib/json_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* One answer under test; `text` is its words in pieces of `cut` bytes. */
struct trial {
    struct responses_request req;
    struct responses_response *c;
    struct buf out;
    struct answer_options answer;
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

static void start(struct trial *t, bool stream)
{
    struct err err = {0};
    t->req.chat.stream = stream;
    t->req.chat.gen.seed = 42;
    t->req.chat.gen.n = 1;
    t->req.settings = "\"store\":false";
    t->answer.reasoning = true;
    t->cut = 1;
    struct chat_answer_head head = {"resp_00ff", 1700000000, "tiny",
                                    piece,       NULL,       t->answer};
    assert_int_equal(responses_response_open(&t->c, &t->req, &head, &err), 0);
    responses_response_prompt(t->c, ids, 3);
    struct event ev = {.kind = EVENT_START};
    responses_response_event(t->c, &ev, &t->out);
}

static void finish(struct trial *t)
{
    responses_response_free(t->c);
    buf_free(&t->out);
}

/* The bytes of the next piece: at least `cut`, and whole characters, as the engine has
 * them. */
static size_t next_piece(const char *text, size_t cut)
{
    size_t n = strnlen(text, cut);
    while ((text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static void say(struct trial *t, const char *text)
{
    for (size_t n; *text; text += n) {
        n = next_piece(text, t->cut);
        struct event ev = {.kind = EVENT_TOKEN, .id = 5, .text = text, .text_len = n};
        responses_response_event(t->c, &ev, &t->out);
        t->n_tokens++;
    }
}

static void end(struct trial *t, enum finish_reason reason)
{
    struct event ev = {.kind = EVENT_FINISH,
                       .reason = reason,
                       .stop_id = -1,
                       .stop_string = -1,
                       .n_prompt = 3,
                       .n_cached = 2,
                       .n_generated = t->n_tokens};
    responses_response_event(t->c, &ev, &t->out);
}

/* ---- reading a stream ------------------------------------------------------- */

/* The next event: checks its frame, its type and its number; the caller frees the JSON. */
static struct json *next(struct trial *t, const char *type, size_t number)
{
    struct err err;
    struct json *j;
    char frame[128];
    int n = snprintf(frame, sizeof frame, "event: %s\ndata: ", type);
    const char *stop = t->out.data ? strstr(t->out.data, "\n\n") : NULL;
    if (!stop)
        fail_msg("no event, expected %s", type);
    if (strncmp(t->out.data, frame, (size_t)n) != 0)
        fail_msg("expected %s, found %.100s", type, t->out.data);
    size_t len = (size_t)(stop - t->out.data) - (size_t)n;
    assert_null(memchr(t->out.data + n, '\n', len));
    assert_int_equal(json_parse(&j, t->out.data + n, len, &err), 0);
    assert_string_equal(json_as_string(json_get(j, "type"), NULL), type);
    assert_int_equal(json_as_int(json_get(j, "sequence_number")), number);
    buf_drop(&t->out, (size_t)n + len + 2);
    return j;
}

static void same(const struct trial *t, const char *expected)
{
    json_same(expected, t->out.data, t->out.len);
}

/* Takes the next event off a stream and compares it whole. */
static void expect(struct trial *t, const char *expected)
{
    const char *data = t->out.data ? strstr(t->out.data, "\ndata: ") : NULL;
    const char *stop = data ? strstr(data, "\n\n") : NULL;
    if (!stop)
        fail_msg("no event, expected %s", expected);
    json_same(expected, data + 7, (size_t)(stop - data) - 7);
    char type[64] = "";
    sscanf(t->out.data, "event: %63s", type);
    assert_non_null(strstr(expected, type));
    buf_drop(&t->out, (size_t)(stop - t->out.data) + 2);
}

#define BEGIN                                                                            \
    "{\"id\":\"resp_00ff\",\"object\":\"response\",\"created_at\":1700000000,"           \
    "\"model\":\"tiny\",\"seed\":42,\"store\":false,"
#define RUNNING                                                                          \
    BEGIN "\"status\":\"in_progress\",\"error\":null,\"incomplete_details\":null,"       \
          "\"output\":[],\"usage\":null}"
#define DONE "\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,"
#define USAGE(out, reasoning, total)                                                     \
    "\"usage\":{\"input_tokens\":3,\"input_tokens_details\":{\"cached_tokens\":2},"      \
    "\"output_tokens\":" #out                                                            \
    ",\"output_tokens_details\":{\"reasoning_tokens\":" #reasoning                       \
    "},\"total_tokens\":" #total "}}"
#define PART(text)                                                                       \
    "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[],\"logprobs\":[]}"
#define MESSAGE(n, status, text)                                                         \
    "{\"type\":\"message\",\"id\":\"msg_00ff0" #n "\",\"status\":\"" status              \
    "\",\"role\":\"assistant\",\"content\":[" PART(text) "]}"
#define AT(n, item) "\"item_id\":\"" item "00ff0" #n "\",\"output_index\":" #n ","

static void expect_beginning(struct trial *t)
{
    expect(t, "{\"type\":\"response.created\",\"sequence_number\":0,"
              "\"response\":" RUNNING "}");
    expect(t, "{\"type\":\"response.in_progress\",\"sequence_number\":1,"
              "\"response\":" RUNNING "}");
}

/* ---- tests ------------------------------------------------------------------ */

static void a_whole_answer(void **state)
{
    (void)state;
    struct trial t = {0};
    start(&t, false);
    say(&t, "b c");
    end(&t, FINISH_STOP);
    assert_int_equal(t.out.len, 0);
    responses_response_close(t.c, &t.out);
    same(&t,
         BEGIN DONE "\"output\":[" MESSAGE(0, "completed", "b c") "]," USAGE(3, 0, 6));
    finish(&t);
}

static void a_stream(void **state)
{
    (void)state;
    struct trial t = {0};
    start(&t, true);
    expect_beginning(&t);
    assert_int_equal(t.out.len, 0);
    t.cut = 2;
    say(&t, "b c");
    expect(&t, "{\"type\":\"response.output_item.added\",\"sequence_number\":2,"
               "\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_00ff00\","
               "\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}");
    expect(&t, "{\"type\":\"response.content_part.added\",\"sequence_number\":3," AT(
                   0, "msg_") "\"content_index\":0,\"part\":" PART("") "}");
    expect(&t, "{\"type\":\"response.output_text.delta\",\"sequence_number\":4," AT(
                   0, "msg_") "\"content_index\":0,\"delta\":\"b \",\"logprobs\":[]}");
    expect(&t, "{\"type\":\"response.output_text.delta\",\"sequence_number\":5," AT(
                   0, "msg_") "\"content_index\":0,\"delta\":\"c\",\"logprobs\":[]}");
    end(&t, FINISH_STOP);
    assert_int_equal(t.out.len, 0);
    responses_response_close(t.c, &t.out);
    expect(&t, "{\"type\":\"response.output_text.done\",\"sequence_number\":6," AT(
                   0, "msg_") "\"content_index\":0,\"text\":\"b c\",\"logprobs\":[]}");
    expect(&t, "{\"type\":\"response.content_part.done\",\"sequence_number\":7," AT(
                   0, "msg_") "\"content_index\":0,\"part\":" PART("b c") "}");
    expect(&t, "{\"type\":\"response.output_item.done\",\"sequence_number\":8,"
               "\"output_index\":0,\"item\":" MESSAGE(0, "completed", "b c") "}");
    expect(
        &t,
        "{\"type\":\"response.completed\",\"sequence_number\":9,\"response\":" BEGIN DONE
        "\"output\":[" MESSAGE(0, "completed", "b c") "]," USAGE(2, 0, 5) "}");
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

#define REASONING(summary, more)                                                         \
    "{\"type\":\"reasoning\",\"id\":\"rs_00ff00\",\"status\":\"completed\",\"summary\":" \
    "[" summary "],\"content\":[{\"type\":\"reasoning_text\",\"text\":\"hm\"}]" more "}"

static void reasoning_is_an_item(void **state)
{
    (void)state;
    struct trial t = {.req.encrypted = true};
    start(&t, true);
    expect_beginning(&t);
    say(&t, "<think>hm</think>b");
    end(&t, FINISH_STOP);
    responses_response_close(t.c, &t.out);
    expect(&t, "{\"type\":\"response.output_item.added\",\"sequence_number\":2,"
               "\"output_index\":0,\"item\":{\"type\":\"reasoning\",\"id\":\"rs_00ff00\","
               "\"status\":\"in_progress\",\"summary\":[],\"content\":[]}}");
    expect(&t, "{\"type\":\"response.content_part.added\",\"sequence_number\":3," AT(
                   0, "rs_") "\"content_index\":0,"
                             "\"part\":{\"type\":\"reasoning_text\",\"text\":\"\"}}");
    expect(&t, "{\"type\":\"response.reasoning_text.delta\",\"sequence_number\":4," AT(
                   0, "rs_") "\"content_index\":0,\"delta\":\"h\"}");
    expect(&t, "{\"type\":\"response.reasoning_text.delta\",\"sequence_number\":5," AT(
                   0, "rs_") "\"content_index\":0,\"delta\":\"m\"}");
    expect(&t, "{\"type\":\"response.reasoning_text.done\",\"sequence_number\":6," AT(
                   0, "rs_") "\"content_index\":0,\"text\":\"hm\"}");
    expect(&t, "{\"type\":\"response.content_part.done\",\"sequence_number\":7," AT(
                   0, "rs_") "\"content_index\":0,"
                             "\"part\":{\"type\":\"reasoning_text\",\"text\":\"hm\"}}");
    expect(&t, "{\"type\":\"response.output_item.done\",\"sequence_number\":8,"
               "\"output_index\":0,\"item\":" REASONING(
                   "", ",\"encrypted_content\":\"aG0=\"") "}");
    json_free(next(&t, "response.output_item.added", 9));
    finish(&t);
}

static void a_summary_comes_beside_it(void **state)
{
    (void)state;
    static const char *const order[] = {"response.output_item.added",
                                        "response.content_part.added",
                                        "response.reasoning_summary_part.added",
                                        "response.reasoning_text.delta",
                                        "response.reasoning_summary_text.delta",
                                        "response.reasoning_text.delta",
                                        "response.reasoning_summary_text.delta",
                                        "response.reasoning_text.done",
                                        "response.content_part.done"};
    struct trial t = {.req.summary = true};
    start(&t, true);
    expect_beginning(&t);
    say(&t, "<think>hm</think>b");
    end(&t, FINISH_STOP);
    responses_response_close(t.c, &t.out);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        json_free(next(&t, order[i], i + 2));
    expect(
        &t,
        "{\"type\":\"response.reasoning_summary_text.done\",\"sequence_number\":11," AT(
            0, "rs_") "\"summary_index\":0,\"text\":\"hm\"}");
    expect(
        &t,
        "{\"type\":\"response.reasoning_summary_part.done\",\"sequence_number\":12," AT(
            0, "rs_") "\"summary_index\":0,"
                      "\"part\":{\"type\":\"summary_text\",\"text\":\"hm\"}}");
    expect(&t, "{\"type\":\"response.output_item.done\",\"sequence_number\":13,"
               "\"output_index\":0,\"item\":" REASONING(
                   "{\"type\":\"summary_text\",\"text\":\"hm\"}", "") "}");
    json_free(next(&t, "response.output_item.added", 14));
    json_free(next(&t, "response.content_part.added", 15));
    json_free(next(&t, "response.output_text.delta", 16));
    finish(&t);
}

/* The tools of the trial that calls. */
static const struct tool_spec specs[] = {{.name = "f", .name_len = 1}};
#define CALL_TEXT                                                                        \
    "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"

static void start_calling(struct trial *t, bool stream)
{
    t->answer.format = TOOL_FORMAT_HERMES;
    t->answer.specs = specs;
    t->answer.n_specs = 1;
    start(t, stream);
}

static void a_call_is_an_item(void **state)
{
    (void)state;
    char id[CHAT_ANSWER_ID], item[512], expected[1024];
    struct trial t = {0};
    start_calling(&t, true);
    expect_beginning(&t);
    say(&t, CALL_TEXT);
    end(&t, FINISH_STOP);
    responses_response_close(t.c, &t.out);
    chat_answer_call_id(chat_answer_prompt(ids, 3), 0, 0, id);
    snprintf(item, sizeof item,
             "{\"type\":\"function_call\",\"id\":\"fc_00ff00\",\"status\":\"%%s\","
             "\"call_id\":\"%s\",\"name\":\"f\",\"arguments\":\"%%s\"}",
             id);
    char added[512], done[512];
    const char *arguments = "{\\\"a\\\": 1}";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(added, sizeof added, item, "in_progress", "");
    snprintf(done, sizeof done, item, "completed", arguments);
#pragma GCC diagnostic pop
    snprintf(expected, sizeof expected,
             "{\"type\":\"response.output_item.added\",\"sequence_number\":2,"
             "\"output_index\":0,\"item\":%s}",
             added);
    expect(&t, expected);
    expect(&t, "{\"type\":\"response.function_call_arguments.delta\","
               "\"sequence_number\":3," AT(0, "fc_") "\"delta\":\"{\\\"a\\\": 1}\"}");
    expect(&t, "{\"type\":\"response.function_call_arguments.done\","
               "\"sequence_number\":4," AT(0, "fc_") "\"name\":\"f\","
                                                     "\"arguments\":\"{\\\"a\\\": 1}\"}");
    snprintf(expected, sizeof expected,
             "{\"type\":\"response.output_item.done\",\"sequence_number\":5,"
             "\"output_index\":0,\"item\":%s}",
             done);
    expect(&t, expected);
    json_free(next(&t, "response.completed", 6));
    finish(&t);
}

static void the_limit_leaves_it_incomplete(void **state)
{
    (void)state;
    struct trial t = {0};
    start(&t, false);
    say(&t, "b");
    end(&t, FINISH_LENGTH);
    responses_response_close(t.c, &t.out);
    same(&t, BEGIN "\"status\":\"incomplete\",\"error\":null,"
                   "\"incomplete_details\":{\"reason\":\"max_output_tokens\"},"
                   "\"output\":[" MESSAGE(0, "incomplete", "b") "]," USAGE(1, 0, 4));
    finish(&t);
    t = (struct trial){0};
    start(&t, true);
    expect_beginning(&t);
    say(&t, "b");
    end(&t, FINISH_LENGTH);
    responses_response_close(t.c, &t.out);
    for (size_t i = 2; i < 7; i++)
        buf_drop(&t.out, (size_t)(strstr(t.out.data, "\n\n") - t.out.data) + 2);
    json_free(next(&t, "response.output_item.done", 7));
    json_free(next(&t, "response.incomplete", 8));
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

static void a_fault_fails_the_response(void **state)
{
    (void)state;
    struct trial t = {0};
    struct err err;
    start(&t, true);
    expect_beginning(&t);
    t.cut = 8;
    say(&t, "b c");
    for (int i = 0; i < 3; i++)
        buf_drop(&t.out, (size_t)(strstr(t.out.data, "\n\n") - t.out.data) + 2);
    err_set(&err, ERR_INTERNAL, "a secret of ours");
    responses_response_error(t.c, &err, &t.out);
    json_free(next(&t, "response.output_text.done", 5));
    json_free(next(&t, "response.content_part.done", 6));
    json_free(next(&t, "response.output_item.done", 7));
    expect(&t, "{\"type\":\"response.failed\",\"sequence_number\":8,\"response\":" BEGIN
               "\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":"
               "\"The server had a fault while processing the request.\","
               "\"type\":\"server_error\",\"param\":null},\"incomplete_details\":null,"
               "\"output\":[" MESSAGE(0, "incomplete", "b c") "],\"usage\":null}}");
    assert_int_equal(t.out.len, 0);
    responses_response_close(t.c, &t.out); /* it has ended */
    say(&t, "d");
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

static void a_fault_before_the_first_event(void **state)
{
    (void)state;
    struct err err, none = {0};
    struct trial t = {.req.chat.stream = true, .req.settings = "\"store\":false"};
    t.req.chat.gen.seed = 42;
    struct chat_answer_head head = {"resp_00ff", 1700000000, "tiny",
                                    piece,       NULL,       t.answer};
    assert_int_equal(responses_response_open(&t.c, &t.req, &head, &none), 0);
    err_set(&err, ERR_BUSY, "no room");
    responses_response_error(t.c, &err, &t.out);
    expect_beginning(&t);
    expect(&t, "{\"type\":\"response.failed\",\"sequence_number\":2,\"response\":" BEGIN
               "\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\","
               "\"message\":\"no room\",\"type\":\"rate_limit_error\",\"param\":null},"
               "\"incomplete_details\":null,\"output\":[],\"usage\":null}}");
    finish(&t);
}

static void what_is_cut_short_has_failed(void **state)
{
    (void)state;
    struct trial t = {0};
    start(&t, false);
    say(&t, "b");
    end(&t, FINISH_DRAIN);
    responses_response_close(t.c, &t.out);
    same(&t,
         BEGIN "\"status\":\"failed\",\"error\":{\"code\":\"unavailable\",\"message\":"
               "\"the answer was cut short\",\"type\":\"server_error\","
               "\"param\":null},\"incomplete_details\":null,"
               "\"output\":[" MESSAGE(0, "incomplete", "b") "]," USAGE(1, 0, 4));
    finish(&t);
}

static void no_word_is_an_empty_message(void **state)
{
    (void)state;
    struct trial t = {0};
    start(&t, false);
    end(&t, FINISH_STOP);
    responses_response_close(t.c, &t.out);
    same(&t, BEGIN DONE "\"output\":[" MESSAGE(0, "completed", "") "]," USAGE(0, 0, 3));
    finish(&t);
}

/* ---- deltas make the object -------------------------------------------------- */

/* What a client builds of a stream. */
struct built {
    struct buf items[8]; /* the text of each */
    size_t n;
};

static void put_field(struct buf *b, const struct json *j, const char *name)
{
    size_t len;
    const char *s = json_as_string(json_get(j, name), &len);
    assert_non_null(s);
    buf_put(b, s, len);
}

static const struct json *last_text(const struct json *item)
{
    const struct json *content = json_get(item, "content");
    return content ? json_get(json_at(content, 0), "text") : json_get(item, "arguments");
}

static void same_text(const struct buf *b, const struct json *text)
{
    size_t len;
    const char *s = json_as_string(text, &len);
    assert_int_equal(len, b->len);
    assert_memory_equal(s, b->data, len);
}

/* Follows a stream to its last event, which is returned. */
static struct json *follow(struct trial *t, struct built *b)
{
    for (size_t i = 0;; i++) {
        char type[64] = "";
        sscanf(t->out.data, "event: %63s", type);
        struct json *j = next(t, type, i);
        size_t at = (size_t)json_as_int(json_get(j, "output_index"));
        if (strstr(type, "output_item.added"))
            assert_int_equal(at, b->n++);
        else if (strstr(type, ".delta") && !strstr(type, "summary"))
            put_field(&b->items[at], j, "delta");
        else if (strstr(type, "output_item.done"))
            same_text(&b->items[at], last_text(json_get(j, "item")));
        if (strcmp(type, "response.completed") == 0)
            return j;
        json_free(j);
    }
}

/* A stream in pieces of `cut` bytes is what a whole answer is. */
static void same_as_whole(const char *text, size_t cut)
{
    struct trial t = {.req.summary = true, .req.encrypted = true}, whole = t;
    struct built b = {0};
    struct json *object;
    struct err err;
    start_calling(&t, true);
    start_calling(&whole, false);
    t.cut = cut;
    say(&t, text);
    whole.cut = strlen(text);
    say(&whole, text);
    end(&t, FINISH_STOP);
    end(&whole, FINISH_STOP);
    responses_response_close(t.c, &t.out);
    responses_response_close(whole.c, &whole.out);
    struct json *last = follow(&t, &b);
    assert_int_equal(t.out.len, 0);
    assert_int_equal(json_parse(&object, whole.out.data, whole.out.len, &err), 0);
    const struct json *output = json_get(object, "output");
    assert_true(
        json_equal_values(json_get(json_get(last, "response"), "output"), output));
    assert_int_equal(json_len(output), b.n);
    for (size_t i = 0; i < b.n; i++) {
        same_text(&b.items[i], last_text(json_at(output, i)));
        buf_free(&b.items[i]);
    }
    json_free(last);
    json_free(object);
    finish(&t);
    finish(&whole);
}

static void deltas_make_the_object(void **state)
{
    (void)state;
    static const char text[] =
        "<think>h\xc3\xa9m</think>\n\nSay \"x\"\\ first.\n" CALL_TEXT "\n" CALL_TEXT
        " and \xe4\xbd\xa0";
    for (size_t cut = 1; cut < sizeof text; cut++)
        same_as_whole(text, cut);
}

/* One stream with the n-th allocation failing; false: it could not even begin. */
static bool stream_short_of_memory(struct trial *t, long n)
{
    struct err err;
    struct chat_answer_head head = {"resp_00ff", 1,    "tiny",
                                    piece,       NULL, {.reasoning = true}};
    *t = (struct trial){.req.chat.stream = true, .req.settings = "\"store\":false"};
    t->cut = 4;
    mem_fail_after(n);
    int rc = responses_response_open(&t->c, &t->req, &head, &err);
    if (!rc) {
        say(t, "<think>hm</think>some words");
        end(t, FINISH_STOP);
        responses_response_close(t->c, &t->out);
    }
    mem_fail_after(0);
    assert_true(rc == 0 || rc == -ERR_MEMORY);
    return rc == 0;
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    struct trial whole, t;
    size_t n_told = 0;
    assert_true(stream_short_of_memory(&whole, 0));
    for (long n = 1; n < 60; n++) {
        if (stream_short_of_memory(&t, n) && !t.out.failed) {
            assert_int_equal(t.out.len, whole.out.len);
            assert_memory_equal(t.out.data, whole.out.data, t.out.len);
        } else {
            n_told++;
        }
        finish(&t);
    }
    assert_true(n_told > 5);
    finish(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(a_stream),
        cmocka_unit_test(reasoning_is_an_item),
        cmocka_unit_test(a_summary_comes_beside_it),
        cmocka_unit_test(a_call_is_an_item),
        cmocka_unit_test(the_limit_leaves_it_incomplete),
        cmocka_unit_test(a_fault_fails_the_response),
        cmocka_unit_test(a_fault_before_the_first_event),
        cmocka_unit_test(what_is_cut_short_has_failed),
        cmocka_unit_test(no_word_is_an_empty_message),
        cmocka_unit_test(deltas_make_the_object),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
