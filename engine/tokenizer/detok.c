/*
 * Runs on the engine thread inside a step: no allocation, no look-up but the vocab's
 * array. `text` holds whole characters from the first byte not yet released on, `tokens`
 * the places of the waiting tokens in it. Each stop string has a Knuth-Morris-Pratt
 * automaton, fed with every byte once; the longest live prefix among them is what must be
 * held back. An incomplete character is held back by what it may become, too: the whole
 * character, or U+FFFD.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/detok.h"

#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/types.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

enum {
    SPARE_TOKENS =
        24, /* room beside those with a held byte: the new one, text-less ones */
    ALIGN = 16
};

struct detok_matcher {
    const char *s;        /* [len]; borrows the detok's memory */
    const uint32_t *fall; /* [len] longest proper border of s[0..i] */
    size_t len, state;    /* state: bytes of s that the text ends with */
};

/* ---- memory ----------------------------------------------------------------- */

struct layout {
    size_t longest, text_cap, token_cap, tokens_at, stops_at, text_at, bytes;
    size_t falls_at[ENGINE_MAX_STOPS], strings_at[ENGINE_MAX_STOPS];
};

static size_t claim(struct layout *l, size_t bytes)
{
    size_t at = l->bytes;
    l->bytes += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

static struct layout plan(const struct vocab *v, const struct detok_stops *stops)
{
    struct layout l = {0};
    for (size_t i = 0; i < stops->n; i++)
        l.longest = stops->len[i] > l.longest ? stops->len[i] : l.longest;
    /* A token's bytes may each become a U+FFFD, and a broken tail one more. */
    l.text_cap = l.longest + 2 * (3 * (size_t)v->longest_bytes + 3);
    l.token_cap = l.longest + SPARE_TOKENS;
    l.tokens_at = claim(&l, l.token_cap * sizeof(struct detok_token));
    l.stops_at = claim(&l, stops->n * sizeof(struct detok_matcher));
    for (size_t i = 0; i < stops->n; i++) {
        l.falls_at[i] = claim(&l, stops->len[i] * sizeof(uint32_t));
        l.strings_at[i] = claim(&l, stops->len[i]);
    }
    l.text_at = claim(&l, l.text_cap);
    return l;
}

static void matcher_init(struct detok_matcher *m, uint32_t *fall, char *s,
                         const char *from, size_t len)
{
    memcpy(s, from, len);
    *m = (struct detok_matcher){.s = s, .fall = fall, .len = len};
    fall[0] = 0;
    for (size_t i = 1, k = 0; i < len; i++) {
        while (k > 0 && s[k] != s[i])
            k = fall[k - 1];
        k += s[k] == s[i];
        fall[i] = (uint32_t)k;
    }
}

static int check_stops(const struct detok_stops *stops, struct err *err)
{
    if (stops->n > ENGINE_MAX_STOPS)
        return err_param(err, ERR_ARGUMENT, "stop",
                         "expected at most %d stop strings, found %zu", ENGINE_MAX_STOPS,
                         stops->n);
    for (size_t i = 0; i < stops->n; i++) {
        if (stops->len[i] == 0 || stops->len[i] > DETOK_MAX_STOP_BYTES)
            return err_param(err, ERR_ARGUMENT, "stop",
                             "expected stop strings of 1 to %d bytes, found %zu",
                             DETOK_MAX_STOP_BYTES, stops->len[i]);
        if (!utf8_valid(stops->text[i], stops->len[i]))
            return err_param(err, ERR_ARGUMENT, "stop", "expected stop strings in UTF-8");
    }
    return 0;
}

int detok_init(struct detok *d, const struct vocab *v, const struct detok_stops *stops,
               struct err *err)
{
    static const struct detok_stops none;
    stops = stops ? stops : &none;
    *d = (struct detok){.vocab = v, .keep_stop = stops->keep, .n_stops = stops->n};
    int rc = check_stops(stops, err);
    if (rc != 0)
        return rc;
    struct layout l = plan(v, stops);
    char *memory = mem_alloc(l.bytes);
    if (!memory)
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of text state",
                       l.bytes);
    d->memory = memory;
    d->tokens = (struct detok_token *)(void *)(memory + l.tokens_at);
    d->token_cap = l.token_cap;
    d->text = memory + l.text_at;
    d->text_cap = l.text_cap;
    d->longest_stop = l.longest;
    d->stops = (struct detok_matcher *)(void *)(memory + l.stops_at);
    for (size_t i = 0; i < stops->n; i++)
        matcher_init(&d->stops[i], (uint32_t *)(void *)(memory + l.falls_at[i]),
                     memory + l.strings_at[i], stops->text[i], stops->len[i]);
    return 0;
}

