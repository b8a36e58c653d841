/* Answers to /v1/completions: whole and streamed, several choices and prompts, echo,
 * ranking, usage, failures, and a stream's pieces making the whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/completion_response.h"
#include "api/sse.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "tests/lib/json_same.h"

#include <inttypes.h>
#include <math.h>
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

/* Ids 0..6; 5 and 6 are halves of one character. */
static const char *piece(void *arg, int32_t id, size_t *len)
{
    static const char *const texts[] = {"<s>",      "a",        "b",   " c",
                                        "\xc3\xa9", "\xe2\x82", "\xac"};
    (void)arg;
    if (id < 0 || id >= 7)
        return NULL;
    *len = strlen(texts[id]);
    return texts[id];
}

/* One answer under test. */
struct trial {
    struct completion_request req;
    struct completion_response *c;
    struct buf out;
};

static void start(struct trial *t, const char *body)
{
    struct err err = {0};
    *t = (struct trial){0};
    if (completion_request_parse(&t->req, &limits, body, strlen(body), &err) != 0)
        fail_msg("%s: %s", body, err.text);
    if (!t->req.has_seed)
        t->req.gen.seed = 42;
    struct completion_response_head head = {"cmpl-1", 1700000000, "tiny", piece, NULL};
    assert_int_equal(completion_response_open(&t->c, &t->req, &head, &err), 0);
    for (size_t i = 0; i < t->req.prompts.n; i++) {
        const struct prompt *p = &t->req.prompts.list[i];
        int32_t made[2] = {0, 1}; /* what the text "a" is: <s>, a */
        completion_response_prompt(t->c, i, p->text ? made : p->ids,
                                   p->text ? 2 : p->n_ids);
    }
}

static void finish(struct trial *t)
{
    completion_response_free(t->c);
    completion_request_free(&t->req);
    buf_free(&t->out);
}

static void prompt_token(struct trial *t, int choice, int32_t id, float logprob)
{
    struct event ev = {
        .kind = EVENT_PROMPT, .choice = choice, .id = id, .logprob = logprob};
    completion_response_event(t->c, &ev, &t->out);
}

static void token(struct trial *t, int choice, int32_t id, const char *text)
{
    struct event ev = {.kind = EVENT_TOKEN,
                       .choice = choice,
                       .id = id,
                       .logprob = -(float)id,
                       .text = text,
                       .text_len = strlen(text)};
    completion_response_event(t->c, &ev, &t->out);
}

static void end(struct trial *t, int choice, enum finish_reason reason, int n_generated)
{
    struct event ev = {.kind = EVENT_FINISH,
                       .choice = choice,
                       .reason = reason,
                       .stop_id = -1,
                       .stop_string = -1,
                       .n_prompt = 2,
                       .n_cached = choice % t->req.gen.n == 0 ? 1 : 9,
                       .n_generated = n_generated};
    completion_response_event(t->c, &ev, &t->out);
}

/* Takes the next event off a stream: its JSON, or [DONE]. */
static void expect_chunk(struct trial *t, const char *expected)
{
    const char *stop = t->out.data ? strstr(t->out.data, "\n\n") : NULL;
    if (!stop)
        fail_msg("no event, expected %s", expected);
    assert_memory_equal(t->out.data, "data: ", 6);
    size_t len = (size_t)(stop - t->out.data) - 6;
    assert_null(memchr(t->out.data, '\n', len + 6));
    if (strcmp(expected, "[DONE]") == 0) {
        assert_int_equal(len, 6);
        assert_memory_equal(t->out.data + 6, "[DONE]", 6);
    } else {
        json_same(expected, t->out.data + 6, len);
    }
    buf_drop(&t->out, len + 8);
}

#define HEAD                                                                             \
    "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1700000000,"          \
    "\"model\":\"tiny\",\"seed\":42,\"choices\":["

