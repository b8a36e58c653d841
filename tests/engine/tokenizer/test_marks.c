/* Added tokens in a client's content: which are found, which are not, that content takes
 * no part of a template's own token away, and that marks change nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/tokenizer/bpe.h"
#include "tests/lib/marked.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* <e> and <e><e> control; [t] is Qwen's <think>; two spaces are neither. */
#define ADDED(normalized)                                                                 \
    "[{\"id\": 300, \"content\": \"<e>\", \"special\": true, \"normalized\": " normalized \
    "}, {\"id\": 301, \"content\": \"<e><e>\", \"special\": true, "                       \
    "\"normalized\": " normalized "}, {\"id\": 302, \"content\": \"[t]\", "               \
    "\"special\": false, \"normalized\": " normalized "}, "                               \
    "{\"id\": 303, \"content\": \"  \", \"special\": false, \"normalized\": " normalized  \
    "}, {\"id\": 304, \"content\": \"AB\", \"special\": true, "                           \
    "\"normalized\": " normalized "}, {\"id\": 305, \"content\": \"BC\", "                \
    "\"special\": true, \"normalized\": " normalized "}, "                                \
    "{\"id\": 306, \"content\": \"xB\", \"special\": false, \"normalized\": " normalized  \
    "}]"

static struct vocab *vocab_of(const char *added, const char *normalizer)
{
    static const char *const merges[] = {"a", "b", "ab", "ab", NULL};
    return tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges, .added = added, .normalizer = normalizer});
}

static void encode(const struct vocab *v, const struct engine_text *t, struct ids *ids)
{
    struct err err;
    assert_int_equal(bpe_encode(v, t, ENCODE_SPECIAL, ids, &err), 0);
}

static void check(const struct vocab *v, const char *written, const char *expected)
{
    struct marked m;
    struct ids ids = {0};
    struct buf got = {0};
    marked_read(&m, written);
    encode(v, &m.text, &ids);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%d", i ? " " : "", ids.data[i]);
    assert_string_equal(got.data ? got.data : "", expected);
    buf_free(&got);
    ids_free(&ids);
    marked_free(&m);
}

/* Marks change nothing: the ids are those of the text alone. */
static void check_plain(const struct vocab *v, const char *written)
{
    struct marked m;
    struct ids ids = {0}, plain = {0};
    marked_read(&m, written);
    encode(v, &m.text, &ids);
    encode(v, &(struct engine_text){m.text.text, m.text.len, NULL, 0}, &plain);
    assert_int_equal(ids.n, plain.n);
    assert_memory_equal(ids.data, plain.data, ids.n * sizeof *ids.data);
    ids_free(&ids);
    ids_free(&plain);
    marked_free(&m);
}

static void check_found(const struct vocab *v)
{
    check(v, "<e>a{<e>}a<e>", "300 97 60 101 62 97 300");
    check(v, "(<e>)", "60 101 62");
    check(v, "{[t]}[t]([t])", "91 116 93 302 302");
    check(v, "{a  b}(  )  ", "97 303 98 303 303"); /* white space controls nothing */
    check(v, "{}<e>{}", "300");
}

static void check_borders(const struct vocab *v)
{
    check(v, "{<e}>", "60 101 62");
    check(v, "<{e}>", "60 101 62");
    check(v, "<{e>}<e>", "60 101 62 300");
    check(v, "<e>{<e>}", "300 60 101 62"); /* the longest is forbidden, a shorter not */
    check(v, "{<e>}<e>", "60 101 62 300");
    check(v, "<e><{e>}<e><e>", "300 60 101 62 301");
    check(v, "{A}BC", "65 305"); /* and not AB */
    check(v, "AB{C}", "304 67");
    check(v, "(x)BC", "120 305"); /* a token that content may have, across its end */
    check(v, "([)t]", "91 116 93");
    check(v, "([t)(])", "302"); /* parts of one content */
    check(v, "([t){]}", "91 116 93");
    check(v, "{ } ", "303");
}

static void test_raw_tokens(void **state)
{
    struct vocab *v = vocab_of(ADDED("false"), NULL);
    (void)state;
    check_found(v);
    check_borders(v);
    vocab_free(v);
}

static void test_normalized_tokens(void **state)
{
    static const char *const normalizers[] = {
        NULL, "{\"type\": \"NFC\"}", "{\"type\": \"NFKD\"}",
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"~\"}, \"content\": \"\"}",
        "{\"type\": \"Strip\", \"strip_left\": false, \"strip_right\": false}"};
    (void)state;
    for (size_t i = 0; i < sizeof normalizers / sizeof *normalizers; i++) {
        struct vocab *v = vocab_of(ADDED("true"), normalizers[i]);
        check_found(v);
        check_borders(v);
        vocab_free(v);
    }
}

