/*
 * Matches are found from left to right, the longest at each place. A match that
 * single_word forbids is skipped as a whole. lstrip and rstrip extend a match over the
 * white space around it. Runs on any thread.
 *
 * The subtle point: a match that the marks forbid is none. A shorter one at its place may
 * be allowed, and the search goes on at the next byte, so that content neither is a
 * control token nor takes a part of the template's own one away.
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

/* The marks of the bytes from a place on, as far as a walk has come: a set of bits. */
struct seen {
    size_t to;
    unsigned marks;
};

/* A token other than a special one is found in content that may have it, and outside; not
 * across the border, where it could take a part of the template's text away. White space
 * alone controls nothing. */
static bool allowed(const struct segment_cursor *c, const struct trie_match *m,
                    struct seen *seen)
{
    const struct vocab_token *t = &c->vocab->tokens[m->value];
    if (!c->marks || t->blank)
        return true;
    for (; seen->to < m->end; seen->to++)
        seen->marks |= 1u << c->marks[seen->to];
    return seen->marks == 1u << MARK_NONE ||
           (seen->marks == 1u << MARK_ADDED && !t->special);
}

/* The longest allowed match at a place. */
static bool longest(const struct segment_cursor *c, size_t at, struct trie_match *m)
{
    struct trie_match next = {.begin = at, .end = at};
    struct seen seen = {.to = at};
    bool found = false;
    while (trie_longer(c->tokens, c->s, c->len, &next))
        if (allowed(c, &next, &seen)) {
            *m = next;
            found = true;
        }
    return found;
}

static bool find(struct segment_cursor *c, struct trie_match *m)
{
    if (!c->tokens || c->tokens->n_nodes == 0)
        return false;
    while (c->from < c->len) {
        if (!c->tokens->first[(unsigned char)c->s[c->from]] || !longest(c, c->from, m)) {
            c->from++;
            continue;
        }
        c->from = m->end;
        if (!c->vocab->tokens[m->value].single_word || stands_alone(c, m))
            return true;
    }
    return false;
}

static bool give_text(struct segment_cursor *c, size_t end, struct segment *out)
{
    *out = (struct segment){-1, c->s + c->done, c->marks ? c->marks + c->done : NULL,
                            end - c->done};
    c->done = end;
    return true;
}

bool segment_next(struct segment_cursor *c, struct segment *out)
{
    struct trie_match m = {0};
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
    *out = (struct segment){.id = c->queued_id};
    c->queued = false;
    c->done = c->queued_end;
    return true;
}