static void a_whole_answer(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\"}");
    struct event admitted = {.kind = EVENT_START};
    completion_response_event(t.c, &admitted, &t.out);
    token(&t, 0, 2, "b");
    token(&t, 0, 3, " c");
    end(&t, 0, FINISH_LENGTH, 2);
    assert_int_equal(t.out.len, 0);
    completion_response_close(t.c, &t.out);
    json_same(
        HEAD
        "{\"index\":0,\"text\":\"b c\",\"logprobs\":null,\"finish_reason\":\"length\"}"
        "],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":2,\"total_tokens\":4,"
        "\"prompt_tokens_details\":{\"cached_tokens\":1}}}",
        t.out.data, t.out.len);
    finish(&t);
}

static void a_stream(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\",\"stream\":true}");
    token(&t, 0, 2, "b");
    expect_chunk(&t, HEAD "{\"index\":0,\"text\":\"b\",\"logprobs\":null,"
                          "\"finish_reason\":null}]}");
    token(&t, 0, 5, "");
    assert_int_equal(t.out.len, 0);
    token(&t, 0, 6, "\u20ac");
    expect_chunk(&t, HEAD "{\"index\":0,\"text\":\"\u20ac\",\"logprobs\":null,"
                          "\"finish_reason\":null}]}");
    struct event ev = {
        .kind = EVENT_FINISH, .reason = FINISH_STOP, .text = "!", .text_len = 1};
    completion_response_event(t.c, &ev, &t.out);
    expect_chunk(&t, HEAD "{\"index\":0,\"text\":\"!\",\"logprobs\":null,"
                          "\"finish_reason\":\"stop\"}]}");
    completion_response_close(t.c, &t.out);
    expect_chunk(&t, "[DONE]");
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

static void usage_is_a_chunk_when_asked_for(void **state)
{
    (void)state;
    struct trial t;
    start(
        &t,
        "{\"prompt\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    end(&t, 0, FINISH_STOP, 1);
    expect_chunk(&t, HEAD "{\"index\":0,\"text\":\"\",\"logprobs\":null,"
                          "\"finish_reason\":\"stop\"}],\"usage\":null}");
    completion_response_close(t.c, &t.out);
    expect_chunk(&t, HEAD "],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":1,"
                          "\"total_tokens\":3,\"prompt_tokens_details\":"
                          "{\"cached_tokens\":1}}}");
    expect_chunk(&t, "[DONE]");
    finish(&t);
}

static void states_are_reported_beside_the_usage(void **state)
{
    (void)state;
    static const struct states_result told = {.loaded = "a",
                                              .loaded_depth = 7,
                                              .saved = "b",
                                              .saved_depth = 9,
                                              .saved_bytes = 5000000000};
    static const char said[] = "\"state\":{\"loaded\":{\"name\":\"a\",\"depth\":7},"
                               "\"saved\":{\"name\":\"b\",\"depth\":9,"
                               "\"bytes\":5000000000}}}";
    static const char usage[] =
        "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":1,\"total_tokens\":3,"
        "\"prompt_tokens_details\":{\"cached_tokens\":1}},";
    static const struct {
        const char *body;
        bool stream, usage;
    } kinds[] = {
        {"{\"prompt\":\"a\"}", false, true},
        {"{\"prompt\":\"a\",\"stream\":true}", true, false},
        {"{\"prompt\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
         true, true},
    };
    for (size_t i = 0; i < 3; i++) {
        struct trial t;
        struct buf expected = {0};
        start(&t, kinds[i].body);
        end(&t, 0, FINISH_STOP, 1);
        buf_reset(&t.out);
        completion_response_states(t.c, &told);
        completion_response_close(t.c, &t.out);
        buf_printf(&expected, "%s%s],%s%s", HEAD,
                   kinds[i].stream ? ""
                                   : "{\"index\":0,\"text\":\"\",\"logprobs\":null,"
                                     "\"finish_reason\":\"stop\"}",
                   kinds[i].usage ? usage : "", said);
        if (kinds[i].stream) {
            expect_chunk(&t, expected.data);
            expect_chunk(&t, "[DONE]");
        } else {
            json_same(expected.data, t.out.data, t.out.len);
        }
        buf_free(&expected);
        finish(&t);
    }
}

static void choices_of_several_prompts_keep_their_index(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":[[1],[1,2]],\"n\":2}");
    for (int i = 3; i >= 0; i--) {
        char text[2] = {(char)('0' + i), '\0'};
        token(&t, i, 1, text);
        end(&t, i, FINISH_STOP, 1);
    }
    completion_response_close(t.c, &t.out);
#define CHOICE(i)                                                                        \
    "{\"index\":" i ",\"text\":\"" i "\",\"logprobs\":null,\"finish_reason\":\"stop\"}"
    json_same(
        HEAD CHOICE("0") "," CHOICE("1") "," CHOICE("2") "," CHOICE(
            "3") "],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,"
                 "\"total_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":2}}}",
        t.out.data, t.out.len);
    finish(&t);
}

