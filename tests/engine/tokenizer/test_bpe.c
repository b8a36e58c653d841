/* Encoding and decoding by small tokenizers: order of merges, added tokens, BOS,
 * ill-formed text, limits of patterns, linear work on long runs. Real tokenizers are
 * compared elsewhere (tests/clients/tokenizer).
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/tokenizer/bpe.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const MERGES[] = {"a", "b", "ab", "ab", "b",  "c", "abab", "ab",
                                     "a", "a", "aa", "aa", "aa", "b", NULL};

static struct vocab *vocab_of(const char *pre, const char *added, const char *normalizer)
{
    return tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = MERGES, .pre = pre, .added = added, .normalizer = normalizer});
}

static int encode(const struct vocab *v, const char *s, size_t len, unsigned flags,
                  struct ids *ids, struct err *err)
{
    return bpe_encode(v, &(struct engine_text){.text = s, .len = len}, flags, ids, err);
}

/* Encodes and compares with the ids written in `expected`. */
static void check_len(const struct vocab *v, const char *text, size_t len, unsigned flags,
                      const char *expected)
{
    struct ids ids = {0};
    struct err err;
    struct buf got = {0};
    assert_int_equal(encode(v, text, len, flags, &ids, &err), 0);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%d", i ? " " : "", ids.data[i]);
    assert_string_equal(got.data ? got.data : "", expected);
    buf_free(&got);
    ids_free(&ids);
}

static void check(const struct vocab *v, const char *text, unsigned flags,
                  const char *expected)
{
    check_len(v, text, strlen(text), flags, expected);
}

static void test_merges_in_rank_order(void **state)
{
    struct vocab *v = vocab_of(NULL, NULL, NULL);
    (void)state;
    check(v, "", 0, "");
    check(v, "a", 0, "97");
    check(v, "abc", 0, "256 99"); /* (a b) comes before (b c) */
    check(v, "bc", 0, "258");
    check(v, "ababab", 0, "259"); /* abab, then abab + ab */
    check(v, "aab", 0, "97 256");
    check(v, "aaaa", 0, "261");
    check(v, "aaa", 0, "260 97"); /* the leftmost of equals */
    vocab_free(v);
}

/* The definition: look for the best pair among all, join it, begin anew. */
static size_t merge_slowly(const struct vocab *v, int32_t *ids, size_t n)
{
    for (;;) {
        int32_t best = INT32_MAX;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            int32_t rank = map64_get(
                &v->merges, (uint64_t)ids[i] << 32 | (uint32_t)ids[i + 1], INT32_MAX);
            if (rank < best) {
                best = rank;
                at = i;
            }
        }
        if (best == INT32_MAX)
            return n;
        ids[at] = v->merged[best];
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void test_long_pieces_merge_as_defined(void **state)
{
    static const char *const merges[] = {
        "c",   "a", "a",  "b",  "b",  "c",   "ab",  "c", "ca", "b",  "bc",
        "a",   "a", "a",  "aa", "b",  "abc", "abc", "b", "b",  "ca", "ca",
        "cab", "c", "bb", "a",  "aa", "aa",  "c",   "c", "cc", "a",  NULL};
    struct vocab *v = tiny_tokenizer_vocab(&(struct tiny_tokenizer){.merges = merges});
    struct err err;
    uint32_t seed = 7;
    (void)state;
    for (int round = 0; round < 300; round++) {
        char text[400];
        int32_t slow[400];
        size_t n = 1 + (size_t)round;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = "aaabbc"[(seed >> 24) % 6];
            slow[i] = text[i];
        }
        struct ids ids = {0};
        assert_int_equal(encode(v, text, n, 0, &ids, &err), 0);
        size_t expected = merge_slowly(v, slow, n);
        assert_int_equal(ids.n, expected);
        assert_memory_equal(ids.data, slow, expected * sizeof *slow);
        ids_free(&ids);
    }
    vocab_free(v);
}

