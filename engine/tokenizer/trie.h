/* Byte strings to int32, searched in a text: longest match at each place, leftmost first.
 * Built once, then read by any thread. Time is the text's length times the longest
 * string's. */
#ifndef ENGINE_TOKENIZER_TRIE_H
#define ENGINE_TOKENIZER_TRIE_H

#include "engine/base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trie {
    struct map64 edges;  /* node << 8 | byte -> node; owns */
    struct map64 values; /* node -> value; owns */
    int32_t n_nodes;     /* 0 = empty; the root is node 0 */
    bool first[256];     /* bytes that begin some string */
};

struct trie_match {
    size_t begin, end;
    int32_t value;
};

/* Adds a non-empty string; a second one with equal bytes is ignored. false: out of
 * memory. */
bool trie_put(struct trie *t, const char *s, size_t len, int32_t value);
void trie_free(struct trie *t); /* accepts a zeroed trie */

/* The first match that begins at or after `from`; false: none. */
bool trie_find(const struct trie *t, const char *s, size_t len, size_t from,
               struct trie_match *m);

#endif
