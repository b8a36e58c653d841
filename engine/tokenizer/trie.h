/* A map from byte strings to int32 that is searched in a text. Built once, then read by
 * any thread. Looking at every place takes at most the text's length times the longest
 * string's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_TRIE_H
#define ENGINE_TOKENIZER_TRIE_H

#include "engine/base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trie {
    struct map64 edges;  /* node << 8 | byte -> node; owns */
    struct map64 values; /* node -> value; owns */
    int32_t n_nodes;     /* 0 = empty; the root is node 0 */
    bool first[256];     /* bytes that some string begins with */
};

struct trie_match {
    size_t begin, end;
    int32_t value;
    int32_t node; /* where the walk is; 0 with end == begin: it begins */
};

/* Adds a string. An empty one and a second one with equal bytes are ignored. False: out
 * of memory. */
bool trie_put(struct trie *t, const char *s, size_t len, int32_t value);
void trie_free(struct trie *t); /* accepts a zeroed trie */

/* Turns m into the next longer match at m->begin. False: there is none, and m is
 * undefined. */
bool trie_longer(const struct trie *t, const char *s, size_t len, struct trie_match *m);

#endif
