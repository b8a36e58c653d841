/* A good tokenizer.json, and every way in which one is refused: each fault is one edit of
 * the good file, and the error must name the path.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/tokenizer/describe.h"
#include "engine/tokenizer/vocab.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const good =
    "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
    " \"added_tokens\": [{\"id\": 5, \"content\": \"<end>\", \"single_word\": false,\n"
    "   \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}],\n"
    " \"normalizer\": {\"type\": \"NFC\"},\n"
    " \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
    "   {\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{L}+|\\\\s+\"},\n"
    "    \"behavior\": \"Isolated\", \"invert\": false},\n"
    "   {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true,\n"
    "    \"use_regex\": false}]},\n"
    " \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [\n"
    "   {\"SpecialToken\": {\"id\": \"<end>\", \"type_id\": 0}},\n"
    "   {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [],\n"
    "   \"special_tokens\": {\"<end>\": {\"id\": \"<end>\", \"ids\": [5], \"tokens\": []}}},\n"
    " \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true,\n"
    "   \"trim_offsets\": true, \"use_regex\": true},\n"
    " \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,\n"
    "   \"continuing_subword_prefix\": null, \"end_of_word_suffix\": \"\",\n"
    "   \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
    "   \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"\xC4\xA0\": 3, \"\xC4\xA0"
    "ab\": 4},\n"
    "   \"merges\": [\"a b\", [\"\xC4\xA0\", \"ab\"]]}}";

/* good with the first `from` replaced by `to`; freed by the caller. */
static void edited(struct buf *out, const char *from, const char *to)
{
    const char *at = strstr(good, from);
    assert_non_null(at);
    buf_put(out, good, (size_t)(at - good));
    buf_puts(out, to);
    buf_puts(out, at + strlen(from));
}

static void test_good(void **state)
{
    struct vocab *v = NULL;
    struct err err;
    size_t len;
    (void)state;
    assert_int_equal(vocab_parse(&v, good, strlen(good), NULL, 0, &err), 0);
    assert_int_equal(v->n_ids, 6);
    assert_int_equal(v->n_merges, 2);
    assert_true(v->hash == hash_bytes(good, strlen(good)));
    assert_memory_equal(vocab_token_bytes(v, 2, &len), "ab", 2);
    assert_memory_equal(vocab_token_bytes(v, 4, &len), " ab", 3);
    assert_int_equal(len, 3);
    assert_null(vocab_token_bytes(v, 6, &len));
    assert_null(vocab_token_bytes(v, -1, &len));
    assert_true(vocab_special(v, 5));
    assert_false(vocab_special(v, 4));
    assert_false(vocab_special(v, 1 << 30));
    assert_int_equal(vocab_find(v, "<end>", 5), 5);
    assert_int_equal(vocab_find(v, "nothing", 7), -1);
    assert_int_equal(v->pipe.n_prefix, 1);
    assert_int_equal(v->pipe.prefix[0], 5);
    vocab_free(v);
    vocab_free(NULL);
}

/* What batches of a training run were cut and filled to says nothing of a text. */
static void test_truncation_and_padding_have_no_effect(void **state)
{
    static const char *const keys[] = {"\"padding\": null", "\"truncation\": null"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct buf json = {0};
        struct vocab *v = NULL;
        struct err err;
        edited(&json, keys[i],
               i ? "\"truncation\": {\"max_length\": 1}" : "\"padding\": {\"x\": 1}");
        assert_int_equal(vocab_parse(&v, json.data, json.len, NULL, 0, &err), 0);
        vocab_free(v);
        buf_free(&json);
    }
}

static void test_a_tokenizer_is_described(void **state)
{
    struct vocab *v = NULL;
    struct buf words = {0};
    struct err err;
    (void)state;
    assert_int_equal(vocab_parse(&v, good, strlen(good), NULL, 0, &err), 0);
    describe_vocab(v, &words);
    assert_string_equal(words.data,
                        "BPE of 6 tokens (1 added) and 2 merges; normalizer NFC; "
                        "pre-tokenizer Split, ByteLevel; decoder ByteLevel; "
                        "before a text <end>");
    buf_free(&words);
    vocab_free(v);
}

