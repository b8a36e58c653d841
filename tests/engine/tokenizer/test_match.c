/* Texts that begin with what tokens say, and the byte at which others part. */
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/match.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

/* Ids: 256 "he", 257 "the", 258 and 259 the special ones. */

static struct vocab *v;

static int set_up(void **state)
{
    static const char *const merges[] = {"h", "e", "t", "he", NULL};
    (void)state;
    v = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges,
        .added = "[{\"id\": 258, \"content\": \"<s>\", \"special\": true, "
                 "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                 "\"normalized\": false}, {\"id\": 259, \"content\": \"<|end|>\", "
                 "\"special\": true, \"single_word\": false, \"lstrip\": false, "
                 "\"rstrip\": false, \"normalized\": false}]"});
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
};

static void check(const struct trial *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = 999;
        bool same = match_text(v, t[i].ids, t[i].n, t[i].text, strlen(t[i].text), &at);
        if (same != t[i].same || at != t[i].at)
            fail_msg("case %zu: %d at %zu", i, same, at);
    }
}

#define CHECK(t) check(t, sizeof(t) / sizeof *(t))

static void texts_begin_with_tokens_or_part(void **state)
{
    (void)state;
    static const struct trial t[] = {
        {{257, ' ', 'a'}, 3, "the a", true, 5},
        {{257, ' ', 'a'}, 3, "the ab", true, 5},
        {{257, ' ', 'a'}, 3, "the b", false, 4},
        {{257, ' ', 'a'}, 3, "tha b", false, 2},
        {{257, ' ', 'a'}, 3, "the ", false, 4},
        {{257}, 1, "", false, 0},
        {{0}, 0, "x", true, 0},
        {{0}, 1, "", false, 0},
        {{'x'}, 1, "y", false, 0},
    };
    CHECK(t);
    size_t at;
    static const int32_t nul[] = {'a', 0, 'b'};
    assert_true(match_text(v, nul, 3, "a\0bc", 4, &at));
    assert_int_equal(at, 3);
}

static void special_tokens_are_written_or_left_out(void **state)
{
    (void)state;
    static const struct trial t[] = {
        {{258, 'a', 259}, 3, "a", true, 1},
        {{258, 'a', 259}, 3, "<s>a", true, 4},
        {{258, 'a', 259}, 3, "a<|end|>b", true, 8},
        {{258, 'a', 259}, 3, "<s>a<|end|>", true, 11},
        {{258, 'a', 259, 'b'}, 4, "a<|end|>b", true, 9},
        {{258, 'a', 259, 'b'}, 4, "ab", true, 2},
        {{258, 'a', 259, 'b'}, 4, "a<|end|b", false, 1},
        {{258, 'a'}, 2, "<s", false, 0},
        {{'a', 258, 258}, 3, "a<s>", true, 4},
    };
    CHECK(t);
}

static void characters_are_shown_as_the_answer_showed_them(void **state)
{
    (void)state;
    static const struct trial t[] = {
        {{0xe2, 0x82, 0xac}, 3, "\u20ac!", true, 3},
        {{0xe2, 0x82, 0xac}, 3, "\u20ad", false, 2},
        {{'a', 0xe2, 0x82}, 3, "a\ufffd", true, 4},  /* cut in the middle */
        {{'a', 0xe2, 0x82}, 3, "a\u20ac", false, 1}, /* nobody has said that yet */
        {{'a', 0xe2, 0x82}, 3, "a", false, 1},
        {{0xe2, 'a'}, 2, "\ufffda", true, 4},
        {{0xff, 0xff, 'a'}, 3, "\ufffd\ufffda", true, 7},
        {{0xe2, 0xe2, 0x82, 0xac}, 4, "\ufffd\u20ac", true, 6},
        {{0xe2, 259, 0x82, 0xac}, 4, "\u20ac", true, 3},
        {{0xe2, 259, 0x82, 0xac}, 4, "<|end|>\u20ac", false, 0},
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
        assert_int_equal(bpe_encode(v, texts[i], len, ENCODE_SPECIAL, &ids, &err), 0);
        assert_true(match_text(v, ids.data, ids.n, texts[i], len, &at));
        assert_int_equal(at, len);
        ids_free(&ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_begin_with_tokens_or_part),
        cmocka_unit_test(special_tokens_are_written_or_left_out),
        cmocka_unit_test(characters_are_shown_as_the_answer_showed_them),
        cmocka_unit_test(a_text_begins_with_its_own_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