static void offsets_follow_the_text_in_characters(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\",\"logprobs\":0}");
    token(&t, 0, 4, "\u00e9");
    token(&t, 0, 5, "");
    token(&t, 0, 6, "\u20ac");
    token(&t, 0, 2, "b");
    end(&t, 0, FINISH_STOP, 4);
    completion_response_close(t.c, &t.out);
    struct json *j = NULL;
    struct err err;
    assert_int_equal(json_parse(&j, t.out.data, t.out.len, &err), 0);
    const struct json *lp = json_get(json_at(json_get(j, "choices"), 0), "logprobs");
    static const int expected[] = {0, 1, 1, 2};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_as_int(json_at(json_get(lp, "text_offset"), i)),
                         expected[i]);
    assert_string_equal(json_as_string(json_at(json_get(lp, "tokens"), 1), NULL),
                        "bytes:\\xe2\\x82");
    json_free(j);
    finish(&t);
}

static void a_scored_prompt(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\",\"max_tokens\":0,\"echo\":true,\"logprobs\":1}");
    prompt_token(&t, 0, 0, NAN);
    prompt_token(&t, 0, 1, -0.5F);
    end(&t, 0, FINISH_LENGTH, 0);
    completion_response_close(t.c, &t.out);
    json_same(HEAD "{\"index\":0,\"text\":\"a\",\"logprobs\":{\"tokens\":[\"<s>\",\"a\"],"
                   "\"token_logprobs\":[null,-0.5],\"top_logprobs\":[null,{\"a\":-0.5}],"
                   "\"text_offset\":[0,0]},\"finish_reason\":\"length\"}],\"usage\":{"
                   "\"prompt_tokens\":2,\"completion_tokens\":0,\"total_tokens\":2,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":1}}}",
              t.out.data, t.out.len);
    finish(&t);
}

static void an_echo_is_the_first_chunk_of_each_choice(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":[4,1],\"n\":2,\"echo\":true,\"logprobs\":0,\"stream\":true}");
    prompt_token(&t, 0, 4, NAN);
    prompt_token(&t, 0, 1, -1);
    assert_int_equal(t.out.len, 0);
    for (int i = 1; i >= 0; i--) {
        char want[600];
        token(&t, i, 2, "b");
        snprintf(want, sizeof want,
                 HEAD
                 "{\"index\":%d,\"text\":\"\u00e9a\",\"logprobs\":{\"tokens\":["
                 "\"\u00e9\",\"a\"],\"token_logprobs\":[null,-1],\"top_logprobs\":[null,"
                 "{\"a\":-1}],\"text_offset\":[0,1]},\"finish_reason\":null}]}",
                 i);
        expect_chunk(&t, want);
        snprintf(want, sizeof want,
                 HEAD "{\"index\":%d,\"text\":\"b\",\"logprobs\":{\"tokens\":[\"b\"],"
                      "\"token_logprobs\":[-2],\"top_logprobs\":[{\"b\":-2}],"
                      "\"text_offset\":[2]},\"finish_reason\":null}]}",
                 i);
        expect_chunk(&t, want);
    }
    end(&t, 0, FINISH_STOP, 1);
    expect_chunk(&t, HEAD "{\"index\":0,\"text\":\"\",\"logprobs\":null,"
                          "\"finish_reason\":\"stop\"}]}");
    finish(&t);
}

