/* Streaming detokenisation: whole characters, stop strings that are never shown, text
 * released once no stop string can cut it. Beside examples, random streams are compared
 * with a model that sees the whole text at once. Pushing runs under the allocation
 * guard.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/detok.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SPECIAL = 300 };

static const char *const MERGES[] = {"a",    "b",    "ab", "ab", "b", "c", "\xE4",
                                     "\xB8", "\xAD", "!",  "!",  "?", NULL};
static struct vocab *vocab;

static int open_vocab(void **state)
{
    (void)state;
    vocab = tiny_tokenizer_vocab(&(struct tiny_tokenizer){
        .merges = MERGES,
        .added = "[{\"id\": 300, \"content\": \"<e>\", \"special\": true}]"});
    return 0;
}

static int close_vocab(void **state)
{
    (void)state;
    vocab_free(vocab);
    return 0;
}

struct stream {
    struct detok d;
    struct buf log;  /* "[text]" for each token released */
    struct buf text; /* all text */
    size_t n_pushed, n_out, n_dropped;
    int stop;
};

static void open_stream(struct stream *s, const char *const *stops, size_t n, bool keep)
{
    size_t lens[4];
    struct err err;
    *s = (struct stream){.stop = -1};
    for (size_t i = 0; i < n; i++)
        lens[i] = strlen(stops[i]);
    struct detok_stops ds = {stops, lens, n, keep};
    assert_int_equal(detok_init(&s->d, vocab, &ds, &err), 0);
}

static void take(struct stream *s, const struct detok_out *out)
{
    for (size_t i = 0; i < out->n; i++) {
        const struct detok_token *t = &out->tokens[i];
        assert_int_equal(t->slot, s->n_out);
        assert_true(utf8_valid(t->text, t->text_len));
        buf_printf(&s->log, "[%.*s]", (int)t->text_len, t->text);
        buf_put(&s->text, t->text, t->text_len);
        s->n_out++;
    }
    assert_true(utf8_valid(out->rest, out->rest_len));
    buf_put(&s->text, out->rest, out->rest_len);
    if (out->rest_len)
        buf_printf(&s->log, "+%.*s", (int)out->rest_len, out->rest);
    s->n_dropped += out->n_dropped;
    if (out->stop >= 0)
        s->stop = out->stop;
    assert_true(s->n_pushed - s->n_out - s->n_dropped <= detok_max_pending(&s->d));
}

static void push(struct stream *s, int32_t id)
{
    struct detok_out out;
    mem_guard(true);
    detok_push(&s->d, id, (uint32_t)s->n_pushed, &out);
    mem_guard(false);
    s->n_pushed += !s->d.done || out.n || out.n_dropped;
    take(s, &out);
}

static void flush(struct stream *s)
{
    struct detok_out out;
    mem_guard(true);
    detok_flush(&s->d, &out);
    mem_guard(false);
    take(s, &out);
}

static void close_stream(struct stream *s)
{
    detok_free(&s->d);
    buf_free(&s->log);
    buf_free(&s->text);
}

static void push_bytes(struct stream *s, const char *bytes)
{
    for (; *bytes; bytes++)
        push(s, (unsigned char)*bytes);
}

static void expect(struct stream *s, const char *log, int stop)
{
    assert_string_equal(s->log.data ? s->log.data : "", log);
    assert_int_equal(s->stop, stop);
}

/* ---- characters ------------------------------------------------------------- */

static void test_characters_are_whole(void **state)
{
    struct stream s;
    (void)state;
    open_stream(&s, NULL, 0, false);
    push_bytes(&s, "a\xE4\xB8\xAD\xF0\x9F\x98\x80z");
    expect(&s, "[a][][][\xE4\xB8\xAD][][][][\xF0\x9F\x98\x80][z]", -1);
    close_stream(&s);
}

