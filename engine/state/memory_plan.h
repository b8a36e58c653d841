/*
 * The memory plan: how many slots and pages the byte budget holds. Made once at open,
 * before anything is allocated; printed by the server and refused when it exceeds the
 * machine.
 *
 * Sequences come first: max_seqs slots, then pages. Checkpoints fill whatever of these is
 * free at a moment; beyond that a share of the budget buys slots and pages for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_MEMORY_PLAN_H
#define ENGINE_STATE_MEMORY_PLAN_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct memory_plan_ask {
    size_t slot_bytes, page_bytes; /* of one slot, one page */
    int max_seqs, context;
    size_t budget;      /* bytes for slots + pages; 0 = choose */
    bool prefix;        /* there is a prefix cache */
    size_t checkpoints; /* bytes of budget for them; 0 = choose */
    size_t fixed;       /* weights, tokenizer and scratch, for the message */
    size_t later;       /* of these, bytes that are not taken yet */
    size_t reserved;    /* what must stay free beside the engine */
};

/* An option's bytes, too few for a slot that is a checkpoint's alone. */
struct memory_short {
    const char *option; /* NULL: there is one, or no prefix cache */
    size_t given, needed;
};

struct memory_plan {
    int n_slots, n_pages;
    int n_checkpoints;    /* slots beyond n_slots */
    int most_checkpoints; /* that all slots and the given bytes hold; 0: none is kept */
    struct memory_short checkpoints_short;
    int n_nodes;        /* of stored paths; 0 without checkpoints */
    size_t bytes;       /* slots + pages + index */
    size_t index_bytes; /* what checkpoints are found by */
    int longest_tokens; /* longest context that one sequence can have */
};

/* Bytes that this process may still take: the machine's available memory or what the
 * cgroup leaves, whichever is less. 0 when unknown. */
size_t memory_plan_available(void);

/* ERR_BUDGET with all figures when slots, one page and given checkpoints do not fit, or
 * when a given budget exceeds what the machine has beside `reserved`. available: as
 * memory_plan_available says, 0 = do not check. */
int memory_plan_make(struct memory_plan *p, const struct memory_plan_ask *ask,
                     size_t available, struct err *err);

#endif