struct fault {
    const char *from, *to, *names; /* what the message must hold */
};

static const struct fault faults[] = {
    {"\"version\": \"1.0\"", "\"version\": ", "invalid JSON at line 1"},
    {"{\"version\"", "[{\"version\"", "invalid JSON"},
    {"\"padding\"", "\"surplus\"", "surplus: a field that is not honoured"},
    {"\"model\"", "\"modell\"", "modell"},
    {"\"type\": \"BPE\"", "\"type\": \"Unigram\"",
     "model.type: expected one of BPE, found \"Unigram\""},
    {"\"type\": \"BPE\"", "\"type\": \"WordPiece\"",
     "model.type: expected one of BPE, found \"WordPiece\""},
    {"\"vocab\"", "\"words\"", "model.words"},
    {"\"merges\"", "\"joins\"", "model.joins"},
    {"\"merges\": [\"a b\", [\"\xC4\xA0\", \"ab\"]]", "\"merges\": 5",
     "model.merges: expected an array, found an integer"},
    {"\"a\": 0", "\"a\": -1", "model.vocab[\"a\"]"},
    {"\"a\": 0", "\"a\": \"x\"", "model.vocab[\"a\"]"},
    {"\"a\": 0", "\"a\": 4294967296", "model.vocab[\"a\"]"},
    {"\"a\": 0", "\"a\": 1", "model.vocab: id 1 has two tokens, \"a\" and \"b\""},
    {"\"a\": 0", "\"a\": 0, \"a\": 6", "duplicate"},
    {"\"a b\"", "\"ab\"", "model.merges[0]: expected"},
    {"\"a b\"", "\"a b b\"", "model.merges[0]: expected"},
    {"\"a b\"", "7", "model.merges[0]: expected"},
    {"\"a b\"", "[\"a\", 1]", "model.merges[0]: expected"},
    {"\"a b\"", "\"a x\"",
     "model.merges[0]: expected tokens of model.vocab, found \"x\""},
    {"\"a b\"", "\"b a\"",
     "model.merges[0]: expected tokens of model.vocab, found \"ba\""},
    {"\"a b\"", "\"a b\", \"a b\"", "model.merges[1]: repeats merge 0"},
    {"\"dropout\": null", "\"dropout\": 0.1", "model.dropout: expected null or 0"},
    {"\"unk_token\": null", "\"unk_token\": \"?\"", "model.unk_token"},
    {"\"unk_token\": null", "\"unk_token\": 3",
     "model.unk_token: expected a string or null"},
    {"_prefix\": null", "_prefix\": \"##\"", "model.continuing_subword_prefix"},
    {"_suffix\": \"\"", "_suffix\": \"</w>\"", "model.end_of_word_suffix"},
    {"\"fuse_unk\": false", "\"fuse_unk\": 0", "model.fuse_unk: expected true or false"},
    {"\"NFC\"", "\"Nmt\"", "normalizer.type: expected one of Sequence, NFC"},
    {"{\"type\": \"NFC\"}", "{}", "normalizer.type: expected a string, found nothing"},
    {"{\"type\": \"NFC\"}", "[]", "normalizer: expected an object, found an array"},
    {"{\"type\": \"NFC\"}", "{\"type\": \"NFC\", \"x\": 1}", "normalizer.x"},
    {"{\"type\": \"NFC\"}", "{\"type\": \"Replace\", \"content\": \"\"}",
     "normalizer.pattern: expected an object"},
    {"\"Split\"", "\"UnicodeScripts\"",
     "pre_tokenizer.pretokenizers[0].type: expected one of"},
    {"\"pretokenizers\": [", "\"pretokenizers\": [5, ", "pre_tokenizer.pretokenizers[0]"},
    {"\"Isolated\"", "\"Glued\"",
     "pre_tokenizer.pretokenizers[0].behavior: expected one of"},
    {"\"invert\": false", "\"invert\": 1", "pre_tokenizer.pretokenizers[0].invert"},
    {"{\"Regex\"", "{\"Glob\"", "pre_tokenizer.pretokenizers[0].pattern.Glob"},
    {"\\\\s+\"", "(\"", "pre_tokenizer.pretokenizers[0].pattern: not a pattern"},
    {"\\\\s+\"", "\\\\s*\"", "pattern: a pattern that can match nothing"},
    {"\\\\s+\"", "^a\"", "pattern: pattern offset 7: an anchor is not honoured"},
    {"\\\\s+\"", "\\\\w\"", "this escape is not honoured"},
    {"\\\\s+\"", "[a&&b]\"", "&& in a class is not honoured"},
    {"\\\\s+\"", "[a[b]]\"", "a class within a class"},
    {"\\\\s+\"", "[ab\"", "a class without its end"},
    {"\\\\s+\"", "(?m:a)\"", "this kind of group"},
    {"\\\\s+\"", "(*ACCEPT)\"", "this kind of group"},
    {"\\\\s+\"", "a{2}+\"", "a quantified interval"},
    {"\\\\s+\"", "a{,2}\"", "{ but in an interval"},
    {"\\\\s+\"", "\\\\p{Nothing}\"", "not a pattern"},
    {"\\\\s+\"", "\\\\1\"", "this escape"},
    {"\"use_regex\": false", "\"use_regex\": \"no\"", "pretokenizers[1].use_regex"},
    {"\"TemplateProcessing\"", "\"BertProcessing\"",
     "post_processor.type: expected one of"},
    {"\"single\": [", "\"single\": [{}, ", "post_processor.single[0].SpecialToken"},
    {"\"ids\": [5]", "\"ids\": []", "post_processor.special_tokens.<end>.ids"},
    {"\"ids\": [5]", "\"ids\": [6]", "post_processor: expected ids of tokens, found 6"},
    {"\"ids\": [5]", "\"ids\": [-5]",
     "post_processor.special_tokens: expected an id, found -5"},
    {"\"id\": \"A\"", "\"id\": \"B\"", "post_processor.single[1].Sequence.id"},
    {"\"decoder\": {\"type\": \"ByteLevel\"", "\"decoder\": {\"type\": \"CTC\"",
     "decoder.type: expected one of"},
    {"\"id\": 5, \"content\"", "\"id\": 5.5, \"content\"", "added_tokens[0].id"},
    {"\"id\": 5, \"content\"", "\"id\": 4, \"content\"",
     "added_tokens[0].id: 4 is already another token's"},
    {"\"content\": \"<end>\"", "\"content\": \"ab\"",
     "added_tokens[0].id: expected 2, the id of the same text, found 5"},
    {"\"content\": \"<end>\"", "\"content\": \"\"", "added_tokens[0].content"},
    {"\"special\": true", "\"special\": null", "added_tokens[0].special"},
    {"\"special\": true", "\"extra\": true", "added_tokens[0].extra"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault *f = &faults[i];
        struct buf json = {0};
        struct vocab *v = NULL;
        struct err err = {0};
        edited(&json, f->from, f->to);
        int rc = vocab_parse(&v, json.data, json.len, NULL, 0, &err);
        if (rc != -ERR_FORMAT || !strstr(err.text, f->names) ||
            strncmp(err.text, "tokenizer.json: ", 16) != 0)
            fail_msg("%s -> %s: %d \"%s\", expected \"%s\"", f->from, f->to, rc, err.text,
                     f->names);
        assert_null(v);
        buf_free(&json);
    }
}

