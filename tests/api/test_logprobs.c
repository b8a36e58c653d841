/* The logprobs object: names of tokens, values, alternatives, and two halves made one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/logprobs.h"
#include "tests/lib/json_same.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* 0..4 are texts, 5 and 6 share one, 7 is a piece of a character, 8 is U+0000; the rest
 * have none. */
static const char *piece(void *arg, int32_t id, size_t *len)
{
    static const char *const texts[] = {"a", "b", " c",      "\"\n", "\xe2\x82\xac",
                                        "x", "x", "\xe2\x82"};
    (void)arg;
    if (id < 0 || id > 8)
        return NULL;
    *len = 1;
    if (id == 8)
        return "";
    *len = strlen(texts[id]);
    return texts[id];
}

static struct event token(int32_t id, float logprob)
{
    return (struct event){.kind = EVENT_TOKEN, .id = id, .logprob = logprob};
}

static void add_top(struct event *ev, int32_t id, float logprob)
{
    ev->top[ev->n_top++] = (struct top_logprob){id, logprob};
}

static void expect(const struct logprobs *a, const struct logprobs *b, const char *json)
{
    struct buf out = {0};
    logprobs_write(a, b, &out);
    json_same(json, out.data, out.len);
    buf_free(&out);
}

static void expect_tops(struct event ev, const char *exact)
{
    struct logprobs lp = {0};
    logprobs_put(&lp, &ev, 0, piece, NULL);
    assert_string_equal(lp.tops.data, exact);
    logprobs_free(&lp);
}

static void names_of_tokens(void **state)
{
    (void)state;
    struct logprobs lp = {0};
    int32_t ids[] = {0, 3, 4, 7, 99};
    for (size_t i = 0; i < 5; i++) {
        struct event ev = token(ids[i], -1);
        logprobs_put(&lp, &ev, i * 10, piece, NULL);
    }
    expect(
        &lp, NULL,
        "{\"tokens\":[\"a\",\"\\\"\\n\",\"\u20ac\",\"bytes:\\\\xe2\\\\x82\",\"token_id:99\"],"
        "\"token_logprobs\":[-1,-1,-1,-1,-1],"
        "\"top_logprobs\":[{\"a\":-1},{\"\\\"\\n\":-1},{\"\u20ac\":-1},"
        "{\"bytes:\\\\xe2\\\\x82\":-1},{\"token_id:99\":-1}],"
        "\"text_offset\":[0,10,20,30,40]}");
    logprobs_free(&lp);
}

static void values_that_are_not_numbers(void **state)
{
    (void)state;
    struct logprobs lp = {0};
    struct event first = token(0, NAN), never = token(1, -INFINITY);
    add_top(&never, 0, -0.5F);
    logprobs_put(&lp, &first, 0, piece, NULL);
    logprobs_put(&lp, &never, 1, piece, NULL);
    expect(&lp, NULL,
           "{\"tokens\":[\"a\",\"b\"],\"token_logprobs\":[null,-9999.0],"
           "\"top_logprobs\":[null,{\"a\":-0.5,\"b\":-9999.0}],\"text_offset\":[0,1]}");
    logprobs_free(&lp);
}

static void the_token_is_among_its_alternatives_once(void **state)
{
    (void)state;
    struct event inside = token(1, -1);
    add_top(&inside, 0, -0.5F);
    add_top(&inside, 1, -1);
    expect_tops(inside, "{\"a\":-0.5,\"b\":-1}");
    struct event below = token(2, -7);
    add_top(&below, 0, -0.5F);
    add_top(&below, 1, -1);
    expect_tops(below, "{\"a\":-0.5,\"b\":-1,\" c\":-7}");
    expect_tops(token(2, -7), "{\" c\":-7}");
}

static void of_two_with_one_text_the_better_is_reported(void **state)
{
    (void)state;
    struct event tops = token(0, -3);
    add_top(&tops, 6, -0.25F);
    add_top(&tops, 5, -0.5F);
    expect_tops(tops, "{\"x\":-0.25,\"a\":-3}");
    struct event own = token(5, -3);
    add_top(&own, 6, -0.25F);
    expect_tops(own, "{\"x\":-0.25}");
}

static void twenty_alternatives_and_the_token_fit(void **state)
{
    (void)state;
    struct event ev = token(99, -50);
    for (int32_t i = 0; i < ENGINE_MAX_TOP; i++)
        add_top(&ev, 100 + i, (float)-i);
    struct logprobs lp = {0};
    logprobs_put(&lp, &ev, 0, piece, NULL);
    size_t members = 0;
    for (const char *p = lp.tops.data; (p = strstr(p, "token_id")); p++)
        members++;
    assert_int_equal(members, ENGINE_MAX_TOP + 1);
    logprobs_free(&lp);
}

static void no_key_holds_u0000(void **state)
{
    (void)state;
    expect_tops(token(8, -1), "{\"bytes:\\\\x00\":-1}");
}

static void two_halves_make_one(void **state)
{
    (void)state;
    struct logprobs a = {0}, b = {0}, none = {0};
    struct event x = token(0, -1), y = token(1, -2);
    logprobs_put(&a, &x, 0, piece, NULL);
    logprobs_put(&b, &y, 1, piece, NULL);
    expect(&a, &b,
           "{\"tokens\":[\"a\",\"b\"],\"token_logprobs\":[-1,-2],"
           "\"top_logprobs\":[{\"a\":-1},{\"b\":-2}],\"text_offset\":[0,1]}");
    expect(&none, &b,
           "{\"tokens\":[\"b\"],\"token_logprobs\":[-2],\"top_logprobs\":[{\"b\":-2}],"
           "\"text_offset\":[1]}");
    logprobs_reset(&a);
    expect(
        &a, NULL,
        "{\"tokens\":[],\"token_logprobs\":[],\"top_logprobs\":[],\"text_offset\":[]}");
    logprobs_free(&a);
    logprobs_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_tokens),
        cmocka_unit_test(values_that_are_not_numbers),
        cmocka_unit_test(the_token_is_among_its_alternatives_once),
        cmocka_unit_test(of_two_with_one_text_the_better_is_reported),
        cmocka_unit_test(twenty_alternatives_and_the_token_fit),
        cmocka_unit_test(no_key_holds_u0000),
        cmocka_unit_test(two_halves_make_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