static void test_hopeless_bytes_become_replacements_at_once(void **state)
{
    struct stream s;
    (void)state;
    open_stream(&s, NULL, 0, false);
    push_bytes(&s, "\xFF\xE4\xB8"
                   "a\xE4\xE4\xB8\xAD\xC0\x80");
    expect(&s,
           "[\xEF\xBF\xBD][][][\xEF\xBF\xBD"
           "a][][\xEF\xBF\xBD][][\xE4\xB8\xAD]"
           "[\xEF\xBF\xBD][\xEF\xBF\xBD]",
           -1);
    push_bytes(&s, "\xF0\x9F");
    flush(&s);
    assert_memory_equal(s.text.data + s.text.len - 3, "\xEF\xBF\xBD", 3);
    push(&s, 'x'); /* after the end nothing comes */
    flush(&s);
    assert_memory_equal(s.text.data + s.text.len - 3, "\xEF\xBF\xBD", 3);
    close_stream(&s);
}

static void test_special_tokens_are_silent(void **state)
{
    struct stream s;
    (void)state;
    open_stream(&s, NULL, 0, false);
    push(&s, 'a');
    push(&s, SPECIAL);
    push(&s, 299); /* no such token */
    push(&s, -1);
    push(&s, 'b');
    expect(&s, "[a][][][][b]", -1);
    close_stream(&s);
}

/* ---- stop strings ----------------------------------------------------------- */

static void test_stop_across_tokens(void **state)
{
    static const char *const stops[] = {"bca"};
    struct stream s;
    (void)state;
    open_stream(&s, stops, 1, false);
    push(&s, 'x');
    push(&s, 257); /* abab: its last b may begin a stop */
    expect(&s, "[x]", -1);
    push(&s, 'c');
    expect(&s, "[x]", -1);
    push(&s, 256); /* ab completes it inside the token */
    expect(&s, "[x][aba]", 0);
    assert_int_equal(s.n_dropped, 2);
    push(&s, 'z');
    flush(&s);
    expect(&s, "[x][aba]", 0);
    close_stream(&s);
}

static void test_held_text_comes_when_the_match_fails(void **state)
{
    static const char *const stops[] = {"abz"};
    struct stream s;
    (void)state;
    open_stream(&s, stops, 1, false);
    push_bytes(&s, "ab");
    expect(&s, "", -1);
    push(&s, 'a');
    expect(&s, "[a][b]", -1);
    push(&s, 'x');
    expect(&s, "[a][b][a][x]", -1);
    push(&s, 'a');
    flush(&s);
    expect(&s, "[a][b][a][x][a]", -1);
    close_stream(&s);
}

static void test_self_overlap(void **state)
{
    static const char *const aab[] = {"aab"}, *const abac[] = {"ababac"};
    struct stream s;
    (void)state;
    open_stream(&s, aab, 1, false);
    push_bytes(&s, "aaaab");
    expect(&s, "[a][a]", 0);
    close_stream(&s);
    open_stream(&s, abac, 1, false);
    push_bytes(&s, "abababac");
    expect(&s, "[a][b]", 0);
    close_stream(&s);
}

static void test_which_stop_wins(void **state)
{
    static const char *const ends[] = {"abcd", "bc"}, *const lengths[] = {"b", "ab",
                                                                          "aab"};
    static const char *const equals[] = {"x", "ab", "ab"};
    struct stream s;
    (void)state;
    open_stream(&s, ends, 2, false);
    push_bytes(&s, "abcd");
    expect(&s, "[a]", 1); /* ends first */
    close_stream(&s);
    open_stream(&s, lengths, 3, false);
    push_bytes(&s, "aaab");
    expect(&s, "[a]", 2); /* the longest */
    close_stream(&s);
    open_stream(&s, equals, 3, false);
    push_bytes(&s, "ab");
    expect(&s, "", 1); /* the first listed */
    close_stream(&s);
}

static void test_keep_stop(void **state)
{
    static const char *const stops[] = {"b!"};
    struct stream s;
    (void)state;
    open_stream(&s, stops, 1, true);
    push(&s, 'a');
    push(&s, 'b');
    expect(&s, "[a][b]", -1); /* nothing is held back */
    push(&s, 261);            /* "!?" is cut behind the stop string */
    expect(&s, "[a][b][!]", 0);
    assert_int_equal(s.n_dropped, 0);
    close_stream(&s);
}