static void test_deep_nesting(void **state)
{
    struct buf json = {0}, nested = {0};
    struct vocab *v = NULL;
    struct err err;
    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_putc(&json, '[');
    assert_int_equal(vocab_parse(&v, json.data, json.len, NULL, 0, &err), -ERR_FORMAT);
    buf_reset(&json);
    for (int i = 0; i < 8; i++)
        buf_puts(&nested, "{\"type\": \"Sequence\", \"normalizers\": [");
    for (int i = 0; i < 8; i++)
        buf_puts(&nested, "]}");
    edited(&json, "{\"type\": \"NFC\"}", nested.data);
    assert_int_equal(vocab_parse(&v, json.data, json.len, NULL, 0, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "Sequences nested deeper than 4"));
    buf_free(&json);
    buf_free(&nested);
}

static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(good); len += 7) {
        struct vocab *v = NULL;
        struct err err;
        assert_int_equal(vocab_parse(&v, good, len, NULL, 0, &err), -ERR_FORMAT);
    }
}

static void test_out_of_memory(void **state)
{
    struct vocab *v = NULL;
    struct err err;
    (void)state;
    for (long n = 1; n < 1000; n++) {
        mem_fail_after(n);
        int rc = vocab_parse(&v, good, strlen(good), NULL, 0, &err);
        mem_fail_after(0);
        if (rc == 0)
            break;
        assert_null(v);
    }
    assert_non_null(v);
    vocab_free(v);
}

