/* The logprobs object of chat answers: names, bytes, values, alternatives.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_logprobs.h"
#include "engine/base/mem.h"
#include "tests/lib/json_same.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* 2 is a part of a character, 3 is U+0000, 4 has no bytes; the rest are no tokens. */
static const char *piece(void *arg, int32_t id, size_t *len)
{
    static const char *const texts[] = {"a", "\xe2\x82\xac", "\xe2\x82", "\0", ""};
    (void)arg;
    if (id < 0 || id > 4)
        return NULL;
    *len = id == 3 ? 1 : strlen(texts[id]);
    return texts[id];
}

static struct event token(int32_t id, float logprob)
{
    return (struct event){.kind = EVENT_TOKEN, .id = id, .logprob = logprob};
}

static void expect(const struct buf *list, const char *json)
{
    struct buf out = {0};
    chat_logprobs_put(list, &out);
    json_same(json, out.data, out.len);
    buf_free(&out);
}

#define ONE(token, logprob, bytes, tops)                                                 \
    "{\"token\":" token ",\"logprob\":" logprob ",\"bytes\":" bytes                      \
    ",\"top_logprobs\":[" tops "]}"
#define TOP(token, logprob, bytes)                                                       \
    "{\"token\":" token ",\"logprob\":" logprob ",\"bytes\":" bytes "}"

static void tokens_have_names_and_bytes(void **state)
{
    (void)state;
    struct buf list = {0};
    expect(&list, "{\"content\":[],\"refusal\":null}");
    for (int32_t id = 0; id < 6; id++) {
        struct event ev = token(id, -0.5F);
        chat_logprobs_add(&list, &ev, piece, NULL);
    }
    expect(&list, "{\"content\":["                                      //
           ONE("\"a\"", "-0.5", "[97]", "")                             //
           "," ONE("\"\u20ac\"", "-0.5", "[226,130,172]", "")           //
           "," ONE("\"bytes:\\\\xe2\\\\x82\"", "-0.5", "[226,130]", "") //
           "," ONE("\"bytes:\\\\x00\"", "-0.5", "[0]", "")              //
           "," ONE("\"\"", "-0.5", "[]", "")                            //
           "," ONE("\"token_id:5\"", "-0.5", "null", "")                //
           "],\"refusal\":null}");
    buf_free(&list);
}

static void alternatives_are_the_best_asked_for(void **state)
{
    (void)state;
    struct buf list = {0};
    struct event ev = token(0, -INFINITY);
    ev.n_top = 2;
    ev.top[0] = (struct top_logprob){1, -0.25F};
    ev.top[1] = (struct top_logprob){2, -1};
    chat_logprobs_add(&list, &ev, piece, NULL);
    expect(&list,
           "{\"content\":[" ONE(
               "\"a\"", "-9999.0", "[97]",
               TOP("\"\u20ac\"", "-0.25", "[226,130,172]") "," TOP(
                   "\"bytes:\\\\xe2\\\\x82\"", "-1", "[226,130]")) "],\"refusal\":null}");
    buf_free(&list);
}

static void a_list_that_failed_fails_the_output(void **state)
{
    (void)state;
    struct buf list = {0}, out = {0};
    struct event ev = token(0, -1);
    mem_fail_after(1);
    chat_logprobs_add(&list, &ev, piece, NULL);
    mem_fail_after(0);
    chat_logprobs_put(&list, &out);
    assert_true(out.failed);
    buf_free(&list);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_have_names_and_bytes),
        cmocka_unit_test(alternatives_are_the_best_asked_for),
        cmocka_unit_test(a_list_that_failed_fails_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
