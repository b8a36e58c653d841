/*
 * The tree of stored paths: token ids from the beginning of a prompt on, one root for
 * each (tenant, salt), with the K/V page that holds a node's tokens. Engine thread only;
 * all memory is taken at open.
 *
 * A node holds up to PAGE_TOKENS tokens of one page of the path, so that node and page
 * belong together; a path that parts inside a page parts in two nodes that hold different
 * pages. `live` counts the checkpoints in a node's subtree. A live node holds its page; a
 * node that is not is a ghost: it remembers that the path was here, holds nothing, and is
 * taken back, leaves first and the oldest first, when nodes run out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_RADIX_H
#define ENGINE_STATE_RADIX_H

#include "engine/base/err.h"
#include "engine/kernel/kernel.h"
#include "engine/state/pages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RADIX_KEY_BYTES = 640 };

/* Whose path it is: the tenant's name, a NUL, the salt. Keys are compared byte by byte,
 * never by hash alone. */
struct radix_key {
    const char *bytes; /* [len], len <= RADIX_KEY_BYTES */
    size_t len, tenant_len;
};

struct radix_node {
    int32_t tokens[PAGE_TOKENS];
    int32_t n, start; /* tokens; depth of the first one. A root has none. */
    int32_t page;     /* held; -1: a ghost, a root, or no pages at all */
    int32_t slot;     /* of the checkpoint after the last token; -1: none */
    int32_t live;
    int32_t parent;       /* of a root: -1 - its index in roots */
    int32_t first;        /* child, the one that was added last; -1: none */
    int32_t next, prev;   /* children of the same parent, by age */
    int32_t chain;        /* next in its bucket, or next free node */
    int32_t older, newer; /* ghost leaves by age */
    bool listed;          /* is one of them */
    bool evicted;         /* a checkpoint was here and was evicted */
};

struct radix_root {
    int32_t node; /* -1: free */
    int32_t next; /* free root */
    size_t len, tenant_len;
    uint64_t hash;
    char key[RADIX_KEY_BYTES];
};

struct radix {
    struct radix_node *nodes; /* owns; [n_nodes] */
    struct radix_root *roots; /* owns; [n_roots] */
    int32_t *buckets;    /* owns; [2^bits]: children by parent and token, roots by key */
    struct pages *pages; /* borrows */
    int n_nodes, n_roots, bits;
    int32_t free, free_root; /* first ones */
    int32_t oldest, newest;  /* ghost leaves */
};

/* ERR_MEMORY. */
int radix_open(struct radix *x, int n_nodes, int n_roots, struct pages *pages,
               struct err *err);
void radix_close(struct radix *x); /* accepts zeroed; lets go of no page */

/* Bytes of a node and of a root, for the memory plan. */
size_t radix_node_bytes(void);
size_t radix_root_bytes(void);

int32_t radix_find_root(const struct radix *x, const struct radix_key *key); /* or -1 */

/* The child that begins with token, or -1. */
int32_t radix_child(const struct radix *x, int32_t node, int32_t token);

/* How many tokens of the node begin tokens[0..n). */
int radix_match(const struct radix *x, int32_t node, const int32_t *tokens, int n);

/* Makes the path tokens[0..n), n >= 1, and a node that ends with it; counts one
 * checkpoint in each node of the path, which keeps all of it until radix_unpin. -1: no
 * node or no root is left; nothing is pinned then. */
int32_t radix_pin(struct radix *x, const struct radix_key *key, const int32_t *tokens,
                  int n);

/* Gives each node of a pinned path that has none its page out of a sequence's table, and
 * those above within the same page that one for theirs: it begins with the same rows.
 * Returns how many pages more the tree holds. */
int radix_attach(struct radix *x, int32_t node, const int32_t *table);

/* The node behind `at` in a walk over the subtree of `top`, parents first; what is below
 * `at` is left out unless `below`. -1: the walk is over. */
int32_t radix_next(const struct radix *x, int32_t top, int32_t at, bool below);

/* Takes back what radix_pin counted. Nodes that are ghosts now let go of their pages.
 * Returns how many pages less the tree holds. */
int radix_unpin(struct radix *x, int32_t node);

/* Writes the tokens of the path that ends in the node; whose it is. */
void radix_path(const struct radix *x, int32_t node, int32_t *tokens);
struct radix_key radix_key_of(const struct radix *x, int32_t node);

/* Writes the page table of the path that ends in the node. */
void radix_table(const struct radix *x, int32_t node, int32_t *table);

#endif
