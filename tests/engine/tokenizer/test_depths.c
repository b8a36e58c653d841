/* How many of a text's ids lie before its bytes: against the bytes that the ids spell, and
 * where a normalizer or the stripping of white space has changed them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/depths.h"
#include "tests/lib/marked.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char ADDED[] =
    "[{\"id\": 300, \"content\": \"<e>\", \"special\": true},"
    " {\"id\": 301, \"content\": \"<s>\", \"special\": true, \"lstrip\": true, "
    "\"rstrip\": true}]";

static struct vocab *vocab_of(const char *pre, const char *normalizer)
{
    static const char *const merges[] = {"a", "b", "ab", "ab", "\xC3", "\xA9", NULL};
    return tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges, .added = ADDED, .pre = pre, .normalizer = normalizer});
}

/* The depths of every offset of the text, beyond its end, too. */
static void check(const struct vocab *v, const char *written, const char *expected)
{
    struct marked m;
    struct ids ids = {0};
    struct buf got = {0};
    struct err err;
    size_t offsets[64];
    int32_t depths[64];
    marked_read(&m, written);
    size_t n = m.text.len + 2;
    for (size_t i = 0; i < n; i++)
        offsets[i] = i;
    assert_int_equal(bpe_encode(v, &m.text, ENCODE_SPECIAL, &ids, &err), 0);
    assert_true(depths_find(v, &m.text, &ids, offsets, n, depths));
    for (size_t i = 0; i < n; i++)
        buf_printf(&got, "%s%d", i ? " " : "", depths[i]);
    assert_string_equal(got.data, expected);
    assert_int_equal(depths[n - 1], ids.n);
    buf_free(&got);
    ids_free(&ids);
    marked_free(&m);
}

static void test_bytes_of_tokens(void **state)
{
    struct vocab *v = vocab_of(NULL, NULL);
    (void)state;
    check(v, "", "0 0");
    check(v, "xab", "0 1 1 2 2");
    check(v, "ababc", "0 0 0 0 1 2 2");
    check(v, "x<e>ab", "0 1 1 1 2 2 3 3");
    check(v, "<e><e>", "0 0 0 1 1 1 2 2");
    check(v, "{<e>}<e>", "0 1 2 3 3 3 4 4"); /* content spells it, the template has it */
    vocab_free(v);
}

/* A stripped blank belongs to the token that took it. */
static void test_white_space_around_a_token(void **state)
{
    struct vocab *v = vocab_of(NULL, NULL);
    (void)state;
    check(v, "x <s>  ab", "0 1 1 1 1 1 1 2 2 3 3");
    vocab_free(v);
}

/* Behind each added token the count is right again. */
static void test_a_text_that_a_normalizer_changes(void **state)
{
    struct vocab *nfc = vocab_of(NULL, "{\"type\": \"NFC\"}");
    struct vocab *space =
        vocab_of("{\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                 "\"trim_offsets\": true, \"use_regex\": false}",
                 NULL);
    struct vocab *drop =
        vocab_of(NULL, "{\"type\": \"Replace\", \"pattern\": {\"String\": \"~\"}, "
                       "\"content\": \"\"}");
    (void)state;
    check(nfc, "e\xCC\x81<e>x", "0 0 0 1 1 1 2 3 3");
    check(nfc, "e\xCC\x81x<e>x", "0 0 1 1 2 2 2 3 4 4");
    check(space, "x<e>x<e> x", "1 2 2 2 4 5 5 5 6 7 8 8");
    check(drop, "~~~<e>x", "0 0 0 0 0 0 1 2 2");
    check(drop, "x~~<e>x", "0 0 0 1 1 1 2 3 3");
    vocab_free(nfc);
    vocab_free(space);
    vocab_free(drop);
}

/* Ids that do not spell the text, as those of a stored conversation. */
static void test_ids_of_another_text(void **state)
{
    struct vocab *v = vocab_of(NULL, NULL);
    const struct engine_text t = {"a<e>b<e>", 8, NULL, 0};
    const size_t offsets[] = {0, 1, 4, 5, 8, 100};
    int32_t few[] = {97, 60}, many[] = {97, 300, 98, 98, 98, 98, 98};
    int32_t depths[6];
    (void)state;
    const struct ids short_of = {few, 2, 2}, beyond = {many, 7, 7}, none = {0};
    assert_true(depths_find(v, &t, &short_of, offsets, 6, depths));
    assert_memory_equal(depths, ((int32_t[]){0, 1, 1, 1, 2, 2}), sizeof depths);
    assert_true(depths_find(v, &t, &beyond, offsets, 6, depths));
    assert_memory_equal(depths, ((int32_t[]){0, 1, 2, 3, 7, 7}), sizeof depths);
    assert_true(depths_find(v, &t, &none, offsets, 6, depths));
    assert_memory_equal(depths, ((int32_t[]){0, 0, 0, 0, 0, 0}), sizeof depths);
    vocab_free(v);
}

static void test_the_embedded_model(void **state)
{
    static const char text[] = "Once upon a time<|endoftext|>there was \xC3\xA9 a girl.";
    const struct engine_text t = {text, sizeof text - 1, NULL, 0};
    struct ids ids = {0};
    struct buf spelt = {0};
    struct vocab *v;
    struct err err;
    (void)state;
    assert_int_equal(vocab_load(&v, "models/default", &err), 0);
    assert_int_equal(bpe_encode(v, &t, ENCODE_SPECIAL, &ids, &err), 0);
    for (size_t i = 0; i <= ids.n; i++) {
        int32_t depth;
        buf_reset(&spelt);
        assert_int_equal(bpe_decode(v, ids.data, i, false, &spelt, &err), 0);
        assert_true(depths_find(v, &t, &ids, &spelt.len, 1, &depth));
        assert_int_equal(depth, i);
    }
    buf_free(&spelt);
    ids_free(&ids);
    vocab_free(v);
}

static void test_out_of_memory(void **state)
{
    struct vocab *v = vocab_of(NULL, NULL);
    struct marked m;
    struct ids ids = {0};
    struct err err;
    int32_t depth = -1;
    (void)state;
    marked_read(&m, "a{b}");
    assert_int_equal(bpe_encode(v, &m.text, ENCODE_SPECIAL, &ids, &err), 0);
    mem_fail_after(1);
    assert_false(depths_find(v, &m.text, &ids, &(size_t){1}, 1, &depth));
    mem_fail_after(0);
    assert_in_range(depth, 0, ids.n);
    ids_free(&ids);
    marked_free(&m);
    vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_of_tokens),
        cmocka_unit_test(test_white_space_around_a_token),
        cmocka_unit_test(test_a_text_that_a_normalizer_changes),
        cmocka_unit_test(test_ids_of_another_text),
        cmocka_unit_test(test_the_embedded_model),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