static void test_stop_of_one_character_in_pieces(void **state)
{
    static const char *const stops[] = {"\xE4\xB8\xAD"};
    struct stream s;
    (void)state;
    open_stream(&s, stops, 1, false);
    push(&s, 'a');
    push(&s, 259); /* E4 B8 */
    expect(&s, "[a]", -1);
    push(&s, 260); /* AD ! */
    expect(&s, "[a]", 0);
    assert_int_equal(s.n_dropped, 2);
    close_stream(&s);
    open_stream(&s, stops, 1, false);
    push_bytes(&s, "a\xE4\xB8\xAE");
    expect(&s, "[a][][][\xE4\xB8\xAE]", -1);
    close_stream(&s);
}

static void test_stop_of_a_replacement(void **state)
{
    static const char *const stops[] = {"\xEF\xBF\xBD"};
    struct stream s;
    (void)state;
    open_stream(&s, stops, 1, false);
    push_bytes(&s, "a\xE4");
    expect(&s, "[a]", -1); /* E4 may yet become U+FFFD */
    push(&s, 'b');
    expect(&s, "[a]", 0);
    close_stream(&s);
    open_stream(&s, stops, 1, false);
    push_bytes(&s, "a\xE4");
    flush(&s);
    expect(&s, "[a]", 0);
    close_stream(&s);
}

static void test_silent_tokens_inside_a_match(void **state)
{
    static const char *const stops[] = {"ab"};
    struct stream s;
    (void)state;
    open_stream(&s, stops, 1, false);
    push(&s, 'a');
    push(&s, SPECIAL);
    expect(&s, "", -1);
    push(&s, 'b');
    expect(&s, "", 0);
    close_stream(&s);
    open_stream(&s, stops, 1, false);
    push(&s, 'a');
    for (int i = 0; i < 100; i++)
        push(&s, SPECIAL); /* too many: the match is given up */
    push(&s, 'b');
    flush(&s);
    assert_string_equal(s.text.data, "ab");
    assert_int_equal(s.n_out, 102);
    assert_int_equal(s.stop, -1);
    close_stream(&s);
}

/* ---- texts that go on ------------------------------------------------------- */

