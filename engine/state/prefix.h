/*
 * The prefix cache: checkpoints of sequences, from which later ones with the same prefix
 * start. Engine thread only; all memory is taken at open.
 *
 * A checkpoint is a slot (the constant part after its last token) and the pages of its
 * path in the tree; its number is its slot's. Slots and pages come from the pools that
 * sequences use, and checkpoints are evicted whenever sequences need them: no request
 * waits for a checkpoint. Where the constant part is empty (attention alone), a sequence
 * can start at every token of a stored path.
 *
 * Evicted first is the checkpoint that was not used for long and saves few tokens for its
 * bytes (prefix_order.h). The subtle point: checkpoints that share a path share its
 * pages, whichever sequence computed them, because equal tokens have equal bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_PREFIX_H
#define ENGINE_STATE_PREFIX_H

#include "engine/base/heap.h"
#include "engine/base/list.h"
#include "engine/state/radix.h"
#include "engine/state/slots.h"

enum prefix_kind { /* why it was taken; kinds that are hit more often are kept longer */
                   PREFIX_INTERVAL, /* on the way through a long prompt */
                   PREFIX_PASSED,   /* the end of an answer that has been continued */
                   PREFIX_PROMPT,   /* the end of a prompt */
                   PREFIX_TURN,     /* where the request said so */
                   PREFIX_ANSWER,   /* the end of an answer */
                   PREFIX_JUNCTION, /* where prompts part */
                   PREFIX_KINDS
};

struct checkpoint { /* of a slot */
    int32_t node;   /* in the tree; -1: this slot holds none */
    int32_t above;  /* the next checkpoint up the path; -1: none */
    int depth;      /* tokens */
    int n_hits;
    enum prefix_kind kind;
    bool persisted;         /* a copy of it went out */
    struct heap_node place; /* in prefix.order */
    int32_t tenant;         /* in prefix.tenants, */
    struct list of_tenant;  /* in its list */
    double base, priority;  /* prefix_order.h; the lowest priority is evicted first, */
    uint64_t used;          /* of equal ones the longest unused: prefix.n_uses then */
};

struct prefix_counts {
    uint64_t created, hits, evicted;
};

struct prefix {
    struct radix radix;
    struct checkpoint *checkpoints; /* owns; [slots->n] */
    struct slots *slots;            /* borrow */
    struct pages *pages;
    size_t cap_bytes;              /* checkpoints take no more */
    bool any_depth;                /* the constant part is empty */
    int n;                         /* checkpoints */
    struct prefix_tenant *tenants; /* owns; [slots->n], of which the first n_tenants */
    int n_tenants;                 /* were ever taken: prefix_tenant.h */
    struct heap order;             /* checkpoint.place of all that may be evicted now */
    double inflation;              /* priority of the last one that was evicted */
    uint64_t n_uses;
    struct prefix_counts counts;
};

struct prefix_options {
    int n_nodes;
    int n_roots; /* keys that have checkpoints at a time; 0: a slot each, at most 1024 */
    size_t cap_bytes; /* 0: what the pools have */
    bool any_depth;
};

/* ERR_MEMORY. slots and pages are borrowed until close. */
int prefix_open(struct prefix *p, const struct prefix_options *o, struct slots *slots,
                struct pages *pages, struct err *err);
void prefix_close(struct prefix *p); /* accepts zeroed; evicts all */

/* For the memory plan: the nodes that so many slots, pages and tokens of context want,
 * and what prefix_open takes for them: bytes a slot, a page, and beside these. */
int prefix_nodes(int n_slots, int n_pages, int context);
size_t prefix_slot_bytes(bool paged);
size_t prefix_page_bytes(void);
size_t prefix_fixed_bytes(int context);

/* ---- finding ---------------------------------------------------------------- */

struct prefix_path {
    struct radix_key key;
    const int32_t *tokens; /* [n] */
    int n;
    size_t limit_bytes; /* of the tenant's checkpoints; 0: none of its own */
};

struct prefix_match {
    int known;     /* tokens of the path that were ever stored */
    int depth;     /* of the deepest state that is there, 0: none */
    int evicted;   /* of the deepest one that was there below depth, 0: none */
    int32_t node;  /* that depth is in */
    int32_t slot;  /* checkpoint at depth; -1: none, or attention alone */
    int32_t last;  /* node where the path was left, -1: the root is unknown */
    int n_in_last; /* tokens of it that belong to the path */
};

/* The match is valid until the next call that keeps; slot and depth until the next that
 * evicts. */
void prefix_find(const struct prefix *p, const struct prefix_path *path,
                 struct prefix_match *m);

/* Depth of the deepest state of this path under another salt of the same tenant. */
int prefix_elsewhere(const struct prefix *p, const struct prefix_path *path);

/* Tokens that were stored behind a match, along the branch taken last; returns how many.
 */
int prefix_beyond(const struct prefix *p, const struct prefix_match *m, int32_t *out,
                  int cap);

/* A sequence starts from the match. */
void prefix_hit(struct prefix *p, const struct prefix_match *m);

/* The checkpoint that is worth most of those that were hit and have not been
 * persisted; with `all`, of those that are likely to be, too. -1: none. */
int32_t prefix_persist_next(const struct prefix *p, bool all);

/* ---- inserting -------------------------------------------------------------- */

/* A tenant at its limit makes room by its own checkpoints, and a state that is larger than
 * the limit is not stored: what others have stored does not depend on it. */

/* Stores a copy of the slot as the state after path->n tokens, whose pages are in table.
 * False: one is there already, or nothing can make room for it. */
bool prefix_insert_copy(struct prefix *p, const struct prefix_path *path,
                        enum prefix_kind kind, int32_t slot, const int32_t *table);

/* The same with the slot itself, which is the checkpoint's when it returns true. */
bool prefix_adopt(struct prefix *p, const struct prefix_path *path, enum prefix_kind kind,
                  int32_t slot, const int32_t *table);

/* True when prefix_insert_copy would have to evict something. */
bool prefix_full(const struct prefix *p);

/* ---- evicting --------------------------------------------------------------- */

/* Evicts until n_slots slots and n_pages unreserved pages are free; `exempt` (or -1)
 * stays. False, and nothing is evicted: that would not be enough. */
bool prefix_room(struct prefix *p, int n_slots, int n_pages, int32_t exempt);

/* Evicts until no checkpoint holds the page. */
void prefix_free_page(struct prefix *p, int32_t page);

/* Takes the checkpoint out of the tree; the slot is the caller's. Its pages go on only
 * as far as others hold them. */
void prefix_detach(struct prefix *p, int32_t slot);

void prefix_trim(struct prefix *p); /* down to cap_bytes */
void prefix_clear(struct prefix *p);

/* Slots of checkpoints and pages that only they hold. */
size_t prefix_used_bytes(const struct prefix *p);

/* What a checkpoint of this depth is made of, shared or not. */
size_t prefix_state_bytes(const struct prefix *p, int depth);

#endif