static void an_echo_that_ends_at_once_is_still_sent(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\",\"max_tokens\":0,\"echo\":true,\"stream\":true}");
    end(&t, 0, FINISH_LENGTH, 0);
    expect_chunk(&t, HEAD "{\"index\":0,\"text\":\"a\",\"logprobs\":null,"
                          "\"finish_reason\":null}]}");
    expect_chunk(&t, HEAD "{\"index\":0,\"text\":\"\",\"logprobs\":null,"
                          "\"finish_reason\":\"length\"}]}");
    finish(&t);
}

static void the_best_candidates_are_answered(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":[[1],[2]],\"n\":2,\"best_of\":4}");
    for (int p = 0; p < 2; p++) {
        token(&t, 4 * p, 3, "third");  /* mean -3 */
        token(&t, 4 * p + 1, 2, "fi"); /* mean -1.5: longer, yet better than -2 */
        token(&t, 4 * p + 1, 1, "rst");
        token(&t, 4 * p + 2, 2, "second"); /* mean -2 */
        for (int i = 0; i < 4; i++)
            end(&t, 4 * p + i, FINISH_STOP, i == 3 ? 0 : 1 + (i == 1));
    }
    completion_response_close(t.c, &t.out);
#define RANKED(i, text)                                                                  \
    "{\"index\":" i ",\"text\":\"" text "\",\"logprobs\":null,\"finish_reason\":\"stop\"}"
    json_same(
        HEAD RANKED("0", "first") "," RANKED("1", "second") "," RANKED(
            "2", "first") "," RANKED("3", "second") "],\"usage\":{\"prompt_tokens\":2,"
                                                    "\"completion_tokens\":8,"
                                                    "\"total_tokens\":10,"
                                                    "\"prompt_tokens_details\":"
                                                    "{\"cached_tokens\":2}}}",
        t.out.data, t.out.len);
    finish(&t);
}

static void ties_go_to_the_earlier_candidate(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\",\"best_of\":3}");
    for (int i = 2; i >= 0; i--) {
        char text[2] = {(char)('x' + i), '\0'};
        token(&t, i, 1, text);
        end(&t, i, FINISH_STOP, 1);
    }
    completion_response_close(t.c, &t.out);
    assert_non_null(strstr(t.out.data, "\"text\":\"x\""));
    assert_null(strstr(t.out.data, "\"text\":\"y\""));
    finish(&t);
}

static void ids_are_returned_when_asked_for(void **state)
{
    (void)state;
    struct trial t;
    const char *end_of_all = "],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":2,"
                             "\"total_tokens\":4,\"prompt_tokens_details\":"
                             "{\"cached_tokens\":1}}}";
    char want[600];
    start(&t, "{\"prompt\":\"a\",\"return_token_ids\":true}");
    token(&t, 0, 5, "");
    token(&t, 0, 6, "\u20ac");
    end(&t, 0, FINISH_STOP, 2);
    completion_response_close(t.c, &t.out);
    snprintf(want, sizeof want,
             HEAD "{\"index\":0,\"text\":\"\u20ac\",\"logprobs\":null,\"finish_reason\":"
                  "\"stop\",\"prompt_token_ids\":[0,1],\"token_ids\":[5,6]}%s",
             end_of_all);
    json_same(want, t.out.data, t.out.len);
    finish(&t);
    start(&t, "{\"prompt\":\"a\",\"return_token_ids\":true,\"stream\":true}");
    token(&t, 0, 5, "");
    expect_chunk(&t, HEAD
                 "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":null,"
                 "\"prompt_token_ids\":[0,1],\"token_ids\":[5]}]}");
    end(&t, 0, FINISH_STOP, 1);
    expect_chunk(&t,
                 HEAD "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":"
                      "\"stop\",\"token_ids\":[]}]}");
    finish(&t);
}

static void prompt_ids_come_with_the_echo(void **state)
{
    (void)state;
    struct trial t;
    start(&t,
          "{\"prompt\":\"a\",\"echo\":true,\"return_token_ids\":true,\"stream\":true}");
    token(&t, 0, 2, "b");
    expect_chunk(&t, HEAD
                 "{\"index\":0,\"text\":\"a\",\"logprobs\":null,\"finish_reason\":null,"
                 "\"prompt_token_ids\":[0,1],\"token_ids\":[]}]}");
    expect_chunk(&t, HEAD
                 "{\"index\":0,\"text\":\"b\",\"logprobs\":null,\"finish_reason\":null,"
                 "\"token_ids\":[2]}]}");
    finish(&t);
}