void detok_free(struct detok *d)
{
    mem_free(d->memory);
    *d = (struct detok){0};
}

size_t detok_max_pending(const struct detok *d)
{
    return d->token_cap;
}

/* ---- matching --------------------------------------------------------------- */

static size_t advance(const struct detok_matcher *m, size_t state, char byte)
{
    if (state == m->len)
        state = m->fall[state - 1];
    while (state > 0 && m->s[state] != byte)
        state = m->fall[state - 1];
    return state + (m->s[state] == byte);
}

/* Feeds one byte to every automaton; the stop string that ends with it, or -1. */
static int feed(struct detok *d, char byte)
{
    int hit = -1;
    for (size_t i = 0; i < d->n_stops; i++) {
        struct detok_matcher *m = &d->stops[i];
        m->state = advance(m, m->state, byte);
        if (m->state == m->len && (hit < 0 || m->len > d->stops[hit].len))
            hit = (int)i;
    }
    return hit;
}

/* Where a match could begin if the text went on with s[0..len), whole or the beginning of
 * a character: text_len when nowhere in the text; then *into says whether one could with
 * s. */
static size_t begin_with(const struct detok *d, const struct detok_matcher *m,
                         const char *s, size_t len, bool *into)
{
    size_t state = m->state;
    for (size_t i = 0; i < len; i++)
        state = advance(m, state, s[i]);
    *into |= len > 0 && state >= len;
    return d->text_len - (state > len ? state - len : 0);
}

/* The first byte that a stop string may still take; *held: some match is under way there.
 */
static size_t hold_place(const struct detok *d, bool *held)
{
    size_t hold = d->text_len;
    bool into = false;
    for (size_t i = 0; i < d->n_stops && !d->keep_stop; i++) {
        const struct detok_matcher *m = &d->stops[i];
        size_t whole = begin_with(d, m, d->tail, d->tail_len, &into);
        size_t broken = d->tail_len ? begin_with(d, m, REPLACEMENT, 3, &into) : whole;
        whole = broken < whole ? broken : whole;
        hold = whole < hold ? whole : hold;
    }
    *held = hold < d->text_len || into;
    return hold;
}

/* ---- text in ---------------------------------------------------------------- */

/* Appends whole characters; stops behind the byte that completes a stop string. */
static int put_text(struct detok *d, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        d->text[d->text_len++] = s[i];
        int hit = feed(d, s[i]);
        if (hit >= 0)
            return hit;
    }
    return -1;
}

/* One byte of a token: completes a character, extends one, or breaks one. */
static int put_byte(struct detok *d, char byte)
{
    uint32_t c;
    d->tail[d->tail_len++] = byte;
    int n = utf8_decode(d->tail, d->tail_len, &c);
    if (n == 0)
        return -1;
    size_t len = d->tail_len;
    d->tail_len = 0;
    if (n > 0)
        return put_text(d, d->tail, len);
    int hit = put_text(d, REPLACEMENT, 3);
    if (hit >= 0 || len == 1)
        return hit;
    return put_byte(d, byte); /* it broke the tail and begins anew */
}

/* ---- tokens out ------------------------------------------------------------- */

/* Drops what the last call released from the buffers. */
static void drop_released(struct detok *d)
{
    size_t n = d->n_out;
    if (n == 0)
        return;
    size_t gone = d->tokens[n - 1].end;
    memmove(d->text, d->text + gone, d->text_len - gone);
    d->text_len -= gone;
    d->n_tokens -= n;
    memmove(d->tokens, d->tokens + n, d->n_tokens * sizeof *d->tokens);
    for (size_t i = 0; i < d->n_tokens; i++) {
        d->tokens[i].begin -= gone;
        d->tokens[i].end -= gone;
    }
    d->n_out = 0;
}