/* A pair that its right neighbour's merge has changed must wait for its new rank. */
static void test_stale_pairs_wait(void **state)
{
    static const char *const merges[] = {"b", "c", "a", "b", "c", "a", "a", "bc", NULL};
    struct vocab *v = tiny_tokenizer_vocab(&(struct tiny_tokenizer){.merges = merges});
    struct buf text = {0}, expected = {0};
    (void)state;
    for (int i = 0; i < 20; i++) {
        buf_puts(&text, "cabc");
        buf_puts(&expected, i ? " 258 256" : "258 256");
    }
    check(v, "cabc", 0, "258 256");
    check(v, text.data, 0, expected.data);
    buf_free(&text);
    buf_free(&expected);
    vocab_free(v);
}

static void test_ignore_merges(void **state)
{
    static const char *const merges[] = {"b", "c", "a", "b", "ab", "c", NULL};
    struct vocab *plain =
        tiny_tokenizer_vocab(&(struct tiny_tokenizer){.merges = merges});
    struct vocab *direct = tiny_tokenizer_vocab(
        &(struct tiny_tokenizer){.merges = merges, .model = "\"ignore_merges\": true, "});
    (void)state;
    check(plain, "abc", 0, "97 256");
    check(direct, "abc", 0, "258"); /* the whole piece is a token */
    check(direct, "abcx", 0, "97 256 120");
    vocab_free(plain);
    vocab_free(direct);
}

#define LEVEL(regex)                                                                     \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "    \
    "\"use_regex\": " regex "}"

static void test_added_tokens(void **state)
{
    static const char *const added =
        "[{\"id\": 300, \"content\": \"<e>\", \"special\": true},"
        " {\"id\": 301, \"content\": \"<e><e>\", \"special\": true},"
        " {\"id\": 302, \"content\": \"<s>\", \"special\": true, \"lstrip\": true, "
        "\"rstrip\": true},"
        " {\"id\": 303, \"content\": \"xy\", \"special\": false, \"normalized\": false, "
        "\"single_word\": true}]";
    struct vocab *v = vocab_of(NULL, added, NULL);
    (void)state;
    check(v, "a<e>b", 0, "97 60 101 62 98"); /* without the flag it is text */
    check(v, "a<e>b", ENCODE_SPECIAL, "97 300 98");
    check(v, "<e><e><e>", ENCODE_SPECIAL, "301 300"); /* the longest first */
    check(v, "a \n<s>\t b", ENCODE_SPECIAL, "97 302 98");
    check(v, "<e> <s>", ENCODE_SPECIAL, "300 302");
    check(v, "xy xyz \xC3\xA9xy (xy)", ENCODE_SPECIAL,
          "303 32 120 121 122 32 195 169 120 121 32 40 303 41");
    vocab_free(v);
}

/* A token marked normalized is found in the normalised text, the others in the raw one.
 */
static void test_normalized_added_tokens(void **state)
{
    static const char *const added =
        "[{\"id\": 300, \"content\": \"\\u1ebf\", \"normalized\": true},"
        " {\"id\": 301, \"content\": \"\\u1ec1\", \"normalized\": false}]";
    struct vocab *v = vocab_of(NULL, added, "{\"type\": \"NFC\"}");
    (void)state;
    check(v, "e\xCC\x82\xCC\x81", ENCODE_SPECIAL, "300");
    check(v, "e\xCC\x82\xCC\x80", ENCODE_SPECIAL,
          "225 187 129"); /* raw: spelt otherwise */
    check(v, "\xE1\xBB\x81", ENCODE_SPECIAL, "301");
    check(v, "e<\xCC\x81", 0, "101 60 204 129");
    vocab_free(v);
}

static void test_bos(void **state)
{
    struct vocab *v = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .added = "[{\"id\": 300, \"content\": \"<s>\", \"special\": true}, "
                 "{\"id\": 301, \"content\": \"</s>\", \"special\": true}]",
        .post = "{\"type\": \"Sequence\", \"processors\": [" LEVEL(
            "true") ", "
                    "{\"type\": \"TemplateProcessing\", \"single\": ["
                    "{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, "
                    "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                    "{\"SpecialToken\": {\"id\": \"</s>\", \"type_id\": 0}}], \"pair\": [], "
                    "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [300], "
                    "\"tokens\": [\"<s>\"]}, \"</s>\": {\"id\": \"</s>\", \"ids\": [301], "
                    "\"tokens\": [\"</s>\"]}}}]}"});
    (void)state;
    check(v, "a", 0, "97");
    check(v, "a", ENCODE_BOS, "300 97 301");
    check(v, "", ENCODE_BOS, "300 301");
    vocab_free(v);
}

