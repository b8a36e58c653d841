/* Texts that begin with what tokens say, and the byte at which others part.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/match.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

/* Ids: 256 "he", 257 "the", 258 and 259 the special ones. */

static struct vocab *v;

static const char added[] =
    "[{\"id\": 258, \"content\": \"<s>\", \"special\": true, \"single_word\": false, "
    "\"lstrip\": false, \"rstrip\": false, \"normalized\": false}, {\"id\": 259, "
    "\"content\": \"<|end|>\", \"special\": true, \"single_word\": false, "
    "\"lstrip\": false, \"rstrip\": false, \"normalized\": false}]";
static const char *const merges[] = {"h", "e", "t", "he", NULL};

static int set_up(void **state)
{
    (void)state;
    v = tiny_tokenizer_vocab(&(struct tiny_tokenizer){.merges = merges, .added = added});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vocab_free(v);
    return 0;
}

struct trial {
    int32_t ids[10];
    size_t n;
    const char *text;
    bool same;
    size_t at;
    struct answer_end ends[2]; /* at 0: no end */
};

/* The constant arrays stay what they are. */
static struct history history_of(const struct trial *t)
{
    size_t n_ends = (t->ends[0].at > 0) + (size_t)(t->ends[1].at > 0);
    return (struct history){(int32_t *)(uintptr_t)t->ids,
                            (struct answer_end *)(uintptr_t)t->ends, t->n, n_ends};
}

static void check_with(const struct vocab *vocab, const struct trial *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct history h = history_of(&t[i]);
        struct err err;
        size_t at = 999;
        int rc = match_text(vocab, &h, t[i].text, strlen(t[i].text), &at, &err);
        if (rc != (t[i].same ? 0 : -ERR_CONFLICT) || at != t[i].at)
            fail_msg("case %zu: %d at %zu", i, rc, at);
    }
}

static void check(const struct trial *t, size_t n)
{
    check_with(v, t, n);
}

#define CHECK(t) check(t, sizeof(t) / sizeof *(t))

static void texts_begin_with_tokens_or_part(void **state)
{
    (void)state;
    static const struct trial t[] = {
        {{257, ' ', 'a'}, 3, "the a", true, 5, {{0}}},
        {{257, ' ', 'a'}, 3, "the ab", true, 5, {{0}}},
        {{257, ' ', 'a'}, 3, "the b", false, 4, {{0}}},
        {{257, ' ', 'a'}, 3, "tha b", false, 2, {{0}}},
        {{257, ' ', 'a'}, 3, "the ", false, 4, {{0}}},
        {{257}, 1, "", false, 0, {{0}}},
        {{0}, 0, "x", true, 0, {{0}}},
        {{0}, 1, "", false, 0, {{0}}},
        {{'x'}, 1, "y", false, 0, {{0}}},
    };
    CHECK(t);
    size_t at;
    struct err err;
    struct history nul = {.ids = (int32_t[]){'a', 0, 'b'}, .n_ids = 3};
    assert_int_equal(match_text(v, &nul, "a\0bc", 4, &at, &err), 0);
    assert_int_equal(at, 3);
}

static void special_tokens_are_written_or_left_out(void **state)
{
    (void)state;
    static const struct trial t[] = {
        {{258, 'a', 259}, 3, "a", true, 1, {{0}}},
        {{258, 'a', 259}, 3, "<s>a", true, 4, {{0}}},
        {{258, 'a', 259}, 3, "a<|end|>b", true, 8, {{0}}},
        {{258, 'a', 259}, 3, "<s>a<|end|>", true, 11, {{0}}},
        {{258, 'a', 259, 'b'}, 4, "a<|end|>b", true, 9, {{0}}},
        {{258, 'a', 259, 'b'}, 4, "ab", true, 2, {{0}}},
        {{258, 'a', 259, 'b'}, 4, "a<|end|b", false, 1, {{0}}},
        {{258, 'a'}, 2, "<s", false, 0, {{0}}},
        {{'a', 258, 258}, 3, "a<s>", true, 4, {{0}}},
    };
    CHECK(t);
}