static void test_where_a_stop_string_cuts_and_ends(void **state)
{
    static const struct {
        const char *stop;
        bool keep;
        int32_t ids[4];
        size_t n_dropped, shown, stop_end;
    } cases[] = {
        {"ab", false, {'x', 256}, 1, 0, 2}, /* a whole token: 256 is "ab" */
        {"a", false, {'x', 256}, 1, 0, 1},  /* the first half of one */
        {"b", false, {'x', 256}, 0, 1, 2},  /* the second half */
        {"xa", false, {'x', 256}, 2, 0, 1}, /* two tokens, the second one not whole */
        {"ba", false, {256, 256}, 1, 1, 1}, /* inside both */
        {"a", true, {'x', 256}, 0, 1, 1},   /* kept: the rest is not */
        {"ab", true, {'x', 256}, 0, 0, 2},  /* kept, with nothing behind */
        {"xa", true, {'x', 256}, 0, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stream s;
        struct detok_out out;
        open_stream(&s, &cases[i].stop, 1, cases[i].keep);
        detok_push(&s.d, cases[i].ids[0], 0, &out);
        assert_int_equal(out.stop, -1);
        detok_push(&s.d, cases[i].ids[1], 1, &out);
        assert_int_equal(out.stop, 0);
        assert_int_equal(out.n_dropped, cases[i].n_dropped);
        assert_int_equal(out.shown, cases[i].shown);
        assert_int_equal(out.stop_end, cases[i].stop_end);
        close_stream(&s);
    }
}

static void test_a_suspended_text_holds_half_a_character_back(void **state)
{
    static const char *const stops[] = {"ab\xE4\xB8\xADX"};
    struct stream s;
    struct detok_out out;
    (void)state;
    open_stream(&s, stops, 1, false);
    push_bytes(&s, "ab\xE4\xB8");
    expect(&s, "", -1);
    detok_suspend(&s.d, &out);
    take(&s, &out);
    expect(&s, "[a][b][][]", -1);
    assert_int_equal(s.d.tail_len, 2);
    push(&s, 'c'); /* it has ended */
    expect(&s, "[a][b][][]", -1);
    close_stream(&s);
}

static void test_a_resumed_text_completes_it(void **state)
{
    static const struct {
        int32_t ids[4];
        size_t n;
        const char *more, *log;
    } cases[] = {
        {{'a', 0xE4, 0xB8}, 3, "\xAD", "[\xE4\xB8\xAD]"},
        {{'a', 0xE4},
         2,
         "\xB8\xAD"
         "b",
         "[][\xE4\xB8\xAD][b]"},
        {{0xF0, 0x9F, SPECIAL, 0x98}, 4, "\x80", "[\xF0\x9F\x98\x80]"},
        {{0xE4, 0xB8, SPECIAL}, 3, "\xAD", "[\xE4\xB8\xAD]"},
        {{'a', 0xE4, 0xB8},
         3,
         "b",
         "[\xEF\xBF\xBD"
         "b]"},
        {{0xE4, 0xB8, 0xAD}, 3, "b", "[b]"},
        {{0xE4, 0xB8, 0xAD, 0xE4}, 4, "\xB8\xAD", "[][\xE4\xB8\xAD]"},
        {{'a', 0xB8, 0xAD}, 3, "\xAD", "[\xEF\xBF\xBD]"}, /* these begin nothing */
        {{259}, 1, "\xAD", "[\xE4\xB8\xAD]"},             /* one token of two bytes */
        {{0}, 0, "a", "[a]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stream s;
        open_stream(&s, NULL, 0, false);
        detok_resume(&s.d, cases[i].ids, cases[i].n);
        push_bytes(&s, cases[i].more);
        expect(&s, cases[i].log, -1);
        close_stream(&s);
    }
}

static void test_a_stop_string_may_begin_with_a_resumed_character(void **state)
{
    static const char *const stops[] = {"\xE4\xB8\xAD"};
    struct stream s;
    (void)state;
    open_stream(&s, stops, 1, false);
    detok_resume(&s.d, (const int32_t[]){0xE4, 0xB8}, 2);
    push_bytes(&s, "\xAD");
    expect(&s, "", 0);
    close_stream(&s);
}

static void test_refusals(void **state)
{
    const char *const texts[] = {"", "\xFF", "a", "b", "c"};
    size_t lens[] = {0, 1, 1, 1, 1};
    struct detok d;
    struct err err;
    (void)state;
    struct detok_stops stops = {texts, lens, 1, false};
    assert_int_equal(detok_init(&d, vocab, &stops, &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "stop");
    stops = (struct detok_stops){texts + 1, lens + 1, 1, false};
    assert_int_equal(detok_init(&d, vocab, &stops, &err), -ERR_ARGUMENT);
    stops = (struct detok_stops){texts, lens, 5, false};
    assert_int_equal(detok_init(&d, vocab, &stops, &err), -ERR_ARGUMENT);
    mem_fail_after(1);
    assert_int_equal(detok_init(&d, vocab, NULL, &err), -ERR_MEMORY);
    mem_fail_after(0);
    detok_free(&d);
}

/* ---- random streams --------------------------------------------------------- */

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % below;
}

/* All bytes as text. */
static void repair(struct buf *out, const struct buf *bytes)
{
    for (size_t at = 0; at < bytes->len;) {
        uint32_t c;
        size_t n = 1;
        int whole = utf8_decode(bytes->data + at, bytes->len - at, &c);
        if (whole > 0) {
            buf_put(out, bytes->data + at, (size_t)whole);
            at += (size_t)whole;
            continue;
        }
        while (at + n < bytes->len && utf8_decode(bytes->data + at, n + 1, &c) == 0)
            n++;
        buf_puts(out, "\xEF\xBF\xBD");
        at += n;
    }
}

/* Cuts text at the stop string that ends first; its index or -1. */
static int cut(struct buf *text, const char *const *stops, size_t n, bool keep)
{
    for (size_t end = 1; end <= text->len; end++) {
        int hit = -1;
        for (size_t i = 0; i < n; i++) {
            size_t len = strlen(stops[i]);
            if (len <= end && memcmp(text->data + end - len, stops[i], len) == 0 &&
                (hit < 0 || len > strlen(stops[hit])))
                hit = (int)i;
        }
        if (hit >= 0) {
            text->len = keep ? end : end - strlen(stops[hit]);
            return hit;
        }
    }
    return -1;
}

static void one_random_stream(uint32_t seed)
{
    static const char *const all[] = {"ab",
                                      "aab",
                                      "abab",
                                      "b\xE4\xB8\xAD",
                                      "\xE4\xB8\xAD",
                                      "\xEF\xBF\xBD",
                                      "\xEF\xBF\xBD\x61",
                                      "a\xEF\xBF\xBD",
                                      "!?",
                                      "aaaa",
                                      "ba",
                                      "bcbcb",
                                      "\xE4\xB8\x80",
                                      "c!"};
    static const int32_t ids[] = {'a',  'b',  'c',  256,  257,  258,  259,     260, 261,
                                  0xE4, 0xB8, 0xAD, 0xF0, 0x9F, 0xFF, SPECIAL, 'a', 'b'};
    const char *stops[4];
    struct buf bytes = {0}, text = {0};
    struct stream s;
    size_t n_stops = draw(&seed, 4), n = draw(&seed, 30);
    bool keep = draw(&seed, 4) == 0;
    for (size_t i = 0; i < n_stops; i++)
        stops[i] = all[draw(&seed, sizeof all / sizeof *all)];
    open_stream(&s, stops, n_stops, keep);
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        int32_t id = ids[draw(&seed, sizeof ids / sizeof *ids)];
        const char *piece = vocab_token_bytes(vocab, id, &len);
        if (!vocab_special(vocab, id))
            buf_put(&bytes, piece, len);
        push(&s, id);
    }
    flush(&s);
    repair(&text, &bytes);
    int stop = cut(&text, stops, n_stops, keep);
    assert_int_equal(s.stop, stop);
    assert_int_equal(s.text.len, text.len);
    if (text.len)
        assert_memory_equal(s.text.data, text.data, text.len);
    if (stop < 0)
        assert_int_equal(s.n_out, n);
    buf_free(&bytes);
    buf_free(&text);
    close_stream(&s);
}

static void test_random_streams(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 20000; seed++)
        one_random_stream(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_are_whole),
        cmocka_unit_test(test_hopeless_bytes_become_replacements_at_once),
        cmocka_unit_test(test_special_tokens_are_silent),
        cmocka_unit_test(test_stop_across_tokens),
        cmocka_unit_test(test_held_text_comes_when_the_match_fails),
        cmocka_unit_test(test_self_overlap),
        cmocka_unit_test(test_which_stop_wins),
        cmocka_unit_test(test_keep_stop),
        cmocka_unit_test(test_stop_of_one_character_in_pieces),
        cmocka_unit_test(test_stop_of_a_replacement),
        cmocka_unit_test(test_silent_tokens_inside_a_match),
        cmocka_unit_test(test_where_a_stop_string_cuts_and_ends),
        cmocka_unit_test(test_a_suspended_text_holds_half_a_character_back),
        cmocka_unit_test(test_a_resumed_text_completes_it),
        cmocka_unit_test(test_a_stop_string_may_begin_with_a_resumed_character),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_random_streams),
    };
    return cmocka_run_group_tests(tests, open_vocab, close_vocab);
}