/* Nothing is put into the middle of a text, however a tokenizer begins one. Behind an
 * added token it begins one again. */
static void test_a_text_that_goes_on(void **state)
{
    static const char *const added =
        "[{\"id\": 300, \"content\": \"<s>\", \"special\": true}]";
    struct vocab *space =
        vocab_of("{\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                 "\"trim_offsets\": true, \"use_regex\": false}",
                 added, NULL);
    struct vocab *put =
        vocab_of(NULL, added,
                 "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", "
                 "\"prepend\": \"-\"}, {\"type\": \"Lowercase\"}]}");
    (void)state;
    check(space, "c", ENCODE_SPECIAL, "32 99");
    check(space, "c", ENCODE_SPECIAL | ENCODE_MORE, "99");
    check(space, "c<s>c", ENCODE_SPECIAL | ENCODE_MORE, "99 300 32 99");
    check(put, "C", ENCODE_SPECIAL, "45 99");
    check(put, "C", ENCODE_SPECIAL | ENCODE_MORE, "99");
    check(put, "<s>C", ENCODE_SPECIAL | ENCODE_MORE, "300 45 99");
    vocab_free(space);
    vocab_free(put);
}

static void test_ill_formed_text(void **state)
{
    struct vocab *v = vocab_of(NULL, NULL, NULL);
    (void)state;
    check(v,
          "a\xFF"
          "b",
          0, "97 239 191 189 98");
    check(v, "\xE4\xB8", 0, "239 191 189"); /* one for the whole beginning */
    check(v,
          "\xE4\xB8"
          "a",
          0, "239 191 189 97");
    check(v, "\xED\xA0\x80", 0, "239 191 189 239 191 189 239 191 189"); /* a surrogate */
    check(v, "\xC0\xAF", 0, "239 191 189 239 191 189");
    check_len(v, "a\0b", 3, 0, "97 0 98");
    vocab_free(v);
}

/* \s is White_Space: with U+0085, without U+180E and U+FEFF. */
static void test_white_space(void **state)
{
    static const char *const pre =
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
        "{\"Regex\": \"\\\\s+\"}, \"behavior\": \"Removed\", \"invert\": false}, " LEVEL(
            "false") "]}";
    struct vocab *v = vocab_of(pre, NULL, NULL);
    (void)state;
    check(v, "b\xC2\x85\xE3\x80\x80\xC2\xA0\n c", 0, "98 99");
    check(v, "b\xE1\xA0\x8E", 0, "98 225 160 142");
    check(v, "b\xEF\xBB\xBF", 0, "98 239 187 191");
    check(v, "b\xE2\x80\x8B", 0, "98 226 128 139");
    vocab_free(v);
}

static void check_split(const char *behavior, const char *by, bool invert,
                        const char *text, const char *expected)
{
    char pre[512];
    snprintf(pre, sizeof pre,
             "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
             "\"pattern\": {\"String\": \"%s\"}, \"behavior\": \"%s\", "
             "\"invert\": %s}, %s]}",
             by, behavior, invert ? "true" : "false", LEVEL("false"));
    struct vocab *v = vocab_of(pre, NULL, NULL);
    check(v, text, 0, expected);
    vocab_free(v);
}

/* Merges happen inside pieces only, so the ids show where the pieces end. */
static void test_split_behaviors(void **state)
{
    (void)state;
    check_split("Isolated", "b", false, "abc", "97 98 99");
    check_split("Removed", "b", false, "abca", "97 99 97");
    check_split("Removed", "b", true, "abca", "98");
    check_split("MergedWithPrevious", "b", false, "abcab", "256 99 256");
    check_split("MergedWithNext", "b", false, "abcbb", "97 258 98 98");
    check_split("MergedWithNext", "a", true, "baac", "98 97 97 99");
    check_split("Contiguous", "b", false, "abbc", "97 98 98 99");
    check_split("Contiguous", "a", true, "baac", "98 260 99");
}

