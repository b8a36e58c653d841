/* cache_breakpoints in the bodies of completions, and against prompts that are texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/completion_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 64,
                                         .has_tokenizer = true,
                                         .max_prompts = 64,
                                         .max_choices = 256,
                                         .max_answer_tokens = 1000};

static int parse(struct completion_request *r, const char *prompt, const char *list,
                 struct err *err)
{
    char body[600];
    *err = (struct err){0};
    snprintf(body, sizeof body, "{\"prompt\":%s,\"cache_breakpoints\":%s}", prompt, list);
    return completion_request_parse(r, &limits, body, strlen(body), err);
}

static void check_good(const char *prompt, const char *list, const int32_t *want,
                       size_t n)
{
    struct completion_request r;
    struct err err;
    if (parse(&r, prompt, list, &err) != 0)
        fail_msg("%s: %s", list, err.text);
    assert_int_equal(r.breakpoints.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(r.breakpoints.depths[i], want[i]);
    completion_request_free(&r);
}

/* The text of the error has `where`. */
static void check_bad(const char *prompt, const char *list, const char *where)
{
    struct completion_request r;
    struct err err;
    if (parse(&r, prompt, list, &err) == 0)
        fail_msg("%s was accepted", list);
    assert_int_equal(err.code, ERR_ARGUMENT);
    assert_string_equal(err.param, "cache_breakpoints");
    if (!strstr(err.text, where))
        fail_msg("%s: no %s in: %s", list, where, err.text);
}

static void lists_are_read(void **state)
{
    (void)state;
    check_good("[1,2,3]", "[1,3]", (int32_t[]){1, 3}, 2);
    check_good("[1,2,3]", "[]", NULL, 0);
    check_good("[1,2,3]", "null", NULL, 0);
    check_good("\"text\"", "[7,2147483647]", (int32_t[]){7, 2147483647}, 2);
    check_good("\"text\"", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]",
               (int32_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 16);
    check_good("[\"a\",\"b\"]", "[]", NULL, 0);
}

static void other_lists_are_refused_by_index(void **state)
{
    (void)state;
    check_bad("[1,2,3]", "[0]", "cache_breakpoints[0]");
    check_bad("[1,2,3]", "[-1]", "cache_breakpoints[0]");
    check_bad("[1,2,3]", "[1,1]", "cache_breakpoints[1]");
    check_bad("[1,2,3]", "[1,3,2]", "cache_breakpoints[2]");
    check_bad("[1,2,3]", "[1,2.5]", "cache_breakpoints[1]");
    check_bad("[1,2,3]", "[\"1\"]", "cache_breakpoints[0]");
    check_bad("[1,2,3]", "[2147483648]", "cache_breakpoints[0]");
    check_bad("[1,2,3]", "[3,4]", "cache_breakpoints[1]` is 4, beyond");
    check_bad("[1,2,3]", "3", "cache_breakpoints");
    check_bad("[1,2,3]", "{}", "cache_breakpoints");
    check_bad("\"x\"", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "not 17");
    check_bad("[\"a\",\"b\"]", "[1]", "one prompt, not 2");
}

static void a_text_is_measured_by_its_tokens(void **state)
{
    struct completion_request r;
    struct err err;
    (void)state;
    assert_int_equal(parse(&r, "\"text\"", "[2,5]", &err), 0);
    assert_int_equal(breakpoints_check(&r.breakpoints, 5, &err), 0);
    assert_int_equal(breakpoints_check(&r.breakpoints, 4, &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "cache_breakpoints");
    assert_non_null(strstr(err.text, "cache_breakpoints[1]"));
    completion_request_free(&r);
}

static void a_key_is_accepted(void **state)
{
    static const char body[] = "{\"prompt\":\"x\",\"prompt_cache_key\":\"k\"}";
    struct completion_request r;
    struct err err;
    (void)state;
    assert_int_equal(completion_request_parse(&r, &limits, body, sizeof body - 1, &err),
                     0);
    assert_string_equal(r.prompt_cache_key, "k");
    assert_null(r.cache_salt);
    assert_int_equal(r.n_unknown_fields, 0);
    completion_request_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(other_lists_are_refused_by_index),
        cmocka_unit_test(a_text_is_measured_by_its_tokens),
        cmocka_unit_test(a_key_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
