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

bool trie_longer(const struct trie *t, const char *s, size_t len, struct trie_match *m)
{
    while (m->end < len) {
        m->node = map64_get(&t->edges, edge(m->node, s[m->end]), -1);
        if (m->node < 0)
            return false;
        m->end++;
        int32_t value = map64_get(&t->values, (uint64_t)m->node, INT32_MIN);
        if (value != INT32_MIN) {
            m->value = value;
            return true;
        }
    }
    return false;
}
