/* Runs while a model is opened. No decoder step lengthens a token's text, so one block of
 * the total length of the texts holds the bytes of all tokens.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/token_bytes.h"

#include "engine/base/utf8.h"
#include "engine/tokenizer/byte_level.h"

#include <string.h>

struct piece {
    char *s;
    size_t len;
};

/* A token with a character outside the alphabet is not byte level and stays as it is. */
static void byte_level(struct piece *p)
{
    size_t n = 0;
    for (size_t at = 0; at < p->len;) {
        uint32_t c;
        at += (size_t)utf8_decode(p->s + at, p->len - at, &c);
        if (byte_level_byte(c) < 0)
            return;
    }
    for (size_t at = 0; at < p->len; n++) {
        uint32_t c;
        at += (size_t)utf8_decode(p->s + at, p->len - at, &c);
        p->s[n] = (char)byte_level_byte(c);
    }
    p->len = n;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void byte_fallback(struct piece *p)
{
    if (p->len != 6 || memcmp(p->s, "<0x", 3) != 0 || p->s[5] != '>')
        return;
    int hi = hex(p->s[3]), lo = hex(p->s[4]);
    if (hi < 0 || lo < 0)
        return;
    p->s[0] = (char)(hi << 4 | lo);
    p->len = 1;
}

static void replace(struct piece *p, const struct decode_step *st)
{
    size_t n = 0;
    for (size_t at = 0; at < p->len;) {
        if (p->len - at >= st->from_len &&
            memcmp(p->s + at, st->from, st->from_len) == 0) {
            memcpy(p->s + n, st->to, st->to_len);
            n += st->to_len;
            at += st->from_len;
        } else {
            p->s[n++] = p->s[at++];
        }
    }
    p->len = n;
}

static void decode(struct piece *p, const struct pipeline *pipe)
{
    for (size_t i = 0; i < pipe->n_decode; i++) {
        const struct decode_step *st = &pipe->decode[i];
        if (st->kind == DECODE_BYTE_LEVEL)
            byte_level(p);
        else if (st->kind == DECODE_BYTE_FALLBACK)
            byte_fallback(p);
        else
            replace(p, st);
    }
}

int token_bytes_fill(struct vocab *v, struct err *err)
{
    size_t total = 1;
    for (int32_t id = 0; id < v->n_ids; id++)
        total += v->tokens[id].text_len;
    char *block = arena_alloc(&v->arena, total);
    if (!block)
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of tokens", total);
    for (int32_t id = 0; id < v->n_ids; id++) {
        struct vocab_token *t = &v->tokens[id];
        struct piece p = {block, t->text_len};
        if (!t->text)
            continue;
        memcpy(block, t->text, t->text_len);
        if (!t->added)
            decode(&p, &v->pipe);
        t->bytes = block;
        t->bytes_len = (uint32_t)p.len;
        block += p.len;
        if (t->bytes_len > v->longest_bytes)
            v->longest_bytes = t->bytes_len;
    }
    return 0;
}