static void characters_are_shown_as_the_answer_showed_them(void **state)
{
    (void)state;
    static const struct trial t[] = {
        {{0xe2, 0x82, 0xac}, 3, "\u20ac!", true, 3, {{0}}},
        {{0xe2, 0x82, 0xac}, 3, "\u20ad", false, 2, {{0}}},
        {{'a', 0xe2, 0x82}, 3, "a\ufffd", true, 4, {{0}}}, /* cut in the middle */
        {{'a', 0xe2, 0x82}, 3, "a\u20ac", true, 1, {{0}}}, /* which is new text then */
        {{'a', 0xe2, 0x82}, 3, "a", true, 1, {{0}}},
        {{'a', 0xe2, 0x82}, 3, "", false, 0, {{0}}},
        {{0xe2, 'a'}, 2, "\ufffda", true, 4, {{0}}},
        {{0xff, 0xff, 'a'}, 3, "\ufffd\ufffda", true, 7, {{0}}},
        {{0xe2, 0xe2, 0x82, 0xac}, 4, "\ufffd\u20ac", true, 6, {{0}}},
        {{0xe2, 259, 0x82, 0xac}, 4, "\u20ac", true, 3, {{0}}},
        {{0xe2, 259, 0x82, 0xac}, 4, "<|end|>\u20ac", true, 10, {{0}}},
    };
    CHECK(t);
}

/* Whatever was encoded is what its tokens say. */
static void a_text_begins_with_its_own_tokens(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",         "the theatre", "\u20ac\u00e9\U0001f600", "<s>the<|end|>", "a<s",
        "\n\n  \t", "thethethe"};
    struct err err;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ids ids = {0};
        size_t at, len = strlen(texts[i]);
        assert_int_equal(bpe_encode(v, &(struct engine_text){texts[i], len, NULL, 0},
                                    ENCODE_SPECIAL, &ids, &err),
                         0);
        struct history h = {.ids = ids.data, .n_ids = ids.n};
        assert_int_equal(match_text(v, &h, texts[i], len, &at, &err), 0);
        assert_int_equal(at, len);
        ids_free(&ids);
    }
}

/* ---- what clients were not shown -------------------------------------------- */

static void an_end_is_contained_whole_or_left_out(void **state)
{
    (void)state;
    static const struct trial t[] = {
        /* a stop id that has text, */
        {{'a', '\n'}, 2, "a\nb", true, 2, {{2, 1, 0, 0}}},
        {{'a', '\n'}, 2, "ab", true, 1, {{2, 1, 0, 0}}},
        {{'a', '\n'}, 2, "a", true, 1, {{2, 1, 0, 0}}},
        {{'a', '\n'}, 2, "b", false, 0, {{2, 1, 0, 0}}},
        /* behind which the conversation went on, */
        {{'a', '\n', 'b'}, 3, "a\nb", true, 3, {{2, 1, 0, 0}}},
        {{'a', '\n', 'b'}, 3, "ab", true, 2, {{2, 1, 0, 0}}},
        {{'a', '\n', 'b'}, 3, "a\n\nb", false, 2, {{2, 1, 0, 0}}},
        {{'a', '\n', 'b', '\n'}, 4, "ab\nc", true, 3, {{2, 1, 0, 0}, {4, 3, 0, 0}}},
        {{'a', '\n', 'b', '\n'}, 4, "a\nbc", true, 3, {{2, 1, 0, 0}, {4, 3, 0, 0}}},
        /* one that ends an answer as soon as it begins, */
        {{'a', '\n', '\n'}, 3, "a\n", true, 2, {{2, 1, 0, 0}, {3, 2, 0, 0}}},
        /* a special one, */
        {{'a', 259}, 2, "a<|end|>b", true, 8, {{2, 1, 0, 0}}},
        {{'a', 259, 'b'}, 3, "ab", true, 2, {{2, 1, 0, 0}}},
        /* a stop string of whole tokens, */
        {{'a', ' ', 'x', 'y'}, 4, "a xy", true, 4, {{4, 2, 0, 1}}},
        {{'a', ' ', 'x', 'y'}, 4, "a z", true, 2, {{4, 2, 0, 1}}},
        {{'a', ' ', 'x', 'y'}, 4, "a xz", true, 2, {{4, 2, 0, 1}}},
    };
    CHECK(t);
}

/* Token 257 is "the". */
static void a_stop_string_may_end_inside_a_token(void **state)
{
    (void)state;
    static const struct trial t[] = {
        /* "t": the token's rest may be left out with it or without it, */
        {{'a', 257}, 2, "athe!", true, 4, {{2, 1, 0, 1}}},
        {{'a', 257}, 2, "at!", true, 2, {{2, 1, 0, 1}}},
        {{'a', 257}, 2, "a!", true, 1, {{2, 1, 0, 1}}},
        {{'a', 257, '!'}, 3, "at!", true, 3, {{2, 1, 0, 1}}},
        {{'a', 257, '!'}, 3, "a!", true, 2, {{2, 1, 0, 1}}},
        {{'a', 257, '!'}, 3, "ath!", false, 2, {{2, 1, 0, 1}}},
        /* "h": one byte was shown, */
        {{257}, 1, "the", true, 3, {{1, 0, 1, 2}}},
        {{257}, 1, "th.", true, 2, {{1, 0, 1, 2}}},
        {{257}, 1, "t.", true, 1, {{1, 0, 1, 2}}},
        {{257}, 1, ".", false, 0, {{1, 0, 1, 2}}},
        /* "the" shown up to a stop string that was kept, */
        {{257}, 1, "the", true, 3, {{1, 0, 2, 2}}},
        {{257}, 1, "th.", true, 2, {{1, 0, 2, 2}}},
        {{257}, 1, "t.", false, 1, {{1, 0, 2, 2}}},
        /* and one that began in the middle of another token. */
        {{257, 257}, 2, "thethe", true, 6, {{2, 0, 2, 1}}},
        {{257, 257}, 2, "thet", true, 4, {{2, 0, 2, 1}}},
        {{257, 257}, 2, "th", true, 2, {{2, 0, 2, 1}}},
        {{257, 257}, 2, "the", true, 2, {{2, 0, 2, 1}}},
    };
    CHECK(t);
}