/* A run of marks too long to be ordered by insertion: each class together, in its order.
 */
static void test_long_runs_of_marks_are_ordered(void **state)
{
    struct vocab *v = vocab_of(NULL, NULL, "{\"type\": \"NFD\"}");
    struct buf text = {0}, ordered = {0};
    struct ids ids = {0}, expected = {0};
    struct err err;
    (void)state;
    for (int i = 0; i < 100; i++)
        buf_puts(&text, "\xCC\x81\xCC\xA3");
    for (int i = 0; i < 200; i++)
        buf_puts(&ordered, i < 100 ? "\xCC\xA3" : "\xCC\x81");
    assert_int_equal(encode(v, text.data, text.len, 0, &ids, &err), 0);
    assert_int_equal(encode(v, ordered.data, ordered.len, 0, &expected, &err), 0);
    assert_int_equal(ids.n, 400);
    assert_int_equal(ids.data[1], 0xA3);
    assert_memory_equal(ids.data, expected.data, ids.n * sizeof *ids.data);
    buf_free(&text);
    buf_free(&ordered);
    ids_free(&ids);
    ids_free(&expected);
    vocab_free(v);
}

static void test_byte_fallback(void **state)
{
    static const char *const json =
        "{\"added_tokens\": [], \"model\": {\"vocab\": {\"a\": 0, \"<0xC3>\": 1, \"<0xA9>\": 2, "
        "\"?\": 3, \"\xE4\xB8\xAD\": 4, \"a\xE4\xB8\xAD\": 5}, \"unk_token\": \"?\", "
        "\"fuse_unk\": %s, \"byte_fallback\": true, \"merges\": [\"a \xE4\xB8\xAD\"]}}";
    struct err err;
    (void)state;
    for (int fuse = 0; fuse < 2; fuse++) {
        struct buf text = {0};
        struct vocab *v = NULL;
        buf_printf(&text, json, fuse ? "true" : "false");
        assert_int_equal(vocab_parse(&v, text.data, text.len, NULL, 0, &err), 0);
        check(v,
              "a\xC3\xA9\xE4\xB8\xAD"
              "a\xE4\xB8\xAD",
              0, "0 1 2 4 5");
        check(v, "xyza", 0, fuse ? "3 0" : "3 3 3 0");
        vocab_free(v);
        buf_free(&text);
    }
}

static void test_decode(void **state)
{
    struct vocab *v =
        vocab_of(NULL, "[{\"id\": 300, \"content\": \"<e>\", \"special\": true}]", NULL);
    const int32_t ids[] = {256, 300, 195, 169, 258};
    struct buf out = {0};
    struct err err;
    (void)state;
    assert_int_equal(bpe_decode(v, ids, 5, false, &out, &err), 0);
    assert_string_equal(out.data, "ab<e>\xC3\xA9"
                                  "bc");
    buf_reset(&out);
    assert_int_equal(bpe_decode(v, ids, 5, true, &out, &err), 0);
    assert_string_equal(out.data, "ab\xC3\xA9"
                                  "bc");
    assert_int_equal(bpe_decode(v, (int32_t[]){299}, 1, true, &out, &err), -ERR_ARGUMENT);
    assert_int_equal(bpe_decode(v, (int32_t[]){-1}, 1, true, &out, &err), -ERR_ARGUMENT);
    buf_free(&out);
    vocab_free(v);
}

static void test_round_trip(void **state)
{
    struct vocab *v = vocab_of(LEVEL("true"), NULL, NULL);
    char text[512];
    struct ids ids = {0};
    struct buf out = {0};
    struct err err;
    size_t n = 0;
    (void)state;
    for (int c = 0; c < 128; c++)
        text[n++] = (char)c;
    n += (size_t)snprintf(text + n, 64,
                          "ab  \xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80  12 it's");
    assert_int_equal(encode(v, text, n, 0, &ids, &err), 0);
    assert_int_equal(bpe_decode(v, ids.data, ids.n, true, &out, &err), 0);
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, text, n);
    buf_free(&out);
    ids_free(&ids);
    vocab_free(v);
}

