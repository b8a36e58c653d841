/*
 * Matches are found from left to right, the longest at each place. A match that
 * single_word forbids is skipped as a whole. lstrip and rstrip extend a match over the
 * white space around it. Runs on any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/segment.h"

#include "engine/base/utf8.h"
#include "engine/tokenizer/normal.h"

/* Returns the code point that ends before s[at] and sets *begin to its first byte. */
static uint32_t before(const char *s, size_t at, size_t *begin)
{
    uint32_t c = 0;
    *begin = at - 1;
    while (*begin > 0 && ((unsigned char)s[*begin] & 0xC0) == 0x80)
        --*begin;
    utf8_decode(s + *begin, at - *begin, &c);
    return c;
}

static bool stands_alone(const struct segment_cursor *c, const struct trie_match *m)
{
    size_t begin;
    uint32_t next = 0;
    if (m->begin > 0 && normal_is_word(before(c->s, m->begin, &begin)))
        return false;
    return m->end == c->len || (utf8_decode(c->s + m->end, c->len - m->end, &next) > 0 &&
                                !normal_is_word(next));
}

static void widen(const struct segment_cursor *c, struct trie_match *m)
{
    const struct vocab_token *t = &c->vocab->tokens[m->value];
    size_t begin;
    uint32_t next;
    while (t->lstrip && m->begin > c->done &&
           normal_is_space(before(c->s, m->begin, &begin)))
        m->begin = begin;
    while (t->rstrip && m->end < c->len) {
        int n = utf8_decode(c->s + m->end, c->len - m->end, &next);
        if (n <= 0 || !normal_is_space(next))
            break;
        m->end += (size_t)n;
    }
}

static bool find(struct segment_cursor *c, struct trie_match *m)
{
    while (c->tokens && trie_find(c->tokens, c->s, c->len, c->from, m)) {
        c->from = m->end;
        if (!c->vocab->tokens[m->value].single_word || stands_alone(c, m))
            return true;
    }
    return false;
}

static bool give_text(struct segment_cursor *c, size_t end, struct segment *out)
{
    *out = (struct segment){-1, c->s + c->done, end - c->done};
    c->done = end;
    return true;
}

bool segment_next(struct segment_cursor *c, struct segment *out)
{
    struct trie_match m;
    if (!c->queued) {
        if (!find(c, &m))
            return c->done < c->len && give_text(c, c->len, out);
        widen(c, &m);
        c->queued = true;
        c->queued_id = m.value;
        c->queued_end = m.end;
        c->from = m.end;
        if (m.begin > c->done)
            return give_text(c, m.begin, out);
    }
    *out = (struct segment){c->queued_id, NULL, 0};
    c->queued = false;
    c->done = c->queued_end;
    return true;
}