static void a_character_that_an_answer_did_not_complete(void **state)
{
    (void)state;
    static const struct trial t[] = {
        {{'a', 0xe2, 0x82, 'b'}, 4, "ab", true, 2, {{3, 3, 0, 0}}},
        {{'a', 0xe2, 0x82, 'b'}, 4, "a\ufffdb", true, 5, {{3, 3, 0, 0}}},
        {{'a', 0xe2, 0x82, 'b'}, 4, "ab", false, 1, {{0}}}, /* no answer ended there */
        {{'a', 0xe2, 0x82, 0xac}, 4, "a\u20ac", true, 4, {{3, 3, 0, 0}}},
        {{'a', 0xe2, 0x82, 0xac}, 4, "a", false, 1, {{3, 3, 0, 0}}},
        {{0xe2, 0x82, 0xac}, 3, "\u20ac", true, 3, {{1, 1, 0, 0}, {2, 2, 0, 0}}},
        {{0xe2, 0x82, 'x'}, 3, "x", true, 1, {{1, 1, 0, 0}, {2, 2, 0, 0}}},
        {{'a', 0xe2, 258, 'b'}, 4, "ab", true, 2, {{3, 2, 0, 0}}},
        {{'a', 0xe2, 258, 'b'}, 4, "a<s>b", true, 5, {{3, 2, 0, 0}}},
        {{'a', 0xe2, 0xe2, 0x82, 0xac}, 5, "a\u20ac", true, 4, {{2, 2, 0, 0}}},
        /* what breaks it may itself end the answer in the middle */
        {{0xe2, 257}, 2, "\ufffdt", true, 4, {{1, 1, 0, 0}, {2, 1, 4, 5}}},
    };
    CHECK(t);
}

static void ids_contain_an_end_or_leave_it_out(void **state)
{
    (void)state;
    static const struct {
        int32_t ids[6];
        size_t n;
        bool same;
        size_t at;
    } t[] = {
        {{1, 2, 9, 3, 8, 8}, 6, true, 6},
        {{1, 2, 3, 8, 8}, 5, true, 5},
        {{1, 2, 9, 3}, 4, true, 4},
        {{1, 2, 3}, 3, true, 3},
        {{1, 2, 3, 8}, 4, true, 3},
        {{1, 2, 3, 7}, 4, true, 3},
        {{1, 2, 9}, 3, false, 3},
        {{1, 2}, 2, false, 2},
        {{1, 9, 3}, 3, false, 1},
        {{1, 2, 9, 9, 3}, 5, false, 3},
        {{0}, 0, false, 0},
    };
    struct history h = {.ids = (int32_t[]){1, 2, 9, 3, 8, 8},
                        .ends = (struct answer_end[]){{3, 2, 0, 0}, {6, 3, 1, 1}},
                        .n_ids = 6,
                        .n_ends = 2};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err err;
        size_t at = 999;
        int rc = match_ids(&h, t[i].ids, t[i].n, &at, &err);
        if (rc != (t[i].same ? 0 : -ERR_CONFLICT) || at != t[i].at)
            fail_msg("case %zu: %d at %zu", i, rc, at);
    }
}

/* ---- normal forms ----------------------------------------------------------- */