static void test_pattern_limits(void **state)
{
    static const char *const pre =
        "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(?:a|aa)+(?=b|c)\"}, "
        "\"behavior\": \"Isolated\", \"invert\": false}";
    struct vocab *v = vocab_of(pre, NULL, NULL);
    struct ids ids = {0};
    struct err err;
    char text[200];
    (void)state;
    memset(text, 'a', sizeof text);
    assert_true(ids_push(&ids, 7));
    assert_int_equal(encode(v, text, sizeof text, 0, &ids, &err), -ERR_ARGUMENT);
    assert_int_equal(ids.n, 1);
    ids_free(&ids);
    vocab_free(v);
}

/* Finishing at all is the test: quadratic work on a megabyte would take hours. */
static void test_long_runs(void **state)
{
    static const char *const units[] = {" ",
                                        "a",
                                        "A",
                                        "\n",
                                        "7",
                                        "'",
                                        "\t",
                                        "aA",
                                        " \n",
                                        "\xE4\xB8\xAD",
                                        "\xE2\x80\x8D",
                                        "\xF0\x9F\x98\x80",
                                        "\xCC\x81\xCC\xA3",
                                        "<",
                                        "ab"};
    static const char *const normalizers[] = {"null", "{\"type\": \"NFC\"}",
                                              "{\"type\": \"NFKD\"}"};
    static const char *const pre =
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
        "{\"Regex\": \"(?i:'s|'t)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|"
        " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
        "\"behavior\": \"Isolated\", \"invert\": false}, " LEVEL("false") "]}";
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct vocab *v =
            vocab_of(pre, "[{\"id\": 300, \"content\": \"<<<<<<<<>\"}]", normalizers[k]);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            struct buf text = {0};
            struct ids ids = {0};
            struct err err;
            while (text.len < 1 << 20)
                buf_puts(&text, units[i]);
            buf_putc(&text, 'x');
            assert_int_equal(encode(v, text.data, text.len, ENCODE_SPECIAL, &ids, &err),
                             0);
            assert_true(ids.n > 1000);
            ids_free(&ids);
            buf_free(&text);
        }
        vocab_free(v);
    }
}

/* Each allocation fails once. The matcher's fast stack is the only one that may do
 * without. */
static void test_out_of_memory(void **state)
{
    struct vocab *v = vocab_of(LEVEL("true"), "[{\"id\": 300, \"content\": \"<e>\"}]",
                               "{\"type\": \"NFC\"}");
    static const char *const text =
        "some e\xCC\x81 text <e> and \xFF some more of it, "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct ids whole = {0}, ids = {0};
    struct err err;
    int n_failed = 0;
    (void)state;
    assert_int_equal(encode(v, text, strlen(text), ENCODE_SPECIAL, &whole, &err), 0);
    for (long n = 1; n < 100; n++) {
        mem_fail_after(n);
        int rc = encode(v, text, strlen(text), ENCODE_SPECIAL, &ids, &err);
        mem_fail_after(0);
        assert_true(rc == 0 || (rc == -ERR_MEMORY && ids.n == 0));
        n_failed += rc != 0;
        if (rc == 0) {
            assert_int_equal(ids.n, whole.n);
            assert_memory_equal(ids.data, whole.data, whole.n * sizeof *whole.data);
        }
        ids_free(&ids);
    }
    assert_true(n_failed > 10);
    ids_free(&whole);
    vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_in_rank_order),
        cmocka_unit_test(test_long_pieces_merge_as_defined),
        cmocka_unit_test(test_stale_pairs_wait),
        cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_normalized_added_tokens),
        cmocka_unit_test(test_bos),
        cmocka_unit_test(test_a_text_that_goes_on),
        cmocka_unit_test(test_ill_formed_text),
        cmocka_unit_test(test_white_space),
        cmocka_unit_test(test_split_behaviors),
        cmocka_unit_test(test_long_runs_of_marks_are_ordered),
        cmocka_unit_test(test_byte_fallback),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_pattern_limits),
        cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
