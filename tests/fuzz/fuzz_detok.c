/*
 * Streams of tokens through a detok, against the whole text seen at once: what is
 * released is valid UTF-8, in order, complete, and ends where the first stop string is.
 * The first byte says how many stop strings follow (each a length and its bytes) and
 * whether they are kept; each further byte is a token, but 240..243 now and then are a
 * special one. The same tokens in turns, suspended and resumed, give the same text, and
 * that text is the conversation's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/engine.h"
#include "engine/tokenizer/detok.h"
#include "engine/tokenizer/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_SPECIAL = 12, SPECIAL = 256 };

static struct vocab *vocab; /* the bytes, as <0xXX>, and a special token */

static void require(bool true_always)
{
    if (!true_always)
        abort();
}

static void open_vocab(void)
{
    struct buf json = {0};
    struct err err;
    buf_puts(&json, "{\"decoder\": {\"type\": \"ByteFallback\"}, \"added_tokens\": "
                    "[{\"id\": 256, \"content\": \"<e>\", \"special\": true}], "
                    "\"model\": {\"merges\": [], \"vocab\": {");
    for (int i = 0; i < 256; i++)
        buf_printf(&json, "%s\"<0x%02X>\": %d", i ? ", " : "", i, i);
    buf_puts(&json, "}}}");
    require(vocab_parse(&vocab, json.data, json.len, NULL, 0, &err) == 0);
    buf_free(&json);
}

struct input {
    const uint8_t *at, *end;
};

static unsigned next(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* At most ENGINE_MAX_STOPS stop strings into memory of the caller; invalid ones are left
 * out. */
static size_t read_stops(struct input *in, const char *stops[], size_t lens[])
{
    size_t n = 0, wanted = *in->at % 5u;
    in->at++;
    for (size_t i = 0; i < wanted; i++) {
        size_t len = next(in) % 12;
        if (len > (size_t)(in->end - in->at))
            len = (size_t)(in->end - in->at);
        stops[n] = (const char *)in->at;
        lens[n] = len;
        n += len > 0 && utf8_valid(stops[n], len);
        in->at += len;
    }
    return n;
}

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

static int cut(struct buf *text, const struct detok_stops *stops)
{
    for (size_t end = 1; end <= text->len; end++) {
        int hit = -1;
        for (size_t i = 0; i < stops->n; i++) {
            size_t len = stops->len[i];
            if (len <= end && memcmp(text->data + end - len, stops->text[i], len) == 0 &&
                (hit < 0 || len > stops->len[hit]))
                hit = (int)i;
        }
        if (hit >= 0) {
            text->len = stops->keep ? end : end - stops->len[hit];
            return hit;
        }
    }
    return -1;
}

static void take(struct buf *text, const struct detok_out *out, uint32_t *slot, int *stop)
{
    for (size_t i = 0; i < out->n; i++) {
        require(out->tokens[i].slot == (*slot)++);
        require(utf8_valid(out->tokens[i].text, out->tokens[i].text_len));
        buf_put(text, out->tokens[i].text, out->tokens[i].text_len);
    }
    buf_put(text, out->rest, out->rest_len);
    if (out->stop >= 0)
        *stop = out->stop;
}

static void run(struct input *in, const struct detok_stops *stops)
{
    struct buf bytes = {0}, text = {0}, whole = {0};
    struct detok d;
    struct detok_out out;
    struct err err;
    uint32_t slot = 0, n = 0;
    int stop = -1;
    require(detok_init(&d, vocab, stops, &err) == 0);
    for (int special = 0; in->at < in->end; n++) {
        uint8_t byte = *in->at++;
        bool silent = byte >= 240 && byte < 244 && special++ < MAX_SPECIAL;
        if (!silent)
            buf_putc(&bytes, (char)byte);
        mem_guard(true);
        detok_push(&d, silent ? SPECIAL : byte, n, &out);
        mem_guard(false);
        take(&text, &out, &slot, &stop);
        require(stop >= 0 || n + 1 - slot <= detok_max_pending(&d));
    }
    detok_flush(&d, &out);
    take(&text, &out, &slot, &stop);
    repair(&whole, &bytes);
    require(cut(&whole, stops) == stop);
    require(whole.len == text.len);
    require(text.len == 0 || memcmp(whole.data, text.data, text.len) == 0);
    require(stop >= 0 || slot == n);
    buf_free(&bytes);
    buf_free(&text);
    buf_free(&whole);
    detok_free(&d);
}

static void say(struct buf *text, struct detok *d, const int32_t *ids, size_t n)
{
    struct detok_out out;
    for (size_t i = 0; i < n; i++) {
        detok_push(d, ids[i], 0, &out);
        buf_put(text, out.tokens[0].text, out.tokens[0].text_len);
    }
}

/* One turn behind ids[0, at), in its own detok; notes its end if it is inside a
 * character. */
static void say_turn(struct buf *text, struct history *h, size_t at, size_t n)
{
    struct detok d;
    struct detok_out out;
    struct err err;
    require(detok_init(&d, vocab, NULL, &err) == 0);
    detok_resume(&d, h->ids, at);
    say(text, &d, h->ids + at, n);
    detok_suspend(&d, &out);
    require(out.n == 0 && out.rest_len == 0);
    int32_t end = (int32_t)(at + n);
    if (d.tail_len)
        h->ends[h->n_ends++] = (struct answer_end){.at = end, .from = end};
    detok_free(&d);
}

static void run_turns(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, text = {0};
    struct history h;
    struct detok d;
    struct err err;
    size_t step = data[0] % 5 + 1u, at;
    require(history_make(&h, size, size, &err) == 0);
    for (size_t i = 0; i < size; i++)
        h.ids[i] = data[i] >= 240 && data[i] < 244 ? SPECIAL : data[i];
    h.n_ends = 0;
    for (at = 0; at < size; at += step)
        say_turn(&text, &h, at, size - at < step ? size - at : step);
    require(detok_init(&d, vocab, NULL, &err) == 0);
    say(&whole, &d, h.ids, size);
    require(whole.len == text.len);
    require(text.len == 0 || memcmp(whole.data, text.data, text.len) == 0);
    bool written = text.len && memmem(text.data, text.len, "<e>", 3);
    int rc = match_text(vocab, &h, text.data, text.len, &at, &err);
    require(written || (rc == 0 && at == text.len)); /* else it may be a special token */
    require(match_ids(&h, h.ids, size, &at, &err) == 0 && at == size);
    detok_free(&d);
    history_free(&h);
    buf_free(&whole);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *stops[ENGINE_MAX_STOPS + 1];
    size_t lens[ENGINE_MAX_STOPS + 1];
    struct input in = {data, data + size};
    if (size == 0)
        return 0;
    if (!vocab)
        open_vocab();
    bool keep = data[0] & 0x80;
    size_t n = read_stops(&in, stops, lens);
    run(&in, &(struct detok_stops){stops, lens, n, keep});
    run_turns(data, size);
    return 0;
}