static void characters_are_compared_in_the_tokenizers_form(void **state)
{
    (void)state;
    struct vocab *nfc = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges, .added = added, .normalizer = "{\"type\": \"NFC\"}"});
    struct vocab *lower = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges,
        .added = added,
        .normalizer = "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKC\"}, "
                      "{\"type\": \"Lowercase\"}]}"});
    static const struct trial composed[] = {
        {{'a', 0xc3, 0xa9, 'b'}, 4, "a\u00e9b", true, 4, {{0}}},
        {{'a', 0xc3, 0xa9, 'b'}, 4, "ae\u0301b", true, 5, {{0}}},
        {{'a', 0xc3, 0xa9, 'b'}, 4, "ae\u0301", false, 4, {{0}}},
        {{'a', 0xc3, 0xa9, 'b'}, 4, "aeb", false, 1, {{0}}},
        {{'a', 0xc3, 0xa9}, 3, "ae\u0300", false, 1, {{0}}},
        {{'e', 0xcc, 0x81}, 3, "e\u0301", true, 3, {{0}}}, /* generated so */
        {{'e', 0xcc, 0x81, 0xc3, 0xa9}, 5, "e\u0301e\u0301", true, 6, {{0}}},
        {{'e'}, 1, "e\u0301", true, 1, {{0}}}, /* the mark is new */
        {{0xe1, 0xbb, 0x99}, 3, "o\u0323\u0302", true, 5, {{0}}},
        {{0xe1, 0xbb, 0x99}, 3, "\u00f4\u0323", true, 4, {{0}}},
        {{0xe1, 0xbb, 0x99}, 3, "o\u0302\u0323", true, 5, {{0}}},
        {{'q', 0xcc, 0xa3, 0xcc, 0x87}, 5, "q\u0307\u0323", true, 5, {{0}}},
        {{0xea, 0xb0, 0x81}, 3, "\u1100\u1161\u11a8", true, 9, {{0}}},
        {{0xc3, 0xa9, 259, 0xc3, 0xa9}, 5, "e\u0301<|end|>e\u0301", true, 13, {{0}}},
        {{0xc3, 0xa9, '\n', 'a'}, 4, "e\u0301a", true, 4, {{3, 2, 0, 0}}},
    };
    static const struct trial small[] = {
        {{'t', 'h', 'e'}, 3, "THE", true, 3, {{0}}},
        {{'t', 'H', 'e'}, 3, "THE", true, 3, {{0}}}, /* H was generated */
        {{'t', 'H', 'e'}, 3, "The", false, 1, {{0}}},
        {{'f', 'i', 'x'}, 3, "\ufb01X", true, 4, {{0}}},
        {{'f', 'i'}, 2, "\ufb02", false, 0, {{0}}},
    };
    check_with(nfc, composed, sizeof composed / sizeof *composed);
    check_with(lower, small, sizeof small / sizeof *small);
    vocab_free(nfc);
    vocab_free(lower);
}

/* What is encoded now is what the state holds, however it was written. */
static void a_text_in_any_form_begins_with_its_own_tokens(void **state)
{
    (void)state;
    static const char *const texts[] = {"cafe\u0301", "\u212b\u1100\u1161 <s>e\u0301",
                                        "a\u0315\u0300\u05aeb", "\u0301e\u0301"};
    struct vocab *nfc = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges, .added = added, .normalizer = "{\"type\": \"NFC\"}"});
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ids ids = {0};
        struct err err;
        size_t at, len = strlen(texts[i]);
        assert_int_equal(bpe_encode(nfc, &(struct engine_text){texts[i], len, NULL, 0},
                                    ENCODE_SPECIAL, &ids, &err),
                         0);
        struct history h = {.ids = ids.data, .n_ids = ids.n};
        assert_int_equal(match_text(nfc, &h, texts[i], len, &at, &err), 0);
        assert_int_equal(at, len);
        ids_free(&ids);
    }
    vocab_free(nfc);
}

static void out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    struct vocab *nfc = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges, .added = added, .normalizer = "{\"type\": \"NFC\"}"});
    struct history h = {.ids = (int32_t[]){0xc3, 0xa9}, .n_ids = 2};
    int rc = -ERR_MEMORY;
    for (long n = 1; rc; n++) {
        struct err err;
        size_t at;
        mem_fail_after(n);
        rc = match_text(nfc, &h, "e\u0301", 3, &at, &err);
        mem_fail_after(0);
        assert_true(rc == 0 || rc == -ERR_MEMORY);
        assert_true(n > 2 || rc);
    }
    vocab_free(nfc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_begin_with_tokens_or_part),
        cmocka_unit_test(special_tokens_are_written_or_left_out),
        cmocka_unit_test(characters_are_shown_as_the_answer_showed_them),
        cmocka_unit_test(a_text_begins_with_its_own_tokens),
        cmocka_unit_test(an_end_is_contained_whole_or_left_out),
        cmocka_unit_test(a_stop_string_may_end_inside_a_token),
        cmocka_unit_test(a_character_that_an_answer_did_not_complete),
        cmocka_unit_test(ids_contain_an_end_or_leave_it_out),
        cmocka_unit_test(characters_are_compared_in_the_tokenizers_form),
        cmocka_unit_test(a_text_in_any_form_begins_with_its_own_tokens),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