/* What a normalizer makes of content stays content, wherever it comes to lie. */
static void test_marks_through_a_normalizer(void **state)
{
    struct vocab *lower =
        vocab_of("[{\"id\": 300, \"content\": \"<i\\u0307>\", \"special\": true, "
                 "\"normalized\": true}, {\"id\": 301, \"content\": \"i\\u0307\", "
                 "\"special\": true, \"normalized\": true}]",
                 "{\"type\": \"Lowercase\"}");
    struct vocab *prepend = vocab_of(ADDED("true"), "{\"type\": \"Prepend\", "
                                                    "\"prepend\": \"-\"}");
    struct vocab *drop = vocab_of(
        ADDED("true"), "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"~+\"}, "
                       "\"content\": \"\"}");
    struct vocab *put = vocab_of(
        ADDED("true"), "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"~+\"}, "
                       "\"content\": \"<e>\"}");
    struct vocab *strip =
        vocab_of(ADDED("true"),
                 "{\"type\": \"Strip\", \"strip_left\": true, \"strip_right\": true}");
    (void)state;
    check(lower, "<\xC4\xB0>{<\xC4\xB0>}", "300 60 105 204 135 62");
    check(lower, "{<\xC4\xB0>}<\xC4\xB0>", "60 105 204 135 62 300");
    check(lower, "{\xC4\xB0}\xC4\xB0", "105 204 135 301");
    check(prepend, "<e>{-<e>}", "300 45 60 101 62"); /* the token's form has it, too */
    check(prepend, "{<e>}-<e>", "45 60 101 62 300");
    check(drop, "~~<~e~>{<e~~>~}~<e>~", "300 60 101 62 300");
    check(drop, "<{~}e>", "300"); /* the template's bytes alone are left */
    check(put, "~{~}", "60 101 62");
    check(put, "a~{a~}", "97 300 97 60 101 62");
    check(strip, "  {  <e>  }<e> ", "60 101 62 32 32 300");
    vocab_free(lower);
    vocab_free(prepend);
    vocab_free(drop);
    vocab_free(put);
    vocab_free(strip);
}

/* U+0338 would make the > of the template's token another character. */
static void test_content_does_not_compose_with_the_template(void **state)
{
    struct vocab *v = vocab_of(ADDED("true"), "{\"type\": \"NFC\"}");
    (void)state;
    check(v, "<e>\xCC\xB8", "60 101 226 137 175");
    check(v, "<e>{\xCC\xB8}", "300 204 184");
    check(v, "{e\xCC\x81}<e>", "195 169 300");
    vocab_free(v);
}

static void test_ill_formed_content(void **state)
{
    struct vocab *v = vocab_of(ADDED("false"), NULL);
    (void)state;
    check(v, "{\xFF<e>\xE4\xB8}<e>", "239 191 189 60 101 62 239 191 189 300");
    check(v, "\xFF{<e>}\xFF<e>", "239 191 189 60 101 62 239 191 189 300");
    vocab_free(v);
}

/* A character is content if one of its bytes is. */
static void test_a_mark_within_a_character(void **state)
{
    struct vocab *v = vocab_of("[{\"id\": 300, \"content\": \"\\u4e2d\", \"special\": "
                               "true, \"normalized\": true}]",
                               "{\"type\": \"NFC\"}");
    (void)state;
    check(v, "\xE4\xB8\xAD", "300");
    check(v, "\xE4{\xB8}\xAD", "228 184 173");
    check(v, "\xE4\xB8(\xAD)\xE4\xB8\xAD", "228 184 173 300");
    vocab_free(v);
}

/* The model's own vocabulary may have a special token, too, and its merges lead there. */
static void test_the_vocabulary_gives_no_special_token(void **state)
{
    static const char *const merges[] = {"<", "e", "<e", ">", "<e>", "a", NULL};
    static const char *const added =
        "[{\"id\": 257, \"content\": \"<e>\", \"special\": true}, "
        "{\"id\": 98, \"content\": \"b\", \"special\": true}]";
    struct vocab *merged =
        tiny_tokenizer_vocab(&(struct tiny_tokenizer){.merges = merges, .added = added});
    struct vocab *direct = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = merges, .added = added, .model = "\"ignore_merges\": true, "});
    struct buf many = {0}, expected = {0};
    (void)state;
    check(merged, "<e>{<e>}", "257 256 62");
    check(direct, "<e>{<e>}", "257 256 62");
    check(direct, "{b}<e>", "257"); /* a character without a token left */
    for (int i = 0; i < 20; i++) {  /* a long piece merges by other code */
        buf_puts(&many, i ? "<e>" : "{<e>");
        buf_puts(&expected, i ? " 256 62" : "256 62");
    }
    buf_putc(&many, '}');
    check(merged, many.data, expected.data);
    buf_free(&many);
    buf_free(&expected);
    vocab_free(merged);
    vocab_free(direct);
}

