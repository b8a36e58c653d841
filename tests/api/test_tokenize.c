/* Bodies of /tokenize and /detokenize, and their answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tokenize.h"
#include "engine/base/mem.h"
#include "tests/lib/json_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 64,
                                         .has_tokenizer = true};

static void text_comes_under_two_names(void **state)
{
    (void)state;
    static const char *const good[] = {"{\"prompt\":\"a\\u0000b\"}",
                                       "{\"content\":\"a\\u0000b\",\"model\":\"tiny\"}",
                                       "{\"prompt\":\"a\\u0000b\",\"content\":null}"};
    struct tokenize_request r;
    struct err err;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tokenize_parse(&r, &limits, good[i], strlen(good[i]), &err), 0);
        assert_int_equal(r.prompt.text_len, 3);
        assert_memory_equal(r.prompt.text, "a\0b", 3);
        assert_true(r.add_special_tokens);
        tokenize_free(&r);
    }
}

static void special_tokens_can_be_left_out(void **state)
{
    (void)state;
    const char *body = "{\"prompt\":\"\",\"add_special_tokens\":false,\"x\":1}";
    struct tokenize_request r;
    struct err err;
    assert_int_equal(tokenize_parse(&r, &limits, body, strlen(body), &err), 0);
    assert_int_equal(r.prompt.text_len, 0);
    assert_non_null(r.prompt.text);
    assert_false(r.add_special_tokens);
    assert_int_equal(r.n_unknown_fields, 1);
    tokenize_free(&r);
}

static void wrong_texts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err_code code;
        const char *param;
    } bad[] = {
        {"{}", ERR_ARGUMENT, "prompt"},
        {"{\"prompt\":null}", ERR_ARGUMENT, "prompt"},
        {"{\"prompt\":[\"a\"]}", ERR_ARGUMENT, "prompt"},
        {"{\"content\":1}", ERR_ARGUMENT, "content"},
        {"{\"prompt\":\"a\",\"content\":\"a\"}", ERR_ARGUMENT, "content"},
        {"{\"prompt\":\"a\",\"add_special_tokens\":1}", ERR_ARGUMENT,
         "add_special_tokens"},
        {"{\"prompt\":\"a\",\"model\":\"b\"}", ERR_MODEL, "model"},
        {"[]", ERR_ARGUMENT, ""},
        {"", ERR_ARGUMENT, ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tokenize_request r;
        struct err err = {0};
        assert_int_equal(
            tokenize_parse(&r, &limits, bad[i].body, strlen(bad[i].body), &err),
            -(int)bad[i].code);
        assert_string_equal(err.param, bad[i].param);
    }
}

static void ids_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}",
                                      "{\"tokens\":\"a\"}",
                                      "{\"tokens\":1}",
                                      "{\"tokens\":[1,512]}",
                                      "{\"tokens\":[-1]}",
                                      "{\"tokens\":[1.5]}",
                                      "{\"tokens\":[[1]]}"};
    struct tokenize_request r;
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tokenize_parse_ids(&r, &limits, bad[i], strlen(bad[i]), &err),
                         -ERR_ARGUMENT);
        assert_string_equal(err.param, "tokens");
    }
    const char *good = "{\"tokens\":[5,511]}", *none = "{\"tokens\":[]}";
    assert_int_equal(tokenize_parse_ids(&r, &limits, good, strlen(good), &err), 0);
    assert_int_equal(r.prompt.n_ids, 2);
    assert_int_equal(r.prompt.ids[1], 511);
    tokenize_free(&r);
    assert_int_equal(tokenize_parse_ids(&r, &limits, none, strlen(none), &err), 0);
    assert_int_equal(r.prompt.n_ids, 0);
    tokenize_free(&r);
}

static void a_model_without_tokenizer_refuses(void **state)
{
    (void)state;
    struct api_limits bare = limits;
    bare.has_tokenizer = false;
    struct tokenize_request r;
    struct err err;
    assert_int_equal(tokenize_parse(&r, &bare, "{\"prompt\":\"a\"}", 14, &err),
                     -ERR_UNSUPPORTED);
    assert_int_equal(tokenize_parse_ids(&r, &bare, "{\"tokens\":[1]}", 14, &err),
                     -ERR_UNSUPPORTED);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    struct tokenize_request r;
    struct err err;
    mem_fail_after(1);
    assert_int_equal(tokenize_parse(&r, &limits, "{\"prompt\":\"a\"}", 14, &err),
                     -ERR_MEMORY);
    mem_fail_after(1);
    assert_int_equal(tokenize_parse_ids(&r, &limits, "{\"tokens\":[1]}", 14, &err),
                     -ERR_MEMORY);
    mem_fail_after(0);
}

static void answers(void **state)
{
    (void)state;
    struct buf b = {0};
    int32_t ids[] = {3, 1, 511};
    tokenize_answer(&limits, ids, 3, &b);
    json_same("{\"tokens\":[3,1,511],\"count\":3,\"max_model_len\":64}", b.data, b.len);
    buf_reset(&b);
    tokenize_answer(&limits, NULL, 0, &b);
    json_same("{\"tokens\":[],\"count\":0,\"max_model_len\":64}", b.data, b.len);
    buf_reset(&b);
    tokenize_answer_text("a\"\xff", 3, &b);
    json_same("{\"prompt\":\"a\\\"\\ufffd\",\"content\":\"a\\\"\\ufffd\"}", b.data,
              b.len);
    buf_reset(&b);
    tokenize_answer_prompt("<s>\"\n", 5, ids, 3, &b);
    json_same("{\"prompt\":\"<s>\\\"\\n\",\"tokens\":[3,1,511],\"count\":3}", b.data,
              b.len);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_under_two_names),
        cmocka_unit_test(special_tokens_can_be_left_out),
        cmocka_unit_test(wrong_texts_are_refused),
        cmocka_unit_test(ids_are_checked),
        cmocka_unit_test(a_model_without_tokenizer_refuses),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