static int with_config(const char *config, int *n_prefix, struct err *err)
{
    struct vocab *v = NULL;
    int rc = vocab_parse(&v, good, strlen(good), config, strlen(config), err);
    if (rc == 0)
        *n_prefix = (int)v->pipe.n_prefix;
    vocab_free(v);
    return rc;
}

static void test_config(void **state)
{
    struct err err;
    int n = -1;
    (void)state;
    assert_int_equal(with_config("{}", &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(
        with_config("{\"model_max_length\": 1000000000000000019884624838656}", &n, &err),
        0);
    assert_int_equal(
        with_config("{\"add_bos_token\": false, \"bos_token\": \"<end>\"}", &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(with_config("{\"add_bos_token\": true, \"bos_token\": "
                                 "{\"content\": \"<end>\"}}",
                                 &n, &err),
                     0);
    assert_int_equal(n, 1);
    assert_int_equal(
        with_config("{\"add_bos_token\": true, \"bos_token\": \"?\"}", &n, &err),
        -ERR_FORMAT);
    assert_non_null(
        strstr(err.text, "tokenizer_config.json: bos_token: expected a token"));
    assert_int_equal(with_config("{\"add_bos_token\": \"yes\"}", &n, &err), -ERR_FORMAT);
    assert_int_equal(with_config("[", &n, &err), -ERR_FORMAT);
}

static void test_folder(void **state)
{
    char dir[] = "/tmp/ssmd-vocab-XXXXXX", path[64];
    struct vocab *v = NULL;
    struct err err;
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(vocab_load(&v, dir, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "tokenizer.json"));
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(good, f);
    fclose(f);
    assert_int_equal(vocab_load(&v, dir, &err), 0);
    assert_int_equal(v->n_ids, 6);
    vocab_free(v);
    unlink(path);
    rmdir(dir);
}

/* Decoders: what tokens stand for. */
static void test_token_bytes(void **state)
{
    static const char *const llama =
        "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
        "{\"String\": \"_\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, "
        "{\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, "
        "\"stop\": 0}]}";
    static const char *const json =
        "{\"added_tokens\": [{\"id\": 9, \"content\": \"<_>\"}], \"decoder\": %s, \"model\": "
        "{\"vocab\": {\"_x_\": 0, \"<0xC3>\": 1, \"<0xc3>\": 2, \"\": 3}, \"merges\": []}}";
    struct buf text = {0};
    struct vocab *v = NULL;
    struct err err;
    size_t len;
    (void)state;
    buf_printf(&text, json, llama);
    assert_int_equal(vocab_parse(&v, text.data, text.len, NULL, 0, &err), 0);
    assert_memory_equal(vocab_token_bytes(v, 0, &len), " x ", 3);
    assert_memory_equal(vocab_token_bytes(v, 1, &len), "\xC3", 1);
    assert_int_equal(len, 1);
    assert_memory_equal(vocab_token_bytes(v, 2, &len), "<0xc3>", 6);
    assert_non_null(vocab_token_bytes(v, 3, &len));
    assert_int_equal(len, 0);
    assert_null(vocab_token_bytes(v, 5, &len));
    assert_memory_equal(vocab_token_bytes(v, 9, &len), "<_>", 3);
    assert_int_equal(v->pipe.strip_spaces, 1);
    assert_int_equal(v->longest_bytes, 6);
    vocab_free(v);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_truncation_and_padding_have_no_effect),
        cmocka_unit_test(test_a_tokenizer_is_described),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_token_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