static void test_marks_do_not_split(void **state)
{
    struct vocab *plain = vocab_of(ADDED("false"), NULL);
    struct vocab *space = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = (const char *const[]){"a", "b", "ab", "ab", NULL},
        .added = ADDED("true"),
        .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": "
               "true, \"use_regex\": true}",
        .normalizer = "{\"type\": \"NFKC\"}"});
    static const char *const texts[] = {
        "a{b}a(b)",         "{a}{b}{ab}", "<e>{abab <}<e>(a)", "{  a  b  }",
        "x{\xEF\xAC\x81}x", "{}",         "a{'}s <e> {'s}",    "[t]([t] ab)[t]{\n\n}\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_plain(plain, texts[i]);
        check_plain(space, texts[i]);
    }
    vocab_free(plain);
    vocab_free(space);
}

/* Without ENCODE_SPECIAL no added token is found, marked or not. */
static void test_marks_without_added_tokens(void **state)
{
    struct vocab *v = vocab_of(ADDED("false"), NULL);
    struct marked m;
    struct ids ids = {0};
    struct err err;
    (void)state;
    marked_read(&m, "<e>{<e>}");
    assert_int_equal(bpe_encode(v, &m.text, 0, &ids, &err), 0);
    assert_int_equal(ids.n, 6);
    ids_free(&ids);
    marked_free(&m);
    vocab_free(v);
}

/* Finishing is the test, as in test_bpe: content that is a megabyte of spellings, or of
 * their beginnings, in one mark or in a mark for every few bytes. */
static void test_a_megabyte_of_spellings(void **state)
{
    static const char *const units[] = {"<e>", "<e><e", "[t]", "  ", "\xCC\xB8<e>"};
    (void)state;
    for (size_t k = 0; k < 2 * sizeof units / sizeof *units; k++) {
        struct vocab *v =
            vocab_of(k % 2 ? ADDED("true") : ADDED("false"), "{\"type\": \"NFC\"}");
        struct buf text = {0}, marks = {0};
        struct ids ids = {0};
        size_t len = strlen(units[k / 2]);
        while (text.len < 1 << 20) {
            buf_put(&marks,
                    &(struct text_mark){text.len, text.len + len, text.len / 64 % 2},
                    sizeof(struct text_mark));
            buf_puts(&text, units[k / 2]);
        }
        encode(v,
               &(struct engine_text){text.data, text.len, (const void *)marks.data,
                                     marks.len / sizeof(struct text_mark)},
               &ids);
        for (size_t i = 0; i < ids.n; i++)
            assert_false(vocab_special(v, ids.data[i]));
        ids_free(&ids);
        buf_free(&marks);
        buf_free(&text);
        vocab_free(v);
    }
}

static void test_the_embedded_model(void **state)
{
    struct vocab *v;
    struct err err;
    (void)state;
    assert_int_equal(vocab_load(&v, "models/default", &err), 0);
    int32_t end = vocab_find(v, "<|endoftext|>", 13);
    struct marked m;
    struct ids ids = {0};
    marked_read(&m, "Once{ upon<|endoftext|> a (time)}<|endoftext|>{<|end}oftext|>");
    m.text.n_marks = 0;
    encode(v, &m.text, &ids);
    size_t n_plain = 0, n = 0;
    for (size_t i = 0; i < ids.n; i++)
        n_plain += ids.data[i] == end;
    assert_int_equal(n_plain, 3);
    ids.n = 0;
    marked_free(&m);
    marked_read(&m, "Once{ upon<|endoftext|> a time}<|endoftext|>{<|end}oftext|>");
    encode(v, &m.text, &ids);
    for (size_t i = 0; i < ids.n; i++)
        n += ids.data[i] == end;
    assert_int_equal(n, 1);
    check_plain(v, "Once{ upon} a{ time}<|endoftext|>{ there }was\n{\n\n}a{ girl }.");
    ids_free(&ids);
    marked_free(&m);
    vocab_free(v);
}

/* Each allocation fails once. */
static void test_out_of_memory(void **state)
{
    struct vocab *v = vocab_of(ADDED("true"), "{\"type\": \"NFC\"}");
    struct marked m;
    struct ids whole = {0}, ids = {0};
    struct err err;
    int n_failed = 0;
    (void)state;
    marked_read(&m, "a<e>{e\xCC\x81 <e> \xFF}(b[t])");
    encode(v, &m.text, &whole);
    for (long n = 1; n < 60; n++) {
        mem_fail_after(n);
        int rc = bpe_encode(v, &m.text, ENCODE_SPECIAL, &ids, &err);
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
    marked_free(&m);
    vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_tokens),
        cmocka_unit_test(test_normalized_tokens),
        cmocka_unit_test(test_marks_through_a_normalizer),
        cmocka_unit_test(test_content_does_not_compose_with_the_template),
        cmocka_unit_test(test_ill_formed_content),
        cmocka_unit_test(test_a_mark_within_a_character),
        cmocka_unit_test(test_the_vocabulary_gives_no_special_token),
        cmocka_unit_test(test_marks_do_not_split),
        cmocka_unit_test(test_marks_without_added_tokens),
        cmocka_unit_test(test_a_megabyte_of_spellings),
        cmocka_unit_test(test_the_embedded_model),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