static void a_drained_answer_is_an_abort(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\"}");
    token(&t, 0, 2, "b");
    end(&t, 0, FINISH_DRAIN, 1);
    completion_response_close(t.c, &t.out);
    assert_non_null(strstr(t.out.data, "\"text\":\"b\""));
    assert_non_null(strstr(t.out.data, "\"finish_reason\":\"abort\""));
    finish(&t);
}

static void a_failed_stream_ends_with_its_error(void **state)
{
    (void)state;
    struct trial t;
    struct err err;
    start(&t, "{\"prompt\":\"a\",\"n\":2,\"stream\":true}");
    end(&t, 1, FINISH_ERROR, 0);
    assert_int_equal(t.out.len, 0);
    token(&t, 0, 1, "a");
    assert_int_equal(t.out.len, 0);
    err_set(&err, ERR_INTERNAL, "a logit was not finite");
    completion_response_error(t.c, &err, &t.out);
    expect_chunk(&t,
                 "{\"error\":{\"message\":\"The server had a fault while processing the "
                 "request.\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    end(&t, 0, FINISH_ABORT, 1);
    completion_response_close(t.c, &t.out);
    completion_response_error(t.c, &err, &t.out);
    assert_int_equal(t.out.len, 0);
    finish(&t);
}

static void more_choices_than_any_request_has_are_refused(void **state)
{
    (void)state;
    struct completion_response *c = NULL;
    struct prompt prompt = {.text = "a", .text_len = 1};
    struct completion_request r = {.prompts = {&prompt, 1}, .gen = {.n = API_MAX_N + 1}};
    struct completion_response_head head = {.id = "cmpl-1", .model = "tiny"};
    struct err err;
    assert_int_equal(completion_response_open(&c, &r, &head, &err), -ERR_ARGUMENT);
    assert_null(c);
}

static void strange_events_are_ignored(void **state)
{
    (void)state;
    struct trial t;
    start(&t, "{\"prompt\":\"a\",\"stream\":true,\"seed\":-7,"
              "\"stream_options\":{\"include_usage\":true}}");
    token(&t, 1, 1, "a");
    token(&t, -1, 1, "a");
    assert_int_equal(t.out.len, 0);
    end(&t, 0, FINISH_STOP, 0);
    assert_non_null(strstr(t.out.data, "\"seed\":-7,"));
    size_t len = t.out.len;
    token(&t, 0, 1, "a");
    end(&t, 0, FINISH_STOP, 0);
    assert_int_equal(t.out.len, len);
    completion_response_close(t.c, &t.out);
    assert_non_null(strstr(t.out.data, "\"prompt_tokens\":2,\"completion_tokens\":0,"));
    assert_non_null(strstr(t.out.data, "\"cached_tokens\":1}"));
    finish(&t);
}

/* Feeds one script to an answer with echo, logprobs and three tokens. */
static void play(struct trial *t)
{
    prompt_token(t, 0, 0, NAN);
    prompt_token(t, 0, 1, -0.25F);
    token(t, 0, 5, "");
    token(t, 0, 6, "\u20ac");
    token(t, 0, 3, " c");
    end(t, 0, FINISH_LENGTH, 3);
    completion_response_close(t->c, &t->out);
}

static void append(struct buf *array, const struct json *from)
{
    for (size_t i = 0; i < json_len(from); i++)
        buf_printf(array, "%" PRId64 " ", json_as_int(json_at(from, i)));
}

static void chunks_make_the_whole(void **state)
{
    (void)state;
    struct trial whole, stream;
    struct buf text = {0}, offsets = {0}, all = {0};
    struct err err;
    struct json *j = NULL;
    start(&stream, "{\"prompt\":\"a\",\"echo\":true,\"logprobs\":0,\"stream\":true}");
    play(&stream);
    while (strncmp(stream.out.data, "data: [DONE]", 12) != 0) {
        size_t len = (size_t)(strstr(stream.out.data, "\n\n") - stream.out.data);
        assert_int_equal(json_parse(&j, stream.out.data + 6, len - 6, &err), 0);
        const struct json *ch = json_at(json_get(j, "choices"), 0);
        buf_puts(&text, json_as_string(json_get(ch, "text"), NULL));
        append(&offsets, json_get(json_get(ch, "logprobs"), "text_offset"));
        json_free(j);
        buf_drop(&stream.out, len + 2);
    }
    start(&whole, "{\"prompt\":\"a\",\"echo\":true,\"logprobs\":0}");
    play(&whole);
    assert_int_equal(json_parse(&j, whole.out.data, whole.out.len, &err), 0);
    const struct json *ch = json_at(json_get(j, "choices"), 0);
    assert_string_equal(text.data, json_as_string(json_get(ch, "text"), NULL));
    append(&all, json_get(json_get(ch, "logprobs"), "text_offset"));
    assert_string_equal(offsets.data, all.data);
    assert_string_equal(all.data, "0 0 1 1 2 ");
    json_free(j);
    buf_free(&text);
    buf_free(&offsets);
    buf_free(&all);
    finish(&stream);
    finish(&whole);
}

/* Runs a script with the k-th allocation failing. True when it says that all went well;
 * the answer is then in out. */
static bool survives(const char *body, long k, struct buf *out)
{
    struct trial t = {0};
    struct err err;
    assert_int_equal(completion_request_parse(&t.req, &limits, body, strlen(body), &err),
                     0);
    struct completion_response_head head = {"cmpl-1", 1700000000, "tiny", piece, NULL};
    int32_t ids[] = {0, 1};
    bool good = false;
    mem_fail_after(k);
    if (completion_response_open(&t.c, &t.req, &head, &err) == 0) {
        completion_response_prompt(t.c, 0, ids, 2);
        play(&t);
        good = !t.out.failed;
    }
    mem_fail_after(0);
    buf_reset(out);
    buf_put(out, t.out.data, t.out.len);
    finish(&t);
    return good;
}

static void memory_that_runs_out_marks_the_output(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"prompt\":[0,1],\"echo\":true,\"logprobs\":0,\"return_token_ids\":true}",
        "{\"prompt\":[0,1],\"echo\":true,\"logprobs\":0,\"return_token_ids\":true,"
        "\"stream\":true}"};
    struct buf whole = {0}, other = {0};
    for (size_t i = 0; i < 2; i++) {
        int n_bad = 0;
        assert_true(survives(bodies[i], 0, &whole));
        for (long k = 1; k < 60; k++)
            if (survives(bodies[i], k, &other))
                assert_string_equal(other.data, whole.data);
            else
                n_bad++;
        assert_true(n_bad > 12 && n_bad < 58);
    }
    buf_free(&whole);
    buf_free(&other);
}

