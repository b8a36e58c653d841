/*
 * A prefix cache whose states are hashes, and sequences that leave checkpoints in it: a slot
 * holds the hash of its tokens, a row of a page the hash of the tokens up to it, so that a
 * state of a wrong depth or path is detected at once. Keys are "tenant|salt".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_STORE_H
#define TESTS_LIB_STORE_H

#include "engine/state/prefix.h"

enum {
    STORE_SLOT = 64,
    STORE_PAGE = PAGE_TOKENS * 8,
    STORE_SLOTS = 12,
    STORE_PAGES = 60,
    STORE_MOST = 200
};

struct store {
    struct slots slots;
    struct pages pages;
    struct prefix prefix;
};

struct mark {
    int32_t tokens[STORE_MOST], table[STORE_MOST / PAGE_TOKENS + 1], slot;
    int n, n_pages;
};

extern size_t store_limit_of_a; /* bytes of tenant a's checkpoints; 0: none of its own */

struct prefix_path store_path(const char *key, const int32_t *tokens, int n);
void store_open(struct store *s, int n_slots, int n_pages,
                const struct prefix_options *o);

/* Evicts all, and expects that everything is free then. */
void store_close(struct store *s);

/* A sequence begins with what is found, runs token by token and ends; it keeps a copy of
 * its state as a checkpoint, or gives it. */
void store_begin(struct store *s, struct mark *q, const struct prefix_path *path);
void store_run(struct store *s, struct mark *q, int32_t token);
void store_keep(struct store *s, const struct mark *q, const char *key,
                enum prefix_kind kind);
void store_give(struct store *s, struct mark *q, const char *key);
void store_end(struct store *s, struct mark *q);

/* All of that: keeps the state at `cut` (0: nowhere), gives the last, returns the depth
 * that was found. */
int store_tell(struct store *s, const char *key, const int32_t *tokens, int n, int cut);
int store_depth(const struct store *s, const char *key, const int32_t *tokens, int n);

/* The state's hashes are those of the tokens. */
void store_expect(struct store *s, int32_t slot, const int32_t *table,
                  const int32_t *tokens, int n);

/* What a tenant's checkpoints and the pages of their paths take, counted in the tree; the
 * counts of tenants a and b are that, and a is within its limit. */
size_t store_bytes(const struct store *s, const char *tenant);
void store_expect_tenants(const struct store *s);

void store_count_up(int32_t *tokens, int n, int from); /* from, from + 1, … */

#endif
