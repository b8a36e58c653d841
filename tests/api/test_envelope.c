/* What stands around the choices: whole, in chunks, at the end of a stream, and where a
 * state was saved. (test_completion_response.c and test_chat_response.c see it in use.)
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/envelope.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                             \
    "{\"id\":\"a\\\"b\",\"object\":\"thing\",\"created\":1700000000,\"model\":\"m\","    \
    "\"seed\":-1,\"x\":1,\"choices\":["
#define USAGE                                                                            \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,"         \
    "\"prompt_tokens_details\":{\"cached_tokens\":2}"
#define REASONING ",\"completion_tokens_details\":{\"reasoning_tokens\":1}"

static struct envelope opened(bool stream, bool include_usage)
{
    struct envelope e = {0};
    envelope_open(&e, &(struct envelope_head){.id = "a\"b",
                                              .object = "thing",
                                              .model = "m",
                                              .created = 1700000000,
                                              .seed = UINT64_MAX,
                                              .more = "\"x\":1,",
                                              .stream = stream,
                                              .include_usage = include_usage});
    assert_false(e.head.failed);
    return e;
}

/* Ends an answer, compares all of out and frees both. */
static void expect(struct envelope *e, bool reasoning, struct buf *out, const char *whole)
{
    size_t one = 1;
    struct envelope_usage u = {3, 2, 4, reasoning ? &one : NULL};
    envelope_close(e, &u, out);
    assert_true(e->ended);
    assert_string_equal(out->data, whole);
    envelope_free(e);
    buf_free(out);
}

static void a_whole_answer(void **state)
{
    (void)state;
    struct buf out = {0};
    struct envelope e = opened(false, false);
    envelope_begin(&e, &out);
    buf_puts(&out, "7");
    expect(&e, false, &out, HEAD "7]," USAGE "}}");
    e = opened(false, false);
    envelope_begin(&e, &out);
    expect(&e, true, &out, HEAD "]," USAGE REASONING "}}");
}

static void a_stream_ends_with_done(void **state)
{
    (void)state;
    struct buf out = {0};
    struct envelope e = opened(true, false);
    envelope_begin_chunk(&e, &out);
    buf_puts(&out, "7");
    envelope_end_chunk(&e, &out);
    expect(&e, true, &out, "data: " HEAD "7]}\n\ndata: [DONE]\n\n");
    e = opened(true, true);
    envelope_begin_chunk(&e, &out);
    envelope_end_chunk(&e, &out);
    expect(&e, true, &out,
           "data: " HEAD "],\"usage\":null}\n\ndata: " HEAD "]," USAGE REASONING
           "}}\n\ndata: [DONE]\n\n");
}

static void states_are_reported_with_and_without_usage(void **state)
{
    (void)state;
    static const char said[] = ",\"state\":{\"loaded\":{\"name\":\"s\",\"depth\":7}}}";
    for (int i = 0; i < 3; i++) {
        struct buf out = {0};
        char whole[800];
        struct envelope e = opened(i > 0, i == 2);
        e.states = (struct states_result){.loaded = "s", .loaded_depth = 7};
        if (i == 0)
            envelope_begin(&e, &out);
        snprintf(whole, sizeof whole, "%s" HEAD "]%s%s%s", i ? "data: " : "",
                 i == 1 ? "" : "," USAGE "}", said, i ? "\n\ndata: [DONE]\n\n" : "");
        expect(&e, false, &out, whole);
    }
}

static void a_saved_state_s_end_is_told(void **state)
{
    (void)state;
    static const int32_t ids[] = {5, 6};
    struct buf out = {0}, text = {0};
    struct envelope e = opened(false, false);
    envelope_put_pending(&e, 9, &out);
    assert_int_equal(out.len, 0);
    buf_puts(&text, "a\n");
    envelope_pending(&e, &text, ids, 2);
    envelope_put_pending(&e, 9, &out);
    envelope_put_pending(&e, -1, &out);
    assert_string_equal(out.data,
                        ",\"stop_token_id\":9,\"pending\":{\"text\":\"a\\n\","
                        "\"token_ids\":[5,6]},\"stop_token_id\":null,\"pending\":{"
                        "\"text\":\"a\\n\",\"token_ids\":[5,6]}");
    text.failed = true;
    envelope_pending(&e, &text, ids, 2);
    envelope_put_pending(&e, -1, &out);
    assert_true(out.failed);
    buf_free(&text);
    buf_free(&out);
    envelope_free(&e);
}

static void an_error_ends_a_stream_once(void **state)
{
    (void)state;
    struct buf out = {0};
    struct err err;
    struct envelope e = opened(true, false);
    err_set(&err, ERR_BUSY, "full");
    envelope_error(&e, &err, &out);
    assert_memory_equal(out.data, "data: {\"error\":{", 16);
    assert_null(strstr(out.data, "[DONE]"));
    size_t len = out.len;
    envelope_error(&e, &err, &out);
    assert_int_equal(out.len, len);
    buf_free(&out);
    envelope_free(&e);
}

static void reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(envelope_reason(FINISH_STOP), "stop");
    assert_string_equal(envelope_reason(FINISH_LENGTH), "length");
    for (int i = FINISH_ABORT; i < FINISH_N; i++)
        assert_string_equal(envelope_reason((enum finish_reason)i), "abort");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(a_stream_ends_with_done),
        cmocka_unit_test(states_are_reported_with_and_without_usage),
        cmocka_unit_test(a_saved_state_s_end_is_told),
        cmocka_unit_test(an_error_ends_a_stream_once),
        cmocka_unit_test(reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