static void release(struct detok *d, size_t n, struct detok_out *out)
{
    for (size_t i = 0; i < n; i++) {
        struct detok_token *t = &d->tokens[i];
        t->text = d->text + t->begin;
        t->text_len = t->end - t->begin;
    }
    d->n_out = n;
    out->tokens = d->tokens;
    out->n = n;
}

/* A stop string ends at text_len, in the last token: everything from the cut on goes. */
static void cut(struct detok *d, int stop, struct detok_out *out)
{
    size_t at = d->text_len - (d->keep_stop ? 0 : d->stops[stop].len), n = d->n_tokens;
    if (n > 0)
        out->stop_end = d->text_len - d->tokens[n - 1].begin;
    while (n > 0 && d->tokens[n - 1].begin >= at)
        n--;
    out->n_dropped = d->n_tokens - n;
    out->stop = stop;
    if (n > 0 && d->tokens[n - 1].end > at) {
        out->shown = at - d->tokens[n - 1].begin;
        d->tokens[n - 1].end = at;
    }
    d->n_tokens = n;
    d->done = true;
    release(d, n, out);
}

static void release_ready(struct detok *d, struct detok_out *out)
{
    bool held;
    size_t hold = hold_place(d, &held), n = 0;
    bool full = d->n_tokens == d->token_cap;
    for (size_t i = 0; full && i < d->n_stops; i++)
        d->stops[i].state = 0;
    if (!held || full) {
        n = d->n_tokens;
    } else {
        while (n < d->n_tokens && d->tokens[n].end <= hold && d->tokens[n].begin < hold)
            n++;
    }
    release(d, n, out);
}

void detok_push(struct detok *d, int32_t id, uint32_t slot, struct detok_out *out)
{
    *out = (struct detok_out){.stop = -1};
    drop_released(d);
    if (d->done)
        return;
    size_t len = 0;
    int hit = -1;
    const char *s =
        vocab_special(d->vocab, id) ? NULL : vocab_token_bytes(d->vocab, id, &len);
    struct detok_token *t = &d->tokens[d->n_tokens++];
    *t = (struct detok_token){.id = id, .slot = slot, .begin = d->text_len};
    size_t i = 0;
    for (; s && i < len && hit < 0; i++)
        hit = put_byte(d, s[i]);
    t->end = d->text_len;
    if (hit < 0)
        release_ready(d, out);
    else
        cut(d, hit, out);
    if (hit >= 0 && i < len && out->shown + out->n_dropped == 0)
        out->shown = out->stop_end; /* the stop string is kept, the rest is not */
}

void detok_suspend(struct detok *d, struct detok_out *out)
{
    *out = (struct detok_out){.stop = -1};
    drop_released(d);
    if (d->done)
        return;
    d->done = true;
    release(d, d->n_tokens, out);
}

void detok_flush(struct detok *d, struct detok_out *out)
{
    *out = (struct detok_out){.stop = -1};
    drop_released(d);
    if (d->done)
        return;
    size_t whole = d->text_len;
    int hit = d->tail_len ? put_text(d, REPLACEMENT, 3) : -1;
    d->tail_len = 0;
    d->done = true;
    if (hit >= 0)
        cut(d, hit, out);
    else
        release(d, d->n_tokens, out);
    size_t end = out->stop < 0 || d->keep_stop ? d->text_len : whole;
    out->rest = d->text + whole;
    out->rest_len = end - whole;
}

/* ---- texts that go on ------------------------------------------------------- */

void detok_resume(struct detok *d, const int32_t *ids, size_t n)
{
    enum { MOST = 3 }; /* bytes of an incomplete character */
    char last[MOST];
    size_t n_last = 0, len;
    uint32_t c;
    for (; n > 0 && n_last < MOST; n--) {
        const char *s = vocab_token_bytes(d->vocab, ids[n - 1], &len);
        if (!s || vocab_special(d->vocab, ids[n - 1]))
            continue;
        while (len > 0 && n_last < MOST)
            last[MOST - ++n_last] = s[--len];
    }
    while (n_last > 0 && utf8_decode(last + MOST - n_last, n_last, &c) != 0)
        n_last--;
    memcpy(d->tail, last + MOST - n_last, n_last);
    d->tail_len = n_last;
}
