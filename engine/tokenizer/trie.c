/* A trie whose edges are one hash map. Built by one thread, then read by any; a search
 * allocates nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/trie.h"

static uint64_t edge(int32_t node, char byte)
{
    return (uint64_t)(uint32_t)node << 8 | (unsigned char)byte;
}

static bool trie_ready(struct trie *t)
{
    if (t->n_nodes > 0)
        return true;
    if (!map64_init(&t->edges, 64))
        return false;
    if (!map64_init(&t->values, 16))
        return false;
    t->n_nodes = 1;
    return true;
}

bool trie_put(struct trie *t, const char *s, size_t len, int32_t value)
{
    if (len == 0)
        return true;
    if (!trie_ready(t))
        return false;
    int32_t node = 0;
    for (size_t i = 0; i < len; i++) {
        int32_t next = map64_get(&t->edges, edge(node, s[i]), -1);
        if (next < 0) {
            next = t->n_nodes++;
            if (!map64_put(&t->edges, edge(node, s[i]), next))
                return false;
        }
        node = next;
    }
    t->first[(unsigned char)s[0]] = true;
    if (map64_get(&t->values, (uint64_t)node, INT32_MIN) != INT32_MIN)
        return true;
    return map64_put(&t->values, (uint64_t)node, value);
}

void trie_free(struct trie *t)
{
    map64_free(&t->edges);
    map64_free(&t->values);
    *t = (struct trie){0};
}

static bool longest_at(const struct trie *t, const char *s, size_t len,
                       struct trie_match *m)
{
    int32_t node = 0;
    m->end = m->begin;
    for (size_t i = m->begin; i < len; i++) {
        node = map64_get(&t->edges, edge(node, s[i]), -1);
        if (node < 0)
            break;
        int32_t value = map64_get(&t->values, (uint64_t)node, INT32_MIN);
        if (value != INT32_MIN) {
            m->end = i + 1;
            m->value = value;
        }
    }
    return m->end > m->begin;
}

bool trie_find(const struct trie *t, const char *s, size_t len, size_t from,
               struct trie_match *m)
{
    if (t->n_nodes == 0)
        return false;
    for (m->begin = from; m->begin < len; m->begin++)
        if (t->first[(unsigned char)s[m->begin]] && longest_at(t, s, len, m))
            return true;
    return false;
}