static void pings_are_comments(void **state)
{
    (void)state;
    struct buf b = {0};
    sse_ping(&b);
    assert_string_equal(b.data, ":\n\n");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(a_stream),
        cmocka_unit_test(usage_is_a_chunk_when_asked_for),
        cmocka_unit_test(states_are_reported_beside_the_usage),
        cmocka_unit_test(choices_of_several_prompts_keep_their_index),
        cmocka_unit_test(offsets_follow_the_text_in_characters),
        cmocka_unit_test(a_scored_prompt),
        cmocka_unit_test(an_echo_is_the_first_chunk_of_each_choice),
        cmocka_unit_test(an_echo_that_ends_at_once_is_still_sent),
        cmocka_unit_test(the_best_candidates_are_answered),
        cmocka_unit_test(ties_go_to_the_earlier_candidate),
        cmocka_unit_test(ids_are_returned_when_asked_for),
        cmocka_unit_test(prompt_ids_come_with_the_echo),
        cmocka_unit_test(a_drained_answer_is_an_abort),
        cmocka_unit_test(a_failed_stream_ends_with_its_error),
        cmocka_unit_test(more_choices_than_any_request_has_are_refused),
        cmocka_unit_test(strange_events_are_ignored),
        cmocka_unit_test(chunks_make_the_whole),
        cmocka_unit_test(memory_that_runs_out_marks_the_output),
        cmocka_unit_test(pings_are_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
